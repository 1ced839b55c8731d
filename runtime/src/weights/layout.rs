//! The forms of weights in memory.

use serde::{Deserialize, Serialize};

/// In which form weights are held in memory. The products are the same, to the last bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// The packed form, made once: what multiplies fastest.
    #[default]
    Packed,
    /// The stored form, of which every multiplication packs a tile at a time: for formats that grow when they are packed, on
    /// machines that are short of memory.
    Stored,
}

impl Layout {
    /// Both layouts.
    pub const ALL: [Self; 2] = [Self::Packed, Self::Stored];

    /// The name used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Stored => "stored",
        }
    }
}
