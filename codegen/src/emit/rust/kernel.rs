//! A kernel: the loops over column groups, segments and units around a tile.

use proc_macro2::{Ident, TokenStream};
use quantloom_spec::isa::Isa;
use quantloom_spec::kernels::{Numerics, Prefetch, Schedule, Variant};
use quantloom_spec::processor::Kind;
use quote::{format_ident, quote};

use super::{print, unit};
use crate::kernel::cost::{Counts, Operations};
use crate::kernel::schedule::Program;
use crate::kernel::tile::Tile;
use crate::lower::class::{Class, PANEL_ROWS, SEGMENT};

/// A kernel for one class and instruction set.
pub struct Kernel<'a> {
    /// The knobs.
    pub variant: &'a Variant,
    /// The tile.
    pub tile: Tile<'a>,
    /// What it does.
    pub program: Program,
}

impl<'a> Kernel<'a> {
    /// The kernel of a variant.
    pub fn new(class: &'a Class, isa: &Isa, variant: &'a Variant) -> Self {
        let tile = Tile::new(class, isa, variant);
        Self { variant, tile, program: tile.program(variant) }
    }

    /// The function's name.
    pub fn name(&self) -> Ident {
        let schedule = match self.variant.schedule {
            Schedule::Direct => "direct",
            Schedule::Panel => "panel",
        };
        format_ident!("{}_{schedule}_{}", self.variant.numerics.name(), self.variant.tile_name().replace('.', "_"))
    }

    /// The name of what the function executes.
    pub fn counts_name(&self) -> Ident {
        format_ident!("{}_COUNTS", self.name().to_string().to_uppercase())
    }

