//! Which kernels exist: formats, the classes they share, and the variants of each class on each instruction set.

use std::collections::{BTreeMap, BTreeSet};

use quantloom_spec::isa::Isa;
use quantloom_spec::kernels::{Numerics, Schedule, Variant};
use quantloom_spec::model::Format;
use quantloom_spec::operation::Operation;
use quantloom_spec::processor::{Processor, Start};

use crate::ir::Decoder;
use crate::lower::class::{Class, Uncovered};
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
#[non_exhaustive]
pub struct Plan {
    /// The formats, sorted by card file; those of a family in the order of its values.
    pub formats: Vec<PlannedFormat>,
    /// The packed classes by name.
    pub classes: BTreeMap<String, Class>,
    /// The instruction sets, lowest rank first.
    pub isas: Vec<Isa>,
    /// The kernels of every class, in order of preference.
    pub variants: Vec<Variant>,
    /// What calls compute, sorted by card file.
    pub operations: Vec<Operation>,
    /// The texts of the activation functions that operations name.
    pub functions: BTreeMap<String, String>,
    /// What is known of microarchitectures.
    pub processors: Vec<Processor>,
    /// Names of the only kernels to generate, if not all. Hashes are those of a build with all of them.
    pub list: Option<BTreeSet<String>>,
}

/// A format and how it is to be lowered.
#[derive(Debug)]
#[non_exhaustive]
pub struct PlannedFormat {
    /// The card.
    pub card: Card,
    /// How its weights are decoded.
    pub decoder: Decoder,
    /// Its packed class: the name and the parameters that are this format's own. `None` when it is only decoded.
    pub class: Option<(String, Class)>,
    /// The rule that keeps kernels from covering the format, if one does.
    pub uncovered: Option<String>,
}

impl Plan {
    /// Plans the kernels for the cards: for every format whose card asks for some, and for those that can share them.
    #[must_use]
    pub fn new(cards: Vec<Card>, mut isas: Vec<Isa>, variants: Vec<Variant>) -> Self {
        isas.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        let planned = |card: Card| {
            let decoder = value::decoder(&card.format);
            let (class, uncovered) = match Class::of(&card.format) {
                Ok(class) => (Some((class.name(), class)), None),
                Err(Uncovered { what }) => (None, Some(what)),
            };
            PlannedFormat { card, decoder, class, uncovered }
        };
        let mut formats = cards.into_iter().map(planned).collect::<Vec<_>>();
        let of_class = |format: &PlannedFormat| format.class.clone().filter(|_| format.card.format.kernels);
        let classes = formats.iter().filter_map(of_class).collect::<BTreeMap<_, _>>();
        // Kernels that others have anyway cost a format no more than its packer.
        for format in &mut formats {
            format.class.take_if(|(name, _)| !classes.contains_key(name));
        }
        formats.sort_by(|a, b| a.card.file.cmp(&b.card.file));
        let (operations, functions) = (Vec::new(), BTreeMap::new());
        Self { formats, classes, isas, variants, operations, functions, processors: Vec::new(), list: None }
    }

    /// Takes what calls compute, and the functions that this names.
    #[must_use]
    pub fn with_operations(mut self, operations: Vec<Operation>, functions: BTreeMap<String, String>) -> Self {
        (self.operations, self.functions) = (operations, functions);
        self
    }

    /// Takes what is known of microarchitectures.
    #[must_use]
    pub fn with_processors(mut self, processors: Vec<Processor>) -> Self {
        self.processors = processors;
        self
    }

    /// Leaves the kernels of these names; a format without any is only decoded.
    #[must_use]
    pub fn with_list(mut self, names: BTreeSet<String>) -> Self {
        for format in &mut self.formats {
            let is_listed = |variant: &Variant| names.contains(&kernel_name(&format.card.format.name, variant));
            format
                .class
                .take_if(|(_, class)| !self.variants.iter().any(|variant| class.has(variant.numerics) && is_listed(variant)));
        }
        let used =
            self.formats.iter().filter_map(|format| format.class.as_ref()).map(|(name, _)| name).collect::<BTreeSet<_>>();
        self.classes.retain(|name, _| used.contains(name));
        self.list = Some(names);
        self
    }

    /// The names of all kernels.
    pub fn kernel_names(&self) -> impl Iterator<Item = String> {
        let with_class = self.formats.iter().filter_map(|format| Some((format, format.class.as_ref()?)));
        with_class.flat_map(|(format, (_, class))| {
            let variants = self.variants.iter().filter(|variant| class.has(variant.numerics));
            variants.map(|variant| kernel_name(&format.card.format.name, variant))
        })
    }

    /// The formats for which kernels are asked and that no kernel covers, and why.
    pub fn uncovered(&self) -> impl Iterator<Item = (&str, &str)> {
        let asked = self.formats.iter().filter(|format| format.card.format.kernels);
        asked.filter_map(|format| Some((format.card.format.name.as_str(), format.uncovered.as_deref()?)))
    }

    /// Whether a format has a kernel, as far as the list goes.
    #[must_use]
    pub fn lists(&self, format: &PlannedFormat, variant: &Variant) -> bool {
        self.list.as_ref().is_none_or(|names| names.contains(&kernel_name(&format.card.format.name, variant)))
    }

    /// Whether any format of a class has a kernel, as far as the list goes.
    #[must_use]
    pub fn lists_for_class(&self, class: &str, variant: &Variant) -> bool {
        let of_class = |format: &&PlannedFormat| format.class.as_ref().is_some_and(|(name, _)| name == class);
        self.formats.iter().filter(of_class).any(|format| self.lists(format, variant))
    }

    /// Whether the variant of a start is generated for any class.
    #[must_use]
    pub fn has_start(&self, start: &Start) -> bool {
        let is_meant = |variant: &&Variant| {
            let Variant { isa, numerics, schedule, .. } = variant;
            (isa, *numerics, *schedule) == (&start.isa, start.numerics, start.schedule) && variant.tile_name() == start.tile
        };
        let variant = self.variants.iter().find(is_meant);
        variant.is_some_and(|variant| self.classes.keys().any(|class| self.lists_for_class(class, variant)))
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

/// The name of a format's kernel: `FORMAT.OPERATION.NUMERICS.ISA.TILE`.
#[must_use]
pub fn kernel_name(format: &str, variant: &Variant) -> String {
    let operation = match (variant.schedule, variant.cols) {
        (Schedule::Direct, 1) => "gemv",
        (Schedule::Direct, _) => "gemm",
        (Schedule::Panel, _) => "panel",
    };
    format!("{format}.{operation}.{}.{}.{}", variant.numerics.name(), variant.isa, variant.tile_name())
}
