//! What no two cards of a folder may share: names and type numbers.

use crate::diagnostic::Span;
use crate::walk::At;

/// A value that must be unique among the cards of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// The key that gives it.
    pub key: &'static str,
    /// The value as it is compared: names differ by more than case and `-` for `_`, which code cannot tell apart.
    pub value: String,
    pub span: Span,
}

impl Claim {
    pub(crate) fn of(key: &'static str, at: &At<impl ToString>) -> Self {
        Self { key, value: at.value.to_string().to_lowercase().replace('-', "_"), span: at.span }
    }
}
