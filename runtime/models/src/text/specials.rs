//! White space behind tokens that are found in texts as a whole: a table, in `specials.toml`, of what files do not say.

use quantloom::gguf::Gguf;
use serde::Deserialize;

use super::vocabulary::{self, Vocabulary};
use super::wrong;
use crate::error::Result;

/// The table.
const TABLE: &str = include_str!("../../specials.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    strip: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    architecture: String,
    tokenizer: String,
    keep: Vec<String>,
}

/// Which tokens take away the white space behind them.
#[derive(Debug)]
pub enum Strips {
    /// None.
    None,
    /// All but these.
    AllBut(Vec<u32>),
}

impl Strips {
    /// Those of a file, whose tokenizer is of that kind.
    ///
    /// # Errors
    /// [`crate::Error::Model`] if the architecture is no text, or the table is not in order.
    pub fn of(file: &Gguf, tokenizer: &str, vocabulary: &Vocabulary) -> Result<Self> {
        let table: Table =
            toml::from_str(TABLE).map_err(|error| wrong(file, &format!("the table of special tokens: {error}")))?;
        let architecture = vocabulary::text(file, "general.architecture")?;
        let is_of = |row: &&Row| Some(&*row.architecture) == architecture && row.tokenizer == tokenizer;
        Ok(table.strip.iter().find(is_of).map_or(Self::None, |row| {
            Self::AllBut(row.keep.iter().filter_map(|text| vocabulary.ids.get(text)).copied().collect())
        }))
    }

    /// What is left of a text behind a token.
    pub fn behind<'t>(&self, token: Option<u32>, text: &'t str) -> &'t str {
        match (self, token) {
            (Self::AllBut(keep), Some(token)) if !keep.contains(&token) => text.trim_start(),
            _ => text,
        }
    }
}
