//! What a kernel executes, counted in its own text when that is emitted: the words of the vocabulary, by the loops that they are in.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quantloom_spec::isa::Dot;
use quantloom_spec::kernels::Numerics;
use quote::quote;

use super::Width;

/// Vector instructions by kind; what each kind is, `abi::Operations` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Activations brought into all lanes.
    pub broadcasts: usize,
    /// Vectors loaded or stored.
    pub vectors: usize,
    /// Products of weights and activations, and their sums.
    pub products: usize,
    /// All other arithmetic.
    pub others: usize,
}

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
    fn literal(self) -> TokenStream {
        let Self { broadcasts, vectors, products, others } = self;
        quote!(abi::Operations { broadcasts: #broadcasts, vectors: #vectors, products: #products, others: #others })
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
                    let activation = matches!(tokens.peek(), Some(TokenTree::Group(of)) if mentions(of.stream(), "columns"));
                    self.add(&word, activation, place);
                }
            } else if let TokenTree::Group(group) = token {
                self.walk(group.stream(), place);
            }
        }
    }

    /// Counts a word. What is done once for all units is nothing beside the rest.
    fn add(&mut self, word: &Ident, activation: bool, place: Place) {
        let counts = match (place.unit, place.group) {
            (true, true) => &mut self.counts.unit,
            (true, false) => &mut self.counts.unpacking,
            (false, true) => &mut self.counts.sums,
            (false, false) => return,
        };
        let (word, times) = (word.to_string(), place.times);
        let instructions = times * instructions(&word, self.width);
        match word.as_str() {
            "splat_i" | "splat_f" | "splat_two" | "quants" | "first_two" if activation => counts.broadcasts += instructions,
            "line" | "floats" | "store_line" | "store_floats" => counts.vectors += instructions,
            "halves" | "bfloats" | "powers_of_two" | "ue4m3" | "unsigned" | "signed" | "pairs" => {
                counts.vectors += times;
                counts.others += instructions - times;
            }
            "dot" | "dot_matrix" | "dot_pairs" | "products" | "signed_products" | "add_products" | "widen" => {
                counts.products += instructions;
            }
            "fma" if self.numerics == Numerics::Exact => counts.products += instructions,
            // Constants stay in registers.
            // Made once, or an order and no instruction.
            "splat_i" | "splat_f" | "zero_i" | "zero_f" | "after" | "after_f" => {}
            _ => counts.others += instructions,
        }
    }
}

/// About how many instructions a word of the vocabulary is: `generated/src/lanes/`.
fn instructions(word: &str, width: Width) -> usize {
    match (word, width.dot, width.lanes) {
        ("dot" | "look_up", _, 1) => 4,
        ("dot_pairs" | "widen", Dot::PairsI16, _) => 2,
        ("signed_products", Dot::PairsI16, 8) => 3,
        ("signed_products", Dot::PairsI16, _) => 4,
        ("products", Dot::ProductsI16, _) => 2,
        // A multiplication that adds.
        ("add_products", Dot::ProductsI16, _) => 0,
        ("widen", Dot::ProductsI16, _) => 4,
        ("look_up_32", _, 8) => 4,
        ("look_up_32", _, 16) => 3,
        ("pick", _, 8) => 5,
        ("pick", _, 4) => 4,
        ("pick", ..) => 2,
        ("e4m3" | "powers_of_two", ..) => 8,
        ("ue4m3", ..) => 6,
        ("byte", ..) => 3,
        ("bfloats" | "halves" | "unsigned" | "signed" | "pairs" | "low_half" | "high_half", ..) => 2,
        _ => 1,
    }
}

fn is(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
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
        assert_eq!(unit.products, 16 * 4 * 4);
        // For each column: its quads, the scales of two steps, and their biases, which the text has once for each vector.
        assert_eq!(unit.broadcasts, (16 + 2 + 2 * 4) * 4);
        // For each vector: its lines and the roots of two steps.
        assert_eq!(unit.vectors, (8 + 2) * 4);
        // For each vector: a mask for each quad, a shift for every other, a conversion of each root. For each cell and step: a conversion
        // and the fmas that end the step and the span.
        assert_eq!(unit.others, (16 + 8 + 2) * 4 + 2 * 3 * 4 * 4);
        assert_eq!(unpacking, Operations::default());
        // For each cell: loaded, added to, stored.
        assert_eq!(sums, Operations { vectors: 2 * 16, others: 16, ..Operations::default() });
    }

    #[test]
    fn a_panel_is_unpacked_once() {
        let plan = plan();
        let Counts { unit, unpacking, .. } = counts(plan, four_bits(plan), "avx512vnni", "int8_panel_r32c8");
        assert_eq!(unit.products, 16 * 2 * 8);
        // From the stage: a vector for each quad, and the scale of each step.
        assert_eq!(unit.vectors, (16 + 2) * 2);
        assert_eq!(unit.others, 2 * 3 * 2 * 8, "codes are taken out of lines before");
        // Lines and roots are loaded, quads and scales stored.
        assert_eq!(unpacking.vectors, (8 + 2 + 16 + 2) * 2);
        assert_eq!((unpacking.products, unpacking.others), (0, (16 + 8 + 2) * 2));
    }

    #[test]
    fn narrow_sums_are_widened() {
        let plan = plan();
        // 16 rows are 2 vectors of 8 lanes. A step of 8 quads: so many products, one sum less, and two instructions that widen.
        let Counts { unit, .. } = counts(plan, four_bits(plan), "avx2", "int8_direct_r16c2");
        assert_eq!(unit.products, 2 * (8 + 7 + 2) * 2 * 2);
    }

    #[test]
    fn turns_over_a_panel_count() {
        let plan = plan();
        // One lane at a time, a dot being four products: 16 turns.
        let Counts { unit, .. } = counts(plan, four_bits(plan), "scalar", "int8_direct_r16c1");
        assert_eq!(unit.products, 4 * 16 * 16);
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
                    assert_eq!(unit.products, class.unit * cells, "{}", kernel.name());
                    let turns = class.unit * variant.cols * variant.rows / isa.lanes() / kernel.tile.vectors;
                    assert_eq!(unit.broadcasts, turns, "{}", kernel.name());
                }
            }
        }
    }
}
