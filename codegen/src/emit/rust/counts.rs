//! What a kernel executes, counted in its own text when that is emitted: the words of the vocabulary, by the loops that they are in.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quantloom_spec::isa::Dot;
use quantloom_spec::kernels::Numerics;
use quantloom_spec::processor::Kind;
use quote::{format_ident, quote};

use super::Width;

/// Vector instructions of each kind, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations([usize; Kind::ALL.len()]);

/// The operations of a kernel, by how often they are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each unit of each tile and column group.
    pub unit: Operations,
    /// For each unit of each tile, whatever the columns.
    pub unpacking: Operations,
    /// For each segment of each tile and column group.
    pub sums: Operations,
}

impl Counts {
    /// Of the text of a kernel.
    pub fn of(body: &TokenStream, width: Width, numerics: Numerics) -> Self {
        let mut counter = Counter { width, numerics, counts: Self::default() };
        counter.walk(body.clone(), Place { times: 1, group: false, unit: false });
        counter.counts
    }

    /// Fields of `abi::Counts`.
    pub fn fields(&self) -> TokenStream {
        let [unit, unpacking, sums] = [self.unit, self.unpacking, self.sums].map(Operations::literal);
        quote!(unit: #unit, unpacking: #unpacking, sums: #sums)
    }
}

impl Operations {
    /// How many there are of a kind.
    const fn of(self, kind: Kind) -> usize {
        self.0[kind as usize]
    }

    fn add(&mut self, kind: Kind, count: usize) {
        self.0[kind as usize] += count;
    }

    /// It as text, without the kinds that there are none of.
    fn literal(self) -> TokenStream {
        let present = Kind::ALL.into_iter().filter(|kind| self.of(*kind) > 0).collect::<Vec<_>>();
        if present.is_empty() {
            return quote!(abi::Operations::NONE);
        }
        let names = present.iter().map(|kind| format_ident!("{}", kind.name()));
        let counts = present.iter().map(|kind| self.of(*kind));
        let rest = (present.len() < Kind::ALL.len()).then(|| quote!(..abi::Operations::NONE));
        quote!(abi::Operations { #(#names: #counts,)* #rest })
    }
}

/// The loops around a word.
#[derive(Clone, Copy)]
struct Place {
    /// Turns of those whose number is constant, all together.
    times: usize,
    /// One of them is over column groups.
    group: bool,
    /// One of them is over units.
    unit: bool,
}

impl Place {
    /// Inside one more loop, `for pattern in bounds`.
    fn inside(self, head: &[TokenTree]) -> Self {
        let at = head.iter().position(|token| is(token, "in")).unwrap_or_default();
        let (pattern, bounds) = (&head[..at], &head[at + 1..]);
        if let [TokenTree::Literal(_), TokenTree::Punct(_), TokenTree::Punct(_), TokenTree::Literal(end)] = bounds {
            let end = end.to_string();
            let turns = end.trim_end_matches("usize").parse::<usize>().expect("loops with two numbers count to the second");
            return Self { times: self.times * turns, ..self };
        }
        Self {
            group: self.group || mentions(pattern.iter().cloned().collect(), "group"),
            unit: self.unit || ["unit", "columns"].iter().any(|name| mentions(pattern.iter().cloned().collect(), name)),
            ..self
        }
    }
}

struct Counter {
    width: Width,
    numerics: Numerics,
    counts: Counts,
}

impl Counter {
    fn walk(&mut self, tokens: TokenStream, place: Place) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            if is(&token, "for") {
                let mut head = Vec::new();
                for token in tokens.by_ref() {
                    match token {
                        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                            self.walk(body.stream(), place.inside(&head));
                            break;
                        }
                        token => head.push(token),
                    }
                }
            } else if is(&token, "lanes") {
                // After two colons.
                if let Some(TokenTree::Ident(word)) = tokens.nth(2) {
                    let activation = matches!(tokens.peek(), Some(TokenTree::Group(of)) if is_of_columns(of.stream()));
                    self.add(&word, activation, place);
                }
            } else if let TokenTree::Group(group) = token {
                self.walk(group.stream(), place);
            }
        }
    }

    /// Counts a word. What is done once for all units is nothing beside the rest.
    fn add(&mut self, word: &Ident, activation: bool, place: Place) {
        let instructions = self.instructions(&word.to_string(), activation);
        let counts = match (place.unit, place.group) {
            (true, true) => &mut self.counts.unit,
            (true, false) => &mut self.counts.unpacking,
            (false, true) => &mut self.counts.sums,
            (false, false) => return,
        };
        for &(kind, count) in instructions {
            counts.add(kind, place.times * count);
        }
    }

    /// The instructions of a word where it stands.
    fn instructions(&self, word: &str, activation: bool) -> &'static [(Kind, usize)] {
        match word {
            "splat_i" | "splat_f" | "splat_two" | "quants" | "first_two" if activation => &[(Kind::Broadcasts, 1)],
            "fma" if self.numerics == Numerics::Exact => &[(Kind::Products, 1)],
            // Constants stay in registers.
            // Made once, or an order and no instruction.
            "splat_i" | "splat_f" | "zero_i" | "zero_f" | "after" | "after_f" => &[],
            word => instructions(word, self.width),
        }
    }
}

