//! The word that was probably meant.

/// The candidate with the fewest edits from `word`, if it takes at most one for every three letters; the first of equals.
pub(crate) fn nearest<'w>(word: &str, candidates: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(edits, _)| (1..=limit).contains(edits))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// The words as a reader lists them: `` `a`, `b`, `c` ``.
pub(crate) fn listing<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// Letters inserted, deleted, replaced or swapped with their neighbour to turn `from` into `to`; case is free.
fn distance(from: &str, to: &str) -> usize {
    if from != to && from.eq_ignore_ascii_case(to) {
        return 1;
    }
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance("lane", "lane"), 0);
        assert_eq!(distance("lnae", "lane"), 1);
        assert_eq!(distance("LANE", "lane"), 1);
        assert_eq!(distance("", "lane"), 4);
        assert_eq!(distance("half", "hi"), 3);
    }

    #[test]
    fn suggests_only_what_is_close() {
        assert_eq!(nearest("lan", ["half", "lane"]), Some("lane"));
        assert_eq!(nearest("word", ["half", "lane"]), None);
        assert_eq!(nearest("ofset", ["step", "offset"]), Some("offset"));
    }
}
