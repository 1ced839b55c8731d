//! Which kernels exist: formats, the classes they share, and the variants of each class on each instruction set.

use std::collections::BTreeMap;

use quantloom_spec::isa::Isa;
use quantloom_spec::kernels::{Numerics, Variant};
use quantloom_spec::model::Format;

use crate::ir::Decoder;
use crate::lower::class::Class;
use crate::lower::value;

/// A card that was read: where from, its text, and what it says.
#[derive(Clone, Debug)]
pub struct Card {
    /// File name of the card.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Texts of the tables that it names, by name.
    pub tables: BTreeMap<String, String>,
    /// The checked model.
    pub format: Format,
}

/// Everything that is to be generated.
#[derive(Debug)]
pub struct Plan {
    /// The formats, sorted by card file.
    pub formats: Vec<PlannedFormat>,
    /// The packed classes by name.
    pub classes: BTreeMap<String, Class>,
    /// The instruction sets, lowest rank first.
    pub isas: Vec<Isa>,
    /// The kernels of every class, in order of preference.
    pub variants: Vec<Variant>,
}

/// A format and how it is to be lowered.
#[derive(Debug)]
pub struct PlannedFormat {
    /// The card.
    pub card: Card,
    /// How its weights are decoded.
    pub decoder: Decoder,
    /// Its packed class: the name and the parameters that are this format's own. `None` when it is only decoded.
    pub class: Option<(String, Class)>,
}

impl Plan {
    /// Plans the kernels for the cards.
    #[must_use]
    pub fn new(cards: Vec<Card>, mut isas: Vec<Isa>, variants: Vec<Variant>) -> Self {
        isas.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        let mut classes = BTreeMap::new();
        let mut formats = Vec::new();
        for card in cards {
            let decoder = value::decoder(&card.format);
            let class = Class::of(&card.format).ok().map(|class| (class.name(), class));
            if let Some((name, class)) = &class {
                classes.entry(name.clone()).or_insert_with(|| class.clone());
            }
            formats.push(PlannedFormat { card, decoder, class });
        }
        formats.sort_by(|a, b| a.card.file.cmp(&b.card.file));
        Self { formats, classes, isas, variants }
    }

    /// The instruction sets and numerics classes that have kernels for a class, lowest rank first.
    pub fn kernel_files<'a>(&'a self, class: &'a Class) -> impl Iterator<Item = (&'a Isa, Numerics)> {
        let pairs = self.isas.iter().flat_map(|isa| Numerics::ALL.map(|numerics| (isa, numerics)));
        pairs.filter(|&(isa, numerics)| class.has(numerics) && has_variants(&self.variants, isa, numerics))
    }

    /// The variants of an instruction set.
    pub fn variants_of<'a>(&'a self, isa: &'a Isa) -> impl Iterator<Item = &'a Variant> {
        self.variants.iter().filter(|variant| variant.isa == isa.name)
    }
}

/// Whether there are variants of a numerics class for an instruction set.
pub fn has_variants(variants: &[Variant], isa: &Isa, numerics: Numerics) -> bool {
    variants.iter().any(|variant| variant.isa == isa.name && variant.numerics == numerics)
}
