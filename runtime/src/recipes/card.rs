//! The text of a file of recipes; `recipes/llama.toml` says what each key means.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A file of recipes. What one's own file leaves out is taken from the file that comes with the program.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Card {
    pub only: Vec<String>,
    pub keep: Vec<String>,
    pub unusual: Option<String>,
    pub class: BTreeMap<String, Class>,
    pub fallback: BTreeMap<String, String>,
    pub rules: BTreeMap<String, Vec<Rule>>,
    pub recipe: Vec<RecipeCard>,
}

/// A kind of tensors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub names: Vec<String>,
    pub instead_of: Option<String>,
}

/// One recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeCard {
    pub name: String,
    pub file_type: u32,
    pub format: String,
    #[serde(default)]
    pub shared: Vec<String>,
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What a rule asks of a tensor, and the format that it then gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub class: Vec<String>,
    pub first: Option<usize>,
    pub first_part: Option<usize>,
    pub spread: Option<usize>,
    pub middle: Option<usize>,
    pub gqa: Option<u64>,
    pub experts: Option<u64>,
    pub blocks: Option<u64>,
    pub imatrix: Option<bool>,
    pub to: String,
}

impl Rule {
    /// Whether the rule fits layer `layer` of `layers`, as far as layers go.
    pub fn fits_layer(&self, layer: usize, layers: usize) -> bool {
        let ends = |parts: usize| (layers / parts, layers.saturating_mul(parts - 1) / parts);
        let spread = |parts: usize| {
            let (first, last) = ends(parts);
            layer < first || layer >= last || (layer - first) % 3 == 2
        };
        let middle = |parts: usize| {
            let (first, last) = ends(parts);
            (first..last).contains(&layer)
        };
        self.first.is_none_or(|count| layer < count)
            && self.first_part.is_none_or(|parts| layer < layers / parts)
            && self.spread.is_none_or(spread)
            && self.middle.is_none_or(middle)
    }

    /// The parts that layers are cut into: none may be 0.
    pub fn parts(&self) -> impl Iterator<Item = usize> {
        [self.first_part, self.spread, self.middle].into_iter().flatten()
    }
}

/// Whether a name is what a pattern says: `*` is any text, `?` any character.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // `fits[n]`: the pattern so far takes the first n characters.
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    for wanted in pattern {
        let mut next = vec![false; name.len() + 1];
        let mut any = false;
        for n in 0..=name.len() {
            any |= fits[n];
            next[n] = match wanted {
                '*' => any,
                '?' => n > 0 && fits[n - 1],
                c => n > 0 && fits[n - 1] && name[n - 1] == c,
            };
        }
        fits = next;
    }
    fits[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("output.weight", "output.weight", true),
            ("output.weight", "blk.0.attn_output.weight", false),
            ("*attn_v.weight*", "blk.0.attn_v.weight", true),
            ("*_w?.weight", "time_mix_w1.weight", true),
            ("*_w?.weight", "time_mix_w10.weight", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn layers() {
        let rule: Rule = toml::from_str("class = []\nspread = 8\nto = 'x'").unwrap();
        let fitting = |layers: usize| (0..layers).filter(|layer| rule.fits_layer(*layer, layers)).collect::<Vec<_>>();
        assert_eq!(fitting(6), [2, 5]);
        assert_eq!(fitting(16), [0, 1, 4, 7, 10, 13, 14, 15]);
    }
}
