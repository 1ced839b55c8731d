//! How texts are cut into pieces before anything is merged: a table, in `pretokenizers.toml`.

use fancy_regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// The table.
const TABLE: &str = include_str!("../../pretokenizers.toml");

/// Steps back that one match may take: more than any text needs that fits a model, and over in seconds.
const BACKTRACKS: usize = 1 << 28;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    pretokenizer: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    names: Vec<String>,
    split: Vec<String>,
    #[serde(default)]
    whole_words: bool,
    #[serde(default)]
    begin: bool,
}

/// A way to cut texts.
#[derive(Debug)]
pub struct Pretokenizer {
    split: Vec<Regex>,
    /// Whether a piece that is a token is that token, whatever the merges make of it.
    pub whole_words: bool,
    /// Whether texts begin with the token for that, where the file does not say.
    pub begin: bool,
}

impl Pretokenizer {
    /// The one of that name.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn by_name(name: &str) -> Result<Self, String> {
        let table: Table = toml::from_str(TABLE).map_err(|error| format!("the table of pre-tokenizers: {error}"))?;
        let Some(row) = table.pretokenizer.iter().find(|row| row.names.iter().any(|known| known == name)) else {
            let mut known: Vec<_> = table.pretokenizer.iter().flat_map(|row| &row.names).map(String::as_str).collect();
            known.sort_unstable();
            return Err(format!("no pre-tokenizer is called {name:?}; take a model with one that is: {}", known.join(", ")));
        };
        let regex = |text: &String| RegexBuilder::new(text).backtrack_limit(BACKTRACKS).build();
        let split = row.split.iter().map(regex).collect::<Result<_, _>>();
        let split = split.map_err(|error| format!("pre-tokenizer {name:?}: {error}"))?;
        Ok(Self { split, whole_words: row.whole_words, begin: row.begin })
    }

    /// Cuts a text: the pieces together are the text.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn cut<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, String> {
        let mut pieces = vec![text];
        for regex in &self.split {
            let mut finer = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let mut end = 0;
                for found in regex.find_iter(piece) {
                    let found = found.map_err(|error| format!("the text cannot be cut ({error}); give a shorter one"))?;
                    finer.extend([&piece[end..found.start()], found.as_str()].into_iter().filter(|part| !part.is_empty()));
                    end = found.end();
                }
                finer.extend(Some(&piece[end..]).filter(|rest| !rest.is_empty()));
            }
            pieces = finer;
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut<'t>(name: &str, text: &'t str) -> Vec<&'t str> {
        Pretokenizer::by_name(name).unwrap().cut(text).unwrap()
    }

    #[test]
    fn every_name_of_the_table_is_there_once_and_cuts_texts_without_loss() {
        let table: Table = toml::from_str(TABLE).unwrap();
        let names: Vec<_> = table.pretokenizer.iter().flat_map(|row| &row.names).collect();
        let text = "I'LL pay 12345 €, ＡＢＣ don't\r\n\n  \tx你好 e\u{301}\u{a0}١٢ ...\n";
        for name in &names {
            assert_eq!(names.iter().filter(|other| other == &name).count(), 1, "{name}");
            let pieces = cut(name, text);
            assert_eq!(pieces.concat(), text, "{name}");
            assert!(pieces.len() > 10, "{name}: {pieces:?}");
        }
    }

    #[test]
    fn numbers_and_contractions_are_cut_as_each_model_learnt_it() {
        let text = "don't 12345 'LL\n\n  end";
        assert_eq!(cut("gpt-2", text), ["don", "'t", " 12345", " '", "LL", "\n\n ", " end"]);
        assert_eq!(cut("smollm", text), ["don", "'t", " ", "1", "2", "3", "4", "5", " '", "LL", "\n\n ", " end"]);
        assert_eq!(cut("llama-bpe", text), ["don", "'t", " ", "123", "45", " '", "LL", "\n\n", " ", " end"]);
        assert_eq!(cut("qwen2", text), ["don", "'t", " ", "1", "2", "3", "4", "5", " '", "LL", "\n\n", " ", " end"]);
        assert_eq!(cut("tekken", "HelloWorld ABCd"), ["Hello", "World", " ABCd"]);
        assert_eq!(cut("deepseek-v3", "1234x你好 a"), ["123", "4", "x", "你好", " a"]);
        assert_eq!(cut("falcon", "12345..a"), ["123", "45", "..", "a"]);
    }

    #[test]
    fn an_unknown_one_is_named_beside_the_known() {
        let why = Pretokenizer::by_name("gpt-3").unwrap_err();
        assert!(why.starts_with("no pre-tokenizer is called \"gpt-3\"; ") && why.contains("gpt-2, gpt-4o, "), "{why}");
    }

    #[test]
    fn long_runs_of_spaces_are_cut() {
        let text = format!("{}x", " ".repeat(100_000));
        for name in ["gpt-2", "llama-bpe"] {
            assert_eq!(cut(name, &text).last(), Some(&" x"), "{name}");
        }
    }
}
