//! Kernel bodies of the numerics class `int8`.
//!
//! Per span `t = +0`; per step `t = fma(root * sub, f32(dot), t)`; then the mins; then `sum = fma(activation scale, t, sum)`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::tile::{Tile, each};
use super::{quads, unit, value};
use crate::lower::class::{Min, Root, Sub};

/// Where a tile finds its weights.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The packed unit, decoded in registers.
    Packed,
    /// A segment that was unpacked before.
    Stage,
}

impl Tile<'_> {
    /// One unit: for each span its steps and mins, added to `sum{vector}_{column}`.
    pub fn int8_unit(&self, source: Source) -> TokenStream {
        let spans = self.class.unit / self.class.span;
        let clear = self.cells(|t, _, _| quote!(let mut #t = lanes::zero_f();), "t");
        let roots = self.span_roots(source);
        let steps = self.int8_steps(source);
        let mins = self.int8_mins(source);
        let finish = self.columns(|column| {
            let sums = (0..self.vectors).map(|vector| {
                let (sum, t) = (cell("sum", vector, column), cell("t", vector, column));
                quote!(#sum = lanes::fma(scale, #t, #sum);)
            });
            quote!({ let scale = lanes::splat_f(columns.scales[span][#column]); #(#sums)* })
        });
        each("span", spans, quote!(#clear #roots #steps #mins #finish))
    }

    /// The steps of a span, each with its dots and its scale.
    fn int8_steps(&self, source: Source) -> TokenStream {
        let class = self.class;
        let (span, step, body) = (class.span, class.step, class.body());
        if step >= body {
            let parts = step / body;
            let dots = self.dots(source, 0..body / 4, &quote!(span * #span + step * #step + inner * #body));
            let (start, flush) = self.around_step(source, &quote!(span * #span + step * #step));
            let parts = each("inner", parts, dots);
            each("step", span / step, quote!(#start #parts #flush))
        } else {
            let steps = (0..body / step).map(|sub| {
                let (first, quads) = (sub * step, step / 4);
                let dots = self.dots_of_loaded(source, sub * quads..(sub + 1) * quads, &quote!(at_body));
                let (start, flush) = self.around_step(source, &quote!(span * #span + inner * #body + #first));
                quote!({ #start #dots #flush })
            });
            let load = self.load(source, &quote!(at_body));
            each(
                "inner",
                span / body,
                quote! {
                    let at_body = (span * #span + inner * #body) / #body;
                    #load
                    #(#steps)*
                },
            )
        }
    }

    /// Starts each dot at the bias of the step, and ends it with its scale.
    fn around_step(&self, source: Source, at: &TokenStream) -> (TokenStream, TokenStream) {
        let step = self.class.step;
        let start = self.columns(|column| {
            let first = if unit::bias(self.class, self.width) != 0 {
                quote!(lanes::splat_i(columns.bias[at_step][#column]))
            } else {
                quote!(lanes::zero_i())
            };
            let dots = (0..self.vectors).map(|vector| cell("dot", vector, column));
            let others = self.other_dots(column).into_iter().flatten();
            quote!(#(let mut #dots = #first;)* #(let mut #others = lanes::zero_i();)*)
        });
        let scales = (0..self.vectors).map(|vector| {
            let (scale, value, zeros) =
                (format_ident!("scale{vector}"), self.step_scale(source, vector), self.step_zeros(source, vector));
            quote!(let #scale = #value; #zeros)
        });
        let flush = self.cells(
            |t, vector, column| {
                let (dot, scale) = (cell("dot", vector, column), format_ident!("scale{vector}"));
                let mut others = self.other_dots(column);
                let whole =
                    others.swap_remove(vector).into_iter().fold(quote!(#dot), |sum, other| quote!(lanes::add_i(#sum, #other)));
                let whole = self.less_zeros(vector, column, quote!(lanes::to_float(#whole)));
                quote!(#t = lanes::fma(#scale, #whole, #t);)
            },
            "t",
        );
        (quote!(let at_step = (#at) / #step; #start), quote!(#(#scales)* #flush))
    }

    /// The zero points of step `at_step` as f32, if the class has them.
    fn step_zeros(&self, source: Source, vector: usize) -> Option<TokenStream> {
        let (name, step) = (format_ident!("zeros{vector}"), self.class.step);
        self.class.zero_group.map(|group| match source {
            Source::Packed => {
                let zeros = self.zeros(vector, &quote!(at_step * #step / #group));
                quote!(let #name = #zeros;)
            }
            Source::Stage => quote!(let #name = lanes::floats(&stage.zeros[at_step * #step / #group][#vector]);),
        })
    }

    /// The zero points of a group as f32.
    pub fn zeros(&self, vector: usize, index: &TokenStream) -> TokenStream {
        let (unit, part) = (format_ident!("unit{vector}"), self.part(vector));
        quote!(lanes::to_float(lanes::signed(&#unit.zeros[#index][#part])))
    }

    /// `dot - zero * sum of quants`: all three are integers below 2^24, so that the f32 operation is exact.
    fn less_zeros(&self, vector: usize, column: usize, dot: TokenStream) -> TokenStream {
        if self.class.zero_group.is_none() {
            return dot;
        }
        let zeros = format_ident!("zeros{vector}");
        quote!(lanes::sub_product(#dot, #zeros, lanes::to_float(lanes::splat_i(columns.sums[at_step][#column]))))
    }

    /// The accumulators of a column beside the first, by vector.
    fn other_dots(&self, column: usize) -> Vec<Vec<Ident>> {
        let of_vector = |vector| (1..self.accumulators).map(|turn| self.dot(vector, column, turn)).collect();
        (0..self.vectors).map(of_vector).collect()
    }

    /// The accumulator of a cell whose turn it is.
    fn dot(&self, vector: usize, column: usize, turn: usize) -> Ident {
        match turn % self.accumulators {
            0 => cell("dot", vector, column),
            turn => cell(&format!("dot{turn}_"), vector, column),
        }
    }

    /// Loads the lines of a body if they come from packed memory, and multiplies its quads.
    fn dots(&self, source: Source, range: std::ops::Range<usize>, at: &TokenStream) -> TokenStream {
        let body = self.class.body();
        let load = self.load(source, &quote!(at_body));
        let dots = self.dots_of_loaded(source, range, &quote!(at_body));
        quote!(let at_body = (#at) / #body; #load #dots)
    }

    fn load(&self, source: Source, at_body: &TokenStream) -> TokenStream {
        if source == Source::Stage {
            return quote!();
        }
        let loads = (0..self.vectors).map(|vector| {
            let unit = format_ident!("unit{vector}");
            let lines = self.class.body_lines();
            let (codes, prefix) = (quote!(#unit.codes[#at_body]), format!("line{vector}_"));
            self.load_lines(vector, &codes, &quote!(0), lines, &prefix, self.streams)
        });
        quote!(#(#loads)*)
    }

    fn dots_of_loaded(&self, source: Source, range: std::ops::Range<usize>, at_body: &TokenStream) -> TokenStream {
        let quads = range.clone().map(|quad| {
            let weights = (0..self.vectors).map(|vector| {
                let name = format_ident!("weight{vector}");
                let value = self.quad(source, vector, quad, at_body);
                quote!(let #name = #value;)
            });
            let products = self.columns(|column| {
                let products = (0..self.vectors).map(|vector| self.multiply(vector, column, quad - range.start, range.len()));
                quote!({ let quant = lanes::splat_i(columns.quants[#at_body][#quad][#column]); #(#products)* })
            });
            quote!(#(#weights)* #products)
        });
        let pairs = self.pair_sums();
        quote!(#pairs #(#quads)*)
    }

    fn quad(&self, source: Source, vector: usize, quad: usize, at_body: &TokenStream) -> TokenStream {
        match source {
            Source::Packed => quads::quad(self.class, &format!("line{vector}_"), quad),
            Source::Stage => quote!(lanes::line(&stage.quads[#at_body][#quad][#vector])),
        }
    }

    /// The 16-bit sums that some instruction sets add to before they widen.
    fn pair_sums(&self) -> TokenStream {
        if !self.width.dot.is_narrow() {
            return quote!();
        }
        self.cells(|pair, _, _| quote!(let mut #pair;), "pair")
    }

    /// Adds the products of quad `index` of `count` to the dot, by the primitive of the instruction set.
    fn multiply(&self, vector: usize, column: usize, index: usize, count: usize) -> TokenStream {
        let weight = format_ident!("weight{vector}");
        let less_128 = unit::signed_products(self.class, self.width);
        if !self.width.dot.is_narrow() {
            let dot = self.dot(vector, column, index);
            let sum = if less_128 { quote!(lanes::dot_128) } else { quote!(lanes::dot) };
            return quote!(#dot = #sum(#dot, #weight, quant););
        }
        let pair = cell("pair", vector, column);
        let products = if less_128 { quote!(lanes::products_128) } else { quote!(lanes::products) };
        let budget = unit::budget(self.class, self.width);
        let first = index.is_multiple_of(budget);
        let last = (index + 1).is_multiple_of(budget) || index + 1 == count;
        let add = if first {
            quote!(#pair = #products(#weight, quant);)
        } else {
            quote!(#pair = lanes::add_products(#pair, #products(#weight, quant));)
        };
        let dot = self.dot(vector, column, index / budget);
        let widen = last.then(|| quote!(#dot = lanes::widen(#dot, #pair);));
        quote!(#add #widen)
    }

    /// Roots that a whole span shares.
    fn span_roots(&self, source: Source) -> TokenStream {
        let class = self.class;
        if source == Source::Stage || class.root_group < class.span || class.sub_scale.is_none() {
            return quote!();
        }
        let (span, group) = (class.span, class.root_group);
        let unit_value = class.scale_factor();
        let roots = (0..self.vectors).map(|vector| {
            let name = format_ident!("root{vector}");
            let root = self.root(vector, "roots", &quote!(span * #span / #group), unit_value);
            quote!(let #name = #root;)
        });
        quote!(#(#roots)*)
    }

    /// `unit{vector}.{field}[index]` as f32, times a constant.
    pub fn root(&self, vector: usize, field: &str, index: &TokenStream, unit_value: f32) -> TokenStream {
        let (unit, field, part) = (format_ident!("unit{vector}"), format_ident!("{field}"), self.part(vector));
        let place = quote!(&#unit.#field[#index][#part]);
        let load = match self.class.root {
            Root::F16 => quote!(lanes::halves(#place)),
            Root::Bf16 => quote!(lanes::bfloats(#place)),
            Root::F32 => quote!(lanes::floats(#place)),
            Root::E8m0 { bias } => {
                let bias = proc_macro2::Literal::i32_unsuffixed(bias);
                quote!(lanes::powers_of_two::<#bias>(#place))
            }
            Root::Ue4m3 => quote!(lanes::ue4m3(#place)),
        };
        if unit_value == 1.0 {
            return load;
        }
        let factor = value::float(unit_value);
        quote!(lanes::mul(#load, lanes::splat_f(#factor)))
    }

    /// The f32 scale of step `at_step`.
    fn step_scale(&self, source: Source, vector: usize) -> TokenStream {
        if source == Source::Stage {
            return quote!(lanes::floats(&stage.scales[at_step][#vector]));
        }
        self.packed_scale(vector)
    }

    /// The root that [`Tile::packed_scale`] takes for granted, where a span has one: that of step `at_step`.
    pub fn step_root(&self, vector: usize) -> Option<TokenStream> {
        let (class, name) = (self.class, format_ident!("root{vector}"));
        let (step, group) = (class.step, class.root_group);
        class.sub_scale.filter(|_| group >= class.span).map(|_| {
            let root = self.root(vector, "roots", &quote!(at_step * #step / #group), class.scale_factor());
            quote!(let #name = #root;)
        })
    }

    /// `root * sub` of step `at_step`, from the packed unit.
    pub fn packed_scale(&self, vector: usize) -> TokenStream {
        let class = self.class;
        let (step, group) = (class.step, class.root_group);
        match class.sub_scale {
            None => self.root(vector, "roots", &quote!(at_step * #step / #group), class.scale_factor()),
            Some(sub) => {
                let root = if class.root_group < class.span {
                    self.root(vector, "roots", &quote!(at_step * #step / #group), class.scale_factor())
                } else {
                    let root = format_ident!("root{vector}");
                    quote!(#root)
                };
                let integer = self.sub_integer(vector, sub);
                quote!(lanes::mul(#root, lanes::to_float(#integer)))
            }
        }
    }

    fn sub_integer(&self, vector: usize, sub: Sub) -> TokenStream {
        let (unit, part) = (format_ident!("unit{vector}"), self.part(vector));
        let load = if sub.signed { quote!(signed) } else { quote!(unsigned) };
        quote!(lanes::#load(&#unit.scales[at_step][#part]))
    }

    /// The mins of a span, after its dots.
    fn int8_mins(&self, source: Source) -> TokenStream {
        match self.class.min {
            None => quote!(),
            Some(Min::Flat) => self.flat_mins(source),
            Some(Min::Sub(sub)) => self.sub_mins(source, sub),
        }
    }

    fn flat_mins(&self, source: Source) -> TokenStream {
        let (steps, step, group) = (self.class.span / self.class.step, self.class.step, self.class.root_group);
        let add = self.cells(
            |t, vector, column| {
                let min = match source {
                    Source::Packed => self.root(vector, "min_roots", &quote!(at_step * #step / #group), 1.0),
                    Source::Stage => quote!(lanes::floats(&stage.min_roots[at_step * #step / #group][#vector])),
                };
                quote!(#t = lanes::fma(#min, lanes::to_float(lanes::splat_i(columns.sums[at_step][#column])), #t);)
            },
            "t",
        );
        each("step", steps, quote!(let at_step = span * #steps + step; #add))
    }

    /// One exact integer sum of `sub-min * quant sum`, two steps an instruction, then one fma.
    fn sub_mins(&self, source: Source, sub: Sub) -> TokenStream {
        let class = self.class;
        let pairs = class.span_pairs();
        let (span, group) = (class.span, class.root_group);
        let mins = (0..self.vectors).map(|vector| {
            let (name, unit, part) = (format_ident!("mins{vector}"), format_ident!("unit{vector}"), self.part(vector));
            let load = match source {
                Source::Packed => quote!(lanes::pairs(&#unit.mins[at_pair][#part])),
                Source::Stage => quote!(lanes::line(&stage.mins[at_pair][#vector])),
            };
            quote!(let #name = #load;)
        });
        let clear = self.cells(|dot, _, _| quote!(let mut #dot = lanes::zero_i();), "dot");
        let add = self.columns(|column| {
            let dots = (0..self.vectors).map(|vector| {
                let (dot, mins) = (cell("dot", vector, column), format_ident!("mins{vector}"));
                quote!(#dot = lanes::dot_pairs(#dot, #mins, sums);)
            });
            quote!({ let sums = lanes::splat_i(columns.sums[at_pair][#column]); #(#dots)* })
        });
        let loop_pairs = each("pair", pairs, quote!(let at_pair = span * #pairs + pair; #(#mins)* #add));
        let roots = (0..self.vectors).map(|vector| {
            let name = format_ident!("scale{vector}");
            let root = match source {
                Source::Packed => self.root(vector, "min_roots", &quote!(span * #span / #group), sub.unit),
                Source::Stage => quote!(lanes::floats(&stage.min_roots[span * #span / #group][#vector])),
            };
            quote!(let #name = #root;)
        });
        let finish = self.cells(
            |t, vector, column| {
                let (dot, scale) = (cell("dot", vector, column), format_ident!("scale{vector}"));
                quote!(#t = lanes::fma(#scale, lanes::to_float(#dot), #t);)
            },
            "t",
        );
        quote!({ #clear #loop_pairs #(#roots)* #finish })
    }
}

/// The variable of one cell of a tile.
pub fn cell(prefix: &str, vector: usize, column: usize) -> Ident {
    format_ident!("{prefix}{vector}_{column}")
}
