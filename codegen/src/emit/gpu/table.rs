//! Tables as 32-bit words: each as it is, or as a palette and an index per value if that is smaller.
//!
//! The vector tables of grid formats have thousands of entries but two to eight different values; packed, they stay in the
//! nearest cache.

use std::collections::{BTreeMap, BTreeSet};

use crate::ir::Decoder;

/// Words on a line of text.
const WORDS_PER_LINE: usize = 8;

/// All tables of a decoder, one after the other.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The tables' words.
    pub words: Vec<u32>,
    places: Vec<Place>,
}

/// Where a table's values are.
#[derive(Debug)]
enum Place {
    /// The bits of each value, from this word on.
    Plain { at: usize },
    /// `bits` bits per value from word `at` on are its place in the palette, whose values start at word `palette`.
    Packed { at: usize, palette: usize, bits: u32 },
}

impl Tables {
    pub(super) fn of(decoder: &Decoder) -> Self {
        let mut tables = Self::default();
        for table in &decoder.tables {
            let bits = table.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            tables.add(&bits);
        }
        tables
    }

    fn add(&mut self, values: &[u32]) {
        let palette = distinct(values);
        let bits = palette.len().next_power_of_two().ilog2().max(1).next_power_of_two();
        let packed = values.len().div_ceil((32 / bits) as usize) + palette.len();
        let at = self.words.len();
        if packed < values.len() {
            self.words.extend(pack(values, &palette, bits));
            self.places.push(Place::Packed { at, palette: self.words.len(), bits });
            self.words.extend(palette);
        } else {
            self.places.push(Place::Plain { at });
            self.words.extend(values);
        }
    }

    /// For each table what a template needs to look up `index`; a plain table has only `at`.
    pub(super) fn lookups(&self) -> Vec<BTreeMap<&'static str, usize>> {
        let fields = self.places.iter().map(|place| match *place {
            Place::Plain { at } => BTreeMap::from([("at", at)]),
            Place::Packed { at, palette, bits } => {
                let per_word = 32 / bits;
                BTreeMap::from([
                    ("at", at),
                    ("palette", palette),
                    ("bits", bits as usize),
                    ("mask", (1 << bits) - 1),
                    ("word_shift", per_word.ilog2() as usize),
                    ("word_mask", per_word as usize - 1),
                ])
            }
        });
        fields.collect()
    }

    /// The words as lines of literals.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |words: &[u32]| words.iter().map(|word| format!("{word:#010x}u,")).collect::<Vec<_>>().join(" ");
        self.words.chunks(WORDS_PER_LINE).map(line).collect()
    }
}

/// The different values, ascending.
fn distinct(values: &[u32]) -> Vec<u32> {
    let palette: BTreeSet<u32> = values.iter().copied().collect();
    palette.into_iter().collect()
}

/// Each value's place in the palette, the first lowest; `bits` is a power of two below 32, so no place straddles words.
fn pack(values: &[u32], palette: &[u32], bits: u32) -> Vec<u32> {
    let place = |value: &u32| palette.binary_search(value).expect("the palette has every value") as u32;
    let word = |values: &[u32]| values.iter().rev().fold(0, |word, value| word << bits | place(value));
    values.chunks((32 / bits) as usize).map(word).collect()
}