    /// The function, and what it executes.
    pub fn function(&self, isa: &Isa) -> TokenStream {
        let name = self.name();
        let docs = self.docs().into_iter().map(|line| quote!(#[doc = #line]));
        let features = (!isa.features.is_empty()).then(|| {
            let features = isa.features.join(",");
            quote!(#[target_feature(enable = #features)])
        });
        let body = self.body();
        let counts = self.counts();
        quote! {
            #counts
            #(#docs)*
            #features
            pub fn #name(
                weights: &[u8],
                units: usize,
                activations: &[u8],
                palette: &abi::Palette,
                arguments: abi::Arguments,
                out: &mut [f32],
            ) {
                #body
            }
        }
    }

    /// What the function executes, for whoever predicts its time.
    fn counts(&self) -> TokenStream {
        let (name, class, panels) = (self.counts_name(), self.tile.class, self.variant.rows / PANEL_ROWS);
        let (weights, bytes) = (class.unit, class.unit_bytes() * panels);
        let operations = fields(Counts::of(&self.program, self.tile.width, self.variant.numerics));
        let ahead = match self.variant.schedule {
            _ if self.variant.prefetch == Prefetch::None => quote!(0),
            Schedule::Direct => {
                let segment = bytes * SEGMENT / weights;
                quote!(#segment)
            }
            Schedule::Panel => quote!(#panels * TURN_BYTES),
        };
        quote! {
            /// What the next function executes.
            pub const #name: abi::Counts = abi::Counts { weights: #weights, bytes: #bytes, ahead: #ahead, #operations };
        }
    }

    /// What the function does and what it costs, for the reader of generated code.
    fn docs(&self) -> Vec<String> {
        let (class, variant) = (self.tile.class, self.variant);
        let quads = class.unit / 4 * variant.rows / self.tile.width.lanes;
        let unit = match variant.numerics {
            Numerics::Int8 => format!("{} dots", quads * variant.cols),
            Numerics::Exact => format!("{} fma", 4 * quads * variant.cols),
        };
        vec![
            format!(" {} rows by {} columns, class `{}`.", variant.rows, variant.cols, variant.numerics.name()),
            format!(
                " A unit of {} weights: {} bytes of weights loaded in vectors of {} lanes, {unit}.",
                class.unit,
                class.unit_bytes() * variant.rows / PANEL_ROWS,
                self.tile.width.lanes,
            ),
        ]
    }

    /// The loops over segments and tiles.
    pub fn body(&self) -> TokenStream {
        let tile = &self.tile;
        let (rows, cols) = (unit::rows_type(tile.width, &quote!(f32), tile.width.lanes), tile.cols);
        let (segment, panels) = (SEGMENT / tile.class.unit, self.variant.rows / PANEL_ROWS);
        let columns = unit::columns_name(self.variant.numerics, cols);
        let order = self.order();
        let ahead = self.prefetches().then(|| quote!(let ahead = order.ahead(segment, tile - first_tile);));
        let panel_lets = (0..panels).map(|panel| {
            let name = format_ident!("panel{panel}");
            quote!(let #name = &tiles[(tile * #panels + #panel) * units..][..units];)
        });
        let stride =
            (self.variant.schedule == Schedule::Direct).then(|| quote!(let stride = units.div_ceil(arguments.touches);));
        let stages = (self.variant.schedule == Schedule::Panel).then(|| {
            let stage = unit::stage_name(tile, self.variant.numerics);
            quote!(let mut stages = [#stage::zeroed(); #segment];)
        });
        let [palette, memory] = [&self.program.palette, &self.program.memory].map(print::code);
        let work = print::code(&self.program.segment);
        quote! {
            let tiles: &[Unit] = bytemuck::cast_slice(weights);
            let groups: &[#columns] = bytemuck::cast_slice(activations);
            let outs: &mut [[[#rows; #panels]; #cols]] = bytemuck::cast_slice_mut(out);
            let (tile_count, group_count) = (tiles.len() / (#panels * units), groups.len() / units);
            #palette
            #order
            #stride
            #memory
            #stages
            for round in 0..tile_count.div_ceil(arguments.tiles) {
                let first_tile = round * arguments.tiles;
                let last_tile = tile_count.min(first_tile + arguments.tiles);
                for segment in 0..units.div_ceil(#segment) {
                    let first = segment * #segment;
                    let last = units.min(first + #segment);
                    for tile in first_tile..last_tile {
                        #(#panel_lets)*
                        #ahead
                        #work
                    }
                }
            }
        }
    }

    /// The order of reading, from which prefetches know what comes next.
    fn order(&self) -> Option<TokenStream> {
        let (segment, panels) = (SEGMENT / self.tile.class.unit, self.variant.rows / PANEL_ROWS);
        self.prefetches().then(|| {
            quote! {
                let order = Order {
                    tiles: arguments.tiles,
                    panels: #panels,
                    segments: units.div_ceil(#segment),
                    panel_bytes: units * size_of::<Unit>(),
                    segment_bytes: #segment * size_of::<Unit>(),
                    distances: Ahead { far: arguments.far as isize, near: arguments.near as isize },
                };
            }
        })
    }

    /// Whether it asks for memory ahead of its use.
    fn prefetches(&self) -> bool {
        self.variant.prefetch != Prefetch::None
    }
}

/// Fields of `abi::Counts`.
fn fields(Counts { unit, unpacking, sums }: Counts) -> TokenStream {
    let [unit, unpacking, sums] = [unit, unpacking, sums].map(operations);
    quote!(unit: #unit, unpacking: #unpacking, sums: #sums)
}

/// Operations as text, without the kinds that there are none of.
fn operations(operations: Operations) -> TokenStream {
    let present = Kind::ALL.into_iter().filter(|kind| operations.of(*kind) > 0).collect::<Vec<_>>();
    if present.is_empty() {
        return quote!(abi::Operations::NONE);
    }
    let names = present.iter().map(|kind| format_ident!("{}", kind.name()));
    let counts = present.iter().map(|kind| operations.of(*kind));
    let rest = (present.len() < Kind::ALL.len()).then(|| quote!(..abi::Operations::NONE));
    quote!(abi::Operations { #(#names: #counts,)* #rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_that_there_are_none_of_are_not_written() {
        assert_eq!(operations(Operations::default()).to_string(), quote!(abi::Operations::NONE).to_string());
    }
}
