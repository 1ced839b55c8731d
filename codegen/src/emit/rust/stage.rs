//! The stage of a panel kernel: the units of a segment, unpacked once and used for every column group.

use proc_macro2::TokenStream;
use quantloom_spec::kernels::Numerics;
use quote::{format_ident, quote};

use super::exact::Use;
use super::tile::{Tile, each};
use crate::lower::class::Min;

impl Tile<'_> {
    /// `struct` of one unit of the stage, for one vector's worth of lanes of each panel.
    pub fn stage(&self, numerics: Numerics) -> TokenStream {
        let (class, vectors, lanes) = (self.class, self.vectors, self.width.lanes);
        let name = self.stage_name(numerics);
        let bytes = 4 * lanes;
        let fields = match numerics {
            Numerics::Exact => {
                let (chunk, chunks) = (class.chunk(), class.unit / class.chunk());
                quote!(weights: [[[[f32; #lanes]; #vectors]; #chunk]; #chunks],)
            }
            Numerics::Int8 => {
                let (quads, bodies, steps) = (class.body() / 4, class.unit / class.body(), class.steps());
                let (pairs, roots, zeros) = (class.min_pairs(), class.min_roots(), class.zeros());
                let zeros = (zeros > 0).then(|| quote!(zeros: [[[f32; #lanes]; #vectors]; #zeros],));
                let mins = (pairs > 0).then(|| quote!(mins: [[[u8; #bytes]; #vectors]; #pairs],));
                let min_roots = (roots > 0).then(|| quote!(min_roots: [[[f32; #lanes]; #vectors]; #roots],));
                quote! {
                    quads: [[[[u8; #bytes]; #vectors]; #quads]; #bodies],
                    scales: [[[f32; #lanes]; #vectors]; #steps],
                    #zeros
                    #mins
                    #min_roots
                }
            }
        };
        quote! {
            /// A unit of weights, unpacked.
            #[repr(C, align(64))]
            #[derive(Clone, Copy, Zeroable)]
            #[bytemuck(crate = "bytemuck")]
            struct #name { #fields }
        }
    }

    /// Its name, one per tile height.
    pub fn stage_name(&self, numerics: Numerics) -> proc_macro2::Ident {
        match numerics {
            Numerics::Exact => format_ident!("ExactStage{}", self.vectors),
            Numerics::Int8 => format_ident!("Int8Stage{}", self.vectors),
        }
    }

    /// Unpacks `unit{vector}` to `stage`.
    pub fn unpack(&self, numerics: Numerics) -> TokenStream {
        match numerics {
            Numerics::Exact => self.unpack_exact(),
            Numerics::Int8 => {
                let (codes, scales) = (self.unpack_quads(), self.unpack_scales());
                let (zeros, mins) = (self.unpack_zeros(), self.unpack_mins());
                quote!(#codes #scales #zeros #mins)
            }
        }
    }

    fn unpack_exact(&self) -> TokenStream {
        let store = |quad, index| {
            let at = quad * 4 + index;
            self.rows_of(&quote!(&mut stage.weights[at_chunk][#at]), |vector, row| {
                let weight = format_ident!("weight{vector}");
                quote!(lanes::store_floats(#row, #weight);)
            })
        };
        self.exact_weights(&Use { text: &store, after: None, summed: false })
    }

    fn unpack_quads(&self) -> TokenStream {
        let class = self.class;
        let place = |quad, vector| format_ident!("quad{quad}_{vector}");
        let places = (0..class.body() / 4).map(|quad| {
            let rows = (0..self.vectors).map(|vector| place(quad, vector));
            quote!([#(#rows),*])
        });
        let places = quote!(let [#(#places),*] = &mut stage.quads[at_body];);
        let vectors = (0..self.vectors).map(|vector| {
            let stores = (0..class.body() / 4).step_by(self.quads_at_once()).map(|quad| {
                let load = |quad| self.load_lines(vector, &quote!(codes[at_body]), &quote!(0), quad, "line");
                let store = |quad, value: TokenStream| {
                    let place = place(quad, vector);
                    quote!(lanes::store_line(#place, #value);)
                };
                if !self.matrix {
                    let (load, store) = (load(quad), store(quad, self.int8_quad("line", quad)));
                    return quote!(#load #store);
                }
                let loads = [load(quad), load(quad + 1)];
                let rows = self.rows("line", quad);
                let stores = [store(quad, quote!(upper)), store(quad + 1, quote!(lower))];
                quote!(#(#loads)* #rows #(#stores)*)
            });
            quote!({ #(#stores)* })
        });
        each("at_body", class.unit / class.body(), quote!(#places #(#vectors)*))
    }

    fn unpack_scales(&self) -> TokenStream {
        let stores = (0..self.vectors).map(|vector| {
            let (root, scale) = (self.step_root(vector), self.packed_scale(vector));
            quote!({ #root lanes::store_floats(&mut stage.scales[at_step][#vector], #scale); })
        });
        each("at_step", self.class.steps(), quote!(#(#stores)*))
    }

    fn unpack_zeros(&self) -> Option<TokenStream> {
        let stores = (0..self.vectors).map(|vector| {
            let zeros = self.zeros(vector, &quote!(at));
            quote!(lanes::store_floats(&mut stage.zeros[at][#vector], #zeros);)
        });
        (self.class.zeros() > 0).then(|| each("at", self.class.zeros(), quote!(#(#stores)*)))
    }

    fn unpack_mins(&self) -> TokenStream {
        let class = self.class;
        let Some(min) = class.min else { return quote!() };
        let (roots, pairs) = (class.min_roots(), class.min_pairs());
        let factor = match min {
            Min::Flat => 1.0,
            Min::Sub(sub) => sub.unit,
        };
        let store_roots = (0..self.vectors).map(|vector| {
            let root = self.root(vector, "min_roots", &quote!(at), factor);
            quote!(lanes::store_floats(&mut stage.min_roots[at][#vector], #root);)
        });
        let store_roots = each("at", roots, quote!(#(#store_roots)*));
        let store_pairs = (0..self.vectors).map(|vector| {
            let (unit, part) = (format_ident!("unit{vector}"), self.part(vector));
            quote!(lanes::store_line(&mut stage.mins[at][#vector], lanes::pairs(&#unit.mins[at]#part));)
        });
        let store_pairs = (pairs > 0).then(|| each("at", pairs, quote!(#(#store_pairs)*)));
        quote!(#store_roots #store_pairs)
    }
}