/// About which instructions a word of the vocabulary is, and how many of each: `runtime/simd/src/lanes/`.
fn instructions(word: &str, width: Width) -> &'static [(Kind, usize)] {
    use Kind::{Converts, Floats, Integers, Loads, Products, Stores};
    match (word, width.dot, width.lanes) {
        ("line" | "floats", ..) => &[(Loads, 1)],
        ("store_line" | "store_floats", ..) => &[(Stores, 1)],
        // Into wider lanes, of which x86 shifts upper halves besides.
        ("halves" | "bfloats" | "unsigned" | "signed" | "pairs", ..) => &[(Loads, 1), (Converts, 1)],
        ("powers_of_two", ..) => &[(Loads, 1), (Converts, 1), (Integers, 5), (Floats, 1)],
        ("ue4m3", ..) => &[(Loads, 1), (Converts, 2), (Integers, 2), (Floats, 1)],
        ("e4m3", ..) => &[(Integers, 7), (Floats, 1)],
        ("e4m3_number", ..) => &[(Integers, 3), (Floats, 1)],
        ("magnitudes", ..) => &[(Integers, 2)],
        ("unless_nan", ..) => &[(Integers, 3)],
        ("byte", ..) => &[(Integers, 2), (Converts, 1)],
        ("low_half" | "high_half", ..) => &[(Integers, 1), (Converts, 1)],
        ("to_float", ..) => &[(Converts, 1)],
        ("fma" | "first_product" | "sub_product" | "mul" | "add" | "sub", ..) => &[(Floats, 1)],
        ("dot", _, 1) | ("widen", Dot::ProductsI16, _) => &[(Products, 4)],
        ("signed_products", Dot::PairsI16, 8) => &[(Products, 3)],
        ("signed_products", Dot::PairsI16, _) => &[(Products, 4)],
        ("dot_pairs" | "widen", Dot::PairsI16, _) | ("products", Dot::ProductsI16, _) => &[(Products, 2)],
        // A multiplication that adds.
        ("add_products", Dot::ProductsI16, _) => &[],
        ("dot" | "dot_matrix" | "dot_pairs" | "products" | "signed_products" | "add_products" | "widen", ..) => {
            &[(Products, 1)]
        }
        ("pick", _, 8) => &[(Integers, 5)],
        ("pick", _, 4) | ("look_up", _, 1) | ("look_up_32", _, 8) => &[(Integers, 4)],
        ("look_up_32", _, 16) => &[(Integers, 3)],
        ("pick", ..) => &[(Integers, 2)],
        _ => &[(Integers, 1)],
    }
}

fn is(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

/// Whether something that a column has appears in some text: of the unit `columns`, or taken from there.
fn is_of_columns(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => is_of_columns(group.stream()),
        token => matches!(token, TokenTree::Ident(ident) if ident.to_string().starts_with("column")),
    })
}

