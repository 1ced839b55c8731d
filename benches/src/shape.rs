//! Rows and columns of weights, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `N` rows of `K` weights, written `NxK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shape {
    /// Rows.
    pub n: usize,
    /// Weights in a row.
    pub k: usize,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| text.parse().ok().filter(|&size| size > 0);
        text.split_once('x')
            .and_then(|(n, k)| Some(Self { n: size(n)?, k: size(k)? }))
            .ok_or_else(|| format!("`{text}` is no shape: rows x columns, as in 4096x4096"))
    }
}

impl TryFrom<String> for Shape {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shape> for String {
    fn from(shape: Shape) -> Self {
        shape.to_string()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x{}", self.n, self.k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_written() {
        let shape = Shape { n: 32000, k: 2048 };
        assert_eq!(shape.to_string().parse(), Ok(shape));
        for wrong in ["", "4096", "4096x", "0x4096", "4096x-1", "4096X4096", "1x2x3"] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
    }
}
