//! Types of tensors that no card describes: items that are not weights, and types that were given up. They are data, in
//! `gguf-types.toml`.

use std::sync::OnceLock;

use serde::Deserialize;

use super::Gguf;
use super::tensor::{BlockShape, TensorInfo};
use crate::error::Error;
use crate::registry;

/// The type number of plain f32 in GGUF files, which needs no card.
pub const PLAIN: u32 = 0;

/// A type whose items are not weights, such as integers: tensors of it are listed and copied, not multiplied by.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Items {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Bytes of an item.
    pub bytes: usize,
}

impl Items {
    /// The type with that number, if it is one of these.
    #[must_use]
    pub fn of(number: u32) -> Option<&'static Self> {
        table().items.iter().find(|items| items.number == number)
    }

    /// What turns the axes of a tensor into a number of bytes.
    #[must_use]
    pub fn shape(&self) -> BlockShape {
        BlockShape { header: 0, weights: 1, bytes: self.bytes }
    }
}

/// A type that no program writes any more, whose number is still taken.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct GivenUp {
    /// Its number.
    pub number: u32,
    /// What it was called.
    pub name: String,
    /// What to do with a model that has tensors of it.
    pub remedy: String,
}

impl GivenUp {
    /// The type with that number, if it is one of these.
    #[must_use]
    pub fn of(number: u32) -> Option<&'static Self> {
        table().given_up.iter().find(|gone| gone.number == number)
    }
}

impl BlockShape {
    /// Of a type number: plain f32, the blocks of a format, or items that are not weights; `None` if nothing is known of it.
    #[must_use]
    pub fn of_kind(number: u32) -> Option<Self> {
        if number == PLAIN {
            return Some(Self::F32);
        }
        registry::format_by_gguf(number).map_or_else(|| Items::of(number).map(Items::shape), Self::of)
    }
}

impl Gguf {
    /// The error about a tensor of this file that does not hold weights in a format with a card.
    #[must_use]
    pub fn unknown_type(&self, tensor: &TensorInfo) -> Error {
        Error::UnknownTensorType {
            path: self.path().to_owned(),
            tensor: tensor.name.clone(),
            kind: tensor.kind,
            why: why_unknown(tensor.kind),
        }
    }
}

/// What there is to say of a type number that no card describes.
fn why_unknown(number: u32) -> String {
    match (GivenUp::of(number), Items::of(number)) {
        (Some(GivenUp { name, remedy, .. }), _) => format!("is {name} (type number {number}), which ggml gave up; {remedy}"),
        (_, Some(items)) => format!("has items of {}, which are not weights; name a tensor of weights", items.name),
        _ => format!("has type number {number}, which no card describes; convert it to a format that has a card"),
    }
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    items: Vec<Items>,
    given_up: Vec<GivenUp>,
}

/// The types of this build. The file is compiled in, and a test reads it.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| toml::from_str(include_str!("../../gguf-types.toml")).expect("gguf-types.toml was tested"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_has_two_meanings() {
        let Table { items, given_up } = table();
        let mut numbers =
            items.iter().map(|items| items.number).chain(given_up.iter().map(|gone| gone.number)).collect::<Vec<_>>();
        assert!(numbers.iter().all(|&number| number != PLAIN && registry::format_by_gguf(number).is_none()), "{numbers:?}");
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        assert!(items.iter().all(|items| items.bytes > 0) && given_up.iter().all(|gone| !gone.remedy.is_empty()));
    }
}