/// Whether a name appears in some text.
fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), name),
        token => is(&token, name),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use Kind::{Broadcasts, Converts, Floats, Integers, Loads, Products, Stores};

    use super::*;
    use crate::emit::rust::kernel::Kernel;
    use crate::lower::class::Class;
    use crate::plan::Plan;
    use crate::{Config, Set, cards_dir};

    fn plan() -> &'static Plan {
        static PLAN: LazyLock<Plan> = LazyLock::new(|| Config::new().cards(cards_dir()).variants(Set::All).plan().unwrap());
        &PLAN
    }

    /// What the first kernel of an instruction set executes that has such a name, for a class.
    fn counts(plan: &Plan, class: &Class, isa: &str, name: &str) -> Counts {
        let isa = plan.isas.iter().find(|known| known.name == isa).unwrap();
        let kernels = plan.variants_of(isa).map(|variant| Kernel::new(class, isa, variant));
        let kernel = kernels.into_iter().find(|kernel| kernel.name().to_string().starts_with(name)).unwrap();
        Counts::of(&kernel.body(), kernel.tile.width, kernel.variant.numerics)
    }

    /// So many of these kinds, and none of others.
    fn of(counts: &[(Kind, usize)]) -> Operations {
        let mut operations = Operations::default();
        counts.iter().for_each(|&(kind, count)| operations.add(kind, count));
        operations
    }

    /// 4-bit codes with a zero of 8: 64 weights in a unit, of two steps that are spans of their own, each under a half-precision root.
    fn four_bits(plan: &Plan) -> &Class {
        &plan.classes["linear4z8_g32_h32_a32_u64"]
    }

    #[test]
    fn a_direct_tile_is_counted() {
        let plan = plan();
        // 64 rows are 4 vectors; a unit is 16 quads and 8 lines.
        let Counts { unit, unpacking, sums } = counts(plan, four_bits(plan), "avx512vnni", "int8_direct_r64c4");
        // A dot for each quad, vector and column.
        assert_eq!(unit.of(Products), 16 * 4 * 4);
        // For each column: its quads, the scales of two steps, and their biases, which the text has once for each vector.
        assert_eq!(unit.of(Broadcasts), (16 + 2 + 2 * 4) * 4);
        // For each vector: its lines and the roots of two steps.
        assert_eq!((unit.of(Loads), unit.of(Stores)), ((8 + 2) * 4, 0));
        // For each vector: a mask for each quad, and a shift for every other.
        assert_eq!(unit.of(Integers), (16 + 8) * 4);
        // Each root of a vector, and the dots of each cell and step.
        assert_eq!(unit.of(Converts), 2 * 4 + 2 * 4 * 4);
        // For each cell and step: the fmas that end the step and the span.
        assert_eq!(unit.of(Floats), 2 * 2 * 4 * 4);
        assert_eq!(unpacking, Operations::default());
        // For each cell: loaded, added to, stored.
        assert_eq!(sums, of(&[(Loads, 16), (Floats, 16), (Stores, 16)]));
    }

    #[test]
    fn a_panel_is_unpacked_once() {
        let plan = plan();
        let Counts { unit, unpacking, .. } = counts(plan, four_bits(plan), "avx512vnni", "int8_panel_r32c8");
        assert_eq!(unit.of(Products), 16 * 2 * 8);
        // From the stage: a vector for each quad, and the scale of each step.
        assert_eq!((unit.of(Loads), unit.of(Stores)), ((16 + 2) * 2, 0));
        assert_eq!((unit.of(Converts), unit.of(Floats)), (2 * 2 * 8, 2 * 2 * 2 * 8));
        assert_eq!(unit.of(Integers), 0, "codes are taken out of lines before");
        // Lines and roots are loaded and taken apart, quads and scales stored.
        let wanted = [(Loads, 8 + 2), (Integers, 16 + 8), (Converts, 2), (Stores, 16 + 2)];
        assert_eq!(unpacking, of(&wanted.map(|(kind, count)| (kind, count * 2))));
    }

    #[test]
    fn a_word_of_several_instructions_has_them_in_their_kinds() {
        let plan = plan();
        let vnni = Width::of(plan.isas.iter().find(|isa| isa.name == "avx512vnni").unwrap());
        for (word, wanted) in [
            ("halves", &[(Loads, 1), (Converts, 1)][..]),
            ("pairs", &[(Loads, 1), (Converts, 1)]),
            ("byte", &[(Integers, 2), (Converts, 1)]),
            ("powers_of_two", &[(Loads, 1), (Integers, 5), (Converts, 1), (Floats, 1)]),
            ("look_up_32", &[(Integers, 3)]),
            ("dot", &[(Products, 1)]),
        ] {
            assert_eq!(of(instructions(word, vnni)), of(wanted), "{word}");
        }
    }

    #[test]
    fn kinds_lie_in_the_order_in_which_cards_have_them() {
        assert!(Kind::ALL.into_iter().enumerate().all(|(place, kind)| kind as usize == place));
        let text = of(&[(Broadcasts, 1), (Integers, 7)]).literal().to_string();
        let wanted = quote!(abi::Operations { broadcasts: 1usize, integers: 7usize, ..abi::Operations::NONE });
        assert_eq!(text, wanted.to_string());
        assert_eq!(Operations::default().literal().to_string(), quote!(abi::Operations::NONE).to_string());
    }

    #[test]
    fn narrow_sums_are_widened() {
        let plan = plan();
        // 16 rows are 2 vectors of 8 lanes. A step of 8 quads: so many products, one sum less, and two instructions that widen.
        let Counts { unit, .. } = counts(plan, four_bits(plan), "avx2", "int8_direct_r16c2");
        assert_eq!(unit.of(Products), 2 * (8 + 7 + 2) * 2 * 2);
    }

    #[test]
    fn turns_over_a_panel_count() {
        let plan = plan();
        // One lane at a time, a dot being four products: 16 turns.
        let Counts { unit, .. } = counts(plan, four_bits(plan), "scalar", "int8_direct_r16c1");
        assert_eq!(unit.of(Products), 4 * 16 * 16);
    }

    #[test]
    fn exact_kernels_multiply_every_weight_by_every_column() {
        let plan = plan();
        for isa in plan.isas.iter().filter(|isa| isa.arch.as_deref() != Some("aarch64")) {
            for variant in plan.variants_of(isa).filter(|variant| variant.numerics == Numerics::Exact) {
                for class in [four_bits(plan), &plan.classes["plain_g32_h1_a32_u64"]] {
                    let kernel = Kernel::new(class, isa, variant);
                    let unit = Counts::of(&kernel.body(), kernel.tile.width, variant.numerics).unit;
                    let cells = variant.rows / isa.lanes() * variant.cols;
                    assert_eq!(unit.of(Products), class.unit * cells, "{}", kernel.name());
                    let turns = class.unit * variant.cols * variant.rows / isa.lanes() / kernel.tile.vectors;
                    assert_eq!(unit.of(Broadcasts), turns, "{}", kernel.name());
                }
            }
        }
    }
}
