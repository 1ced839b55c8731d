//! Kernel bodies of the numerics class `exact`: `sum = fma(w, x, sum)` in K order, `w` having the bits of the decoder's f32.

use proc_macro2::TokenStream;
use quantloom_spec::kernels::Prefetch;
use quote::{format_ident, quote};

use super::int8::{Source, cell};
use super::tile::{Tile, each};
use super::{quads, value};
use crate::lower::class::{Codes, LINE, Min, PANEL_ROWS};

/// What becomes of decoded weights.
pub struct Use<'a> {
    /// The text that uses the vectors `weight0`, `weight1`, ... of weight `4 quad + index` of chunk `at_chunk`, for a quad and an index.
    pub text: &'a dyn Fn(usize, usize) -> TokenStream,
    /// What comes after each quad.
    pub after: Option<TokenStream>,
    /// Whether they are added to sums at once: then it is enough that these, at the end of a unit, are no numbers where a weight is none.
    pub summed: bool,
}

impl Tile<'_> {
    /// One unit from packed memory: every weight decoded to f32.
    pub fn exact_weights(&self, used: &Use<'_>) -> TokenStream {
        let class = self.class;
        let (chunk, step) = (class.chunk(), class.step);
        if class.codes == Codes::None {
            self.plain_weights(used)
        } else if step >= chunk {
            let (scales, prefetch) = (self.exact_scales(), self.exact_prefetch());
            let quads = self.exact_quads(0..chunk / 4, used);
            let chunks = step / chunk;
            let inner = each("inner", chunks, quote!(let at_chunk = at_step * #chunks + inner; #prefetch #quads));
            each("at_step", class.steps(), quote!(#scales #inner))
        } else {
            let (scales, prefetch) = (self.exact_scales(), self.exact_prefetch());
            let count = chunk / step;
            let steps = (0..count).map(|sub| {
                let quads = self.exact_quads(sub * step / 4..(sub + 1) * step / 4, used);
                quote!(let at_step = at_chunk * #count + #sub; #scales #quads)
            });
            each("at_chunk", class.unit / chunk, quote!(#prefetch #(#steps)*))
        }
    }

    /// Every weight a root: `chunk` of them a turn.
    fn plain_weights(&self, used: &Use<'_>) -> TokenStream {
        let class = self.class;
        let (chunk, bytes) = (class.chunk(), PANEL_ROWS * class.root.bytes());
        let weights = (0..chunk).map(|at| {
            let weights = (0..self.vectors).map(|vector| {
                let (name, unit, part) = (format_ident!("weight{vector}"), format_ident!("unit{vector}"), self.part(vector));
                let (index, value) =
                    (quote!(at_chunk * #chunk + #at), self.root(vector, "roots", &quote!(at_chunk * #chunk + #at), 1.0));
                let starts_line = self.prefetch != Prefetch::None && (at * bytes).is_multiple_of(LINE);
                let ahead =
                    starts_line.then(|| self.prefetch_line(vector, &quote!(bytemuck::bytes_of(&#unit.roots[#index]#part))));
                quote!(#ahead let #name = #value;)
            });
            let text = (used.text)(at / 4, at % 4);
            quote!({ #(#weights)* #text })
        });
        each("at_chunk", class.unit / chunk, quote!(#(#weights)*))
    }

    /// Asks for what lies ahead of the code lines of chunk `at_chunk`.
    fn exact_prefetch(&self) -> TokenStream {
        let [codes, first] = self.exact_codes();
        let lines = (0..self.vectors).map(|vector| self.prefetch_lines(vector, &codes, &first, self.class.chunk_lines()));
        quote!(#(#lines)*)
    }

    /// Loads what [`Tile::load_lines`] says of chunk `at_chunk`.
    fn exact_lines(&self, quad: usize) -> TokenStream {
        let [codes, first] = self.exact_codes();
        let loads = (0..self.vectors).map(|vector| self.load_lines(vector, &codes, &first, quad, &format!("line{vector}_")));
        quote!(#(#loads)*)
    }

    /// The lines of the body that chunk `at_chunk` belongs to, and which of them is its first.
    fn exact_codes(&self) -> [TokenStream; 2] {
        let (chunks, lines) = (self.class.body() / self.class.chunk(), self.class.chunk_lines());
        let first = if chunks == 1 { quote!(0) } else { quote!(at_chunk % #chunks * #lines) };
        [quote!(codes[at_chunk / #chunks]), first]
    }

    fn exact_quads(&self, quads: std::ops::Range<usize>, used: &Use<'_>) -> TokenStream {
        let quads = quads.map(|quad| {
            let lines = self.exact_lines(quad);
            let codes = (0..self.vectors).map(|vector| {
                let (name, value) = (format_ident!("quad{vector}"), quads::quad(self.class, &format!("line{vector}_"), quad));
                quote!(let #name = #value;)
            });
            let weights = (0..4).map(|index| {
                let weights = (0..self.vectors).map(|vector| self.exact_weight(vector, index, used));
                let text = (used.text)(quad, index);
                quote!({ #(#weights)* #text })
            });
            let (magnitudes, after) = (self.magnitudes(used), &used.after);
            quote!(#lines #(#codes)* #magnitudes #(#weights)* #after)
        });
        quote!(#(#quads)*)
    }

    /// Keeps the largest magnitudes of codes of which the largest is no number.
    fn magnitudes(&self, used: &Use<'_>) -> Option<TokenStream> {
        let magnitudes = (0..self.vectors).map(|vector| {
            let (magnitudes, quad) = (format_ident!("magnitudes{vector}"), format_ident!("quad{vector}"));
            quote!(#magnitudes = lanes::magnitudes(#magnitudes, #quad);)
        });
        (used.summed && self.class.codes == Codes::E4m3).then(|| quote!(#(#magnitudes)*))
    }

    /// What comes before the weights of a unit for that, and after.
    fn around_magnitudes(&self) -> (TokenStream, TokenStream) {
        if self.class.codes != Codes::E4m3 {
            return Default::default();
        }
        let begin = (0..self.vectors).map(|vector| {
            let magnitudes = format_ident!("magnitudes{vector}");
            quote!(let mut #magnitudes = lanes::zero_i();)
        });
        let end = self.sums(
            |sum, vector, _| {
                let magnitudes = format_ident!("magnitudes{vector}");
                quote!(#sum = lanes::unless_nan(#sum, #magnitudes);)
            },
            "sum",
        );
        (quote!(#(#begin)*), end)
    }

    /// The scale and the min of step `at_step`.
    fn exact_scales(&self) -> TokenStream {
        let values = (0..self.vectors).map(|vector| {
            let root = self.step_root(vector);
            let (scale, value) = (format_ident!("scale{vector}"), self.packed_scale(vector));
            let (zero, min) = (self.exact_zero(vector), self.exact_min(vector));
            quote!(#root let #scale = #value; #zero #min)
        });
        quote!(#(#values)*)
    }

    /// What is subtracted from every byte of step `at_step`, if that is not a constant.
    fn exact_zero(&self, vector: usize) -> Option<TokenStream> {
        let (name, step, constant) = (format_ident!("zero{vector}"), self.class.step, value::float(self.class.zero as f32));
        self.class.zero_group.map(|group| {
            let zeros = self.zeros(vector, &quote!(at_step * #step / #group));
            quote!(let #name = lanes::add(#zeros, lanes::splat_f(#constant));)
        })
    }

    fn exact_min(&self, vector: usize) -> TokenStream {
        let class = self.class;
        let (steps, pairs, part) = (class.span / class.step, class.span_pairs(), self.part(vector));
        let (name, unit) = (format_ident!("min{vector}"), format_ident!("unit{vector}"));
        match class.min {
            None => quote!(),
            Some(Min::Flat) => {
                let (step, group) = (class.step, class.root_group);
                let min = self.root(vector, "min_roots", &quote!(at_step * #step / #group), 1.0);
                quote!(let #name = #min;)
            }
            Some(Min::Sub(sub)) => {
                let (step, group) = (class.step, class.root_group);
                let root = self.root(vector, "min_roots", &quote!(at_step * #step / #group), sub.unit);
                quote! {
                    let mins = lanes::pairs(&#unit.mins[at_step / #steps * #pairs + at_step % #steps / 2]#part);
                    let sub_min = if at_step % #steps % 2 == 0 { lanes::low_half(mins) } else { lanes::high_half(mins) };
                    let #name = lanes::mul(#root, sub_min);
                }
            }
        }
    }

    /// `let weight{vector} = scale * (code - zero) + min`, each operation rounded by itself.
    fn exact_weight(&self, vector: usize, index: usize, used: &Use<'_>) -> TokenStream {
        let (weight, quad, scale) =
            (format_ident!("weight{vector}"), format_ident!("quad{vector}"), format_ident!("scale{vector}"));
        let shift = proc_macro2::Literal::usize_unsuffixed(8 * index);
        let mut level = match &self.class.codes {
            Codes::Floats(_) => quote!(lanes::pick::<#shift>(palette, #quad)),
            Codes::E4m3 if used.summed => quote!(lanes::e4m3_number::<#shift>(#quad)),
            Codes::E4m3 => quote!(lanes::e4m3::<#shift>(#quad)),
            Codes::Linear | Codes::Bytes(_) | Codes::None => quote!(lanes::byte::<#shift>(#quad)),
        };
        if self.class.zero_group.is_some() {
            let zero = format_ident!("zero{vector}");
            level = quote!(lanes::sub(#level, #zero));
        } else if self.class.zero != 0 {
            let zero = value::float(self.class.zero as f32);
            level = quote!(lanes::sub(#level, lanes::splat_f(#zero)));
        }
        let mut value = quote!(lanes::mul(#scale, #level));
        if self.class.min.is_some() {
            let min = format_ident!("min{vector}");
            value = quote!(lanes::add(#value, #min));
        }
        quote!(let #weight = #value;)
    }

    /// One unit multiplied, straight from packed memory or from the stage.
    pub fn exact_unit(&self, source: Source) -> TokenStream {
        let (unit, chunk) = (self.class.unit, self.class.chunk());
        let last = cell("sum", self.vectors - 1, self.cols - 1);
        match source {
            Source::Packed => {
                let multiply = |quad, index| {
                    let at = quad * 4 + index;
                    self.multiply_exact(&quote!(#at))
                };
                let weights =
                    self.exact_weights(&Use { text: &multiply, after: self.after(source, "after_f", &last), summed: true });
                let (begin, end) = self.around_magnitudes();
                quote!(#begin #weights #end)
            }
            Source::Stage => {
                let weights = self.rows_of(&quote!(&stage.weights[at_chunk][at]), |vector, row| {
                    let name = format_ident!("weight{vector}");
                    quote!(let #name = lanes::floats(#row);)
                });
                let (multiply, after) = (self.multiply_exact(&quote!(at)), self.after(source, "after_f", &last));
                each("at_chunk", unit / chunk, each("at", chunk, quote!(#weights #multiply #after)))
            }
        }
    }

    fn multiply_exact(&self, at: &TokenStream) -> TokenStream {
        self.columns(&quote!(&columns.values[at_chunk][#at]), |column, value| {
            let sums = (0..self.vectors).map(|vector| {
                let (sum, weight) = (cell("sum", vector, column), format_ident!("weight{vector}"));
                quote!(#sum = lanes::fma(#weight, value, #sum);)
            });
            quote!({ let value = lanes::splat_f(#value); #(#sums)* })
        })
    }
}
