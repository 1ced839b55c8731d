//! Scales, mins and zero points of a unit: what a dot is multiplied by, and what is added after it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::int8::{Source, cell};
use super::tile::{Tile, each};
use super::value;
use crate::lower::class::{Min, Root, Sub};

impl Tile<'_> {
    /// The zero points of step `at_step` as f32, if the class has them.
    pub fn step_zeros(&self, source: Source, vector: usize) -> Option<TokenStream> {
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
        quote!(lanes::to_float(lanes::signed(&#unit.zeros[#index]#part)))
    }

    /// `dot - zero * sum of quants`: all three are integers below 2^24, so that the f32 operation is exact.
    pub fn less_zeros(&self, vector: usize, column: usize, dot: TokenStream) -> TokenStream {
        if self.class.zero_group.is_none() {
            return dot;
        }
        let zeros = format_ident!("zeros{vector}");
        quote!(lanes::sub_product(#dot, #zeros, lanes::to_float(lanes::splat_i(columns.sums[at_step][#column]))))
    }

    /// Roots that a whole span shares.
    pub fn span_roots(&self, source: Source) -> TokenStream {
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
        let place = quote!(&#unit.#field[#index]#part);
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
    pub fn step_scale(&self, source: Source, vector: usize) -> TokenStream {
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
        quote!(lanes::#load(&#unit.scales[at_step]#part))
    }

    /// The mins of a span, after its dots.
    pub fn int8_mins(&self, source: Source) -> TokenStream {
        match self.class.min {
            None => quote!(),
            Some(Min::Flat) => self.flat_mins(source),
            Some(Min::Sub(sub)) => self.sub_mins(source, sub),
        }
    }

    fn flat_mins(&self, source: Source) -> TokenStream {
        let (steps, step, group) = (self.class.span / self.class.step, self.class.step, self.class.root_group);
        let add = self.sums(
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
                Source::Packed => quote!(lanes::pairs(&#unit.mins[at_pair]#part)),
                Source::Stage => quote!(lanes::line(&stage.mins[at_pair][#vector])),
            };
            quote!(let #name = #load;)
        });
        let clear = self.cells(|dot, _, _| quote!(let mut #dot = lanes::zero_i();), "dot");
        let add = self.columns(&quote!(&columns.sums[at_pair]), |column, sums| {
            let dots = (0..self.vectors).map(|vector| {
                let (dot, mins) = (cell("dot", vector, column), format_ident!("mins{vector}"));
                quote!(#dot = lanes::dot_pairs(#dot, #mins, sums);)
            });
            quote!({ let sums = lanes::splat_i(#sums); #(#dots)* })
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
        let finish = self.sums(
            |t, vector, column| {
                let (dot, scale) = (cell("dot", vector, column), format_ident!("scale{vector}"));
                quote!(#t = lanes::fma(#scale, lanes::to_float(#dot), #t);)
            },
            "t",
        );
        quote!({ #clear #loop_pairs #(#roots)* #finish })
    }
}
