//! A kernel: the loops over column groups, segments and units around a tile.

use proc_macro2::{Ident, TokenStream};
use quantloom_spec::isa::{Dot, Isa};
use quantloom_spec::kernels::{Numerics, Prefetch, Schedule, Variant};
use quote::{format_ident, quote};

use super::counts::Counts;
use super::int8::Source;
use super::tile::Tile;
use super::{Width, quads, unit};
use crate::lower::class::{Class, Codes, PANEL_ROWS, SEGMENT};

/// A kernel for one class and instruction set.
pub struct Kernel<'a> {
    /// The knobs.
    pub variant: &'a Variant,
    /// The tile.
    pub tile: Tile<'a>,
}

/// How a tile makes do with the registers that there are.
struct Registers {
    /// f32 sums that lie in memory.
    stored: usize,
    /// Whether quads are decoded one after the other.
    tight: bool,
}

impl Registers {
    /// Of a variant for a class. The counts of registers were tried: with fewer for decoding LLVM spills, with more it stores sums that have room,
    /// which takes 4 to 10% of the time.
    fn of(variant: &Variant, class: &Class, isa: &Isa) -> Self {
        let (vectors, int8) = (variant.vectors_of(isa), variant.numerics == Numerics::Int8);
        let narrow = int8 && isa.dot == Dot::PairsI16;
        let matrix = variant.multiplies_matrices(isa);
        let decoding = match variant.schedule {
            Schedule::Panel if narrow => 9,
            Schedule::Panel if matrix => 13,
            Schedule::Panel => 5,
            Schedule::Direct if narrow => 2 * vectors + 6,
            Schedule::Direct if int8 => vectors * class.planes.len() + 5,
            Schedule::Direct => 4 * vectors + 6,
        };
        let sums = if int8 { vectors * variant.cols } else { 0 };
        let missing = (variant.registers(isa) + sums + decoding).saturating_sub(isa.registers);
        // With 32 registers and one accumulator a cell, LLVM's own order spills little and is 2 to 4% faster.
        let spills = isa.registers < 32 || narrow;
        Self { stored: missing.min(sums), tight: missing > 0 && spills && !isa.is_scalar() }
    }
}

impl<'a> Kernel<'a> {
    /// The kernel of a variant.
    pub fn new(class: &'a Class, isa: &Isa, variant: &'a Variant) -> Self {
        let width = Width::of(isa);
        // A panel is asked for turn by turn, and not where it is read.
        let prefetch = if variant.schedule == Schedule::Direct { variant.prefetch } else { Prefetch::None };
        let vectors = variant.vectors_of(isa);
        let Registers { stored, tight } = Registers::of(variant, class, isa);
        let (cols, steps, matrix) = (variant.cols, variant.steps, variant.multiplies_matrices(isa));
        Self { variant, tile: Tile { class, width, vectors, cols, steps, prefetch, stored, tight, matrix } }
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
        let counts = self.counts(&body);
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
    fn counts(&self, body: &TokenStream) -> TokenStream {
        let (name, class, panels) = (self.counts_name(), self.tile.class, self.variant.rows / PANEL_ROWS);
        let (weights, bytes) = (class.unit, class.unit_bytes() * panels);
        let operations = Counts::of(body, self.tile.width, self.variant.numerics).fields();
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
        let (rows, cols) = (tile.width.rows(&quote!(f32), tile.width.lanes), tile.cols);
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
        let memory = tile.memory();
        let stages = (self.variant.schedule == Schedule::Panel).then(|| {
            let stage = tile.stage_name(self.variant.numerics);
            quote!(let mut stages = [#stage::zeroed(); #segment];)
        });
        let work = self.each_part(self.work());
        let signed = self.variant.numerics == Numerics::Int8 && unit::signed_palette(tile.class, tile.width);
        let palette = quads::palette(tile.class, signed);
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

    /// What is done with one segment of one tile.
    fn work(&self) -> TokenStream {
        let group = quote! {
            let group_columns = &groups[group * units..][..units];
            let out = &mut outs[tile * group_count + group];
        };
        match self.variant.schedule {
            Schedule::Direct => {
                let sums = self.sums(Source::Packed);
                quote!(for group in 0..group_count { #group #sums })
            }
            Schedule::Panel => {
                let (refs, unpack, sums) =
                    (self.unit_refs(), self.tile.unpack(self.variant.numerics), self.sums(Source::Stage));
                let prefetches = self.prefetches().then(|| {
                    let kind = quads::prefetch_kind(self.variant.prefetch);
                    let panels = (0..self.variant.rows / PANEL_ROWS).map(|panel| format_ident!("panel{panel}"));
                    quote!(#(prefetch_turn::<#kind>(bytemuck::cast_slice(&#panels[first..last]), ahead, group);)*)
                });
                quote! {
                    for unit in first..last {
                        let stage = &mut stages[unit - first];
                        #refs
                        #unpack
                    }
                    for group in 0..group_count {
                        #prefetches
                        #group
                        #sums
                    }
                }
            }
        }
    }

    /// Narrow vectors take the 16 rows of a panel in several turns.
    fn each_part(&self, body: TokenStream) -> TokenStream {
        let turns = self.tile.turns();
        if turns == 1 { body } else { quote!(for part in 0..#turns { #body }) }
    }

    /// The sums of a segment for one column group, added to the output.
    fn sums(&self, source: Source) -> TokenStream {
        let tile = &self.tile;
        let clear = tile.clear("sum");
        let unit = match self.variant.numerics {
            Numerics::Exact => tile.exact_unit(source),
            Numerics::Int8 => tile.int8_unit(source),
        };
        let refs = (source == Source::Packed).then(|| self.unit_refs());
        let heads = (source == Source::Packed).then(|| self.prefetch_heads());
        let add = self.add_sums();
        let units = match source {
            Source::Packed => quote! {
                for unit in first..last {
                    let columns = &group_columns[unit];
                    touch(group_columns, unit, stride);
                    #refs
                    #heads
                    #unit
                }
            },
            Source::Stage => quote! {
                for unit in first..last {
                    let (columns, stage) = (&group_columns[unit], &stages[unit - first]);
                    #unit
                }
            },
        };
        quote!(#clear #units #add)
    }

    /// Adds the sums of a segment to the output.
    fn add_sums(&self) -> TokenStream {
        let tile = &self.tile;
        let total = |panel, column| format_ident!("total{panel}_{column}");
        let columns = (0..tile.cols).map(|column| {
            let panels = (0..self.variant.rows / PANEL_ROWS).map(|panel| total(panel, column));
            quote!([#(#panels),*])
        });
        let add = tile.sums(
            |sum, vector, column| {
                let (panel, part) = (total(tile.panel(vector), column), tile.part(vector));
                let total = if part.is_empty() { quote!(#panel) } else { quote!(&mut #panel #part) };
                quote! {
                    let total = #total;
                    lanes::store_floats(total, lanes::add(lanes::floats(total), #sum));
                }
            },
            "sum",
        );
        quote!(let [#(#columns),*] = out; #add)
    }

    /// Without these the scales of each unit would be waited for: they are as far away as the codes. Where nothing else is asked for, they
    /// are as they are reached, so that a unit is read in the order of memory: scales and codes by turns make the processor's own
    /// prefetchers lose their way.
    fn prefetch_heads(&self) -> TokenStream {
        // Where every weight is a root, they are asked for one by one.
        if self.tile.class.codes == Codes::None {
            return quote!();
        }
        let (head, mut kind) = (self.tile.class.head_bytes(), quads::prefetch_kind(self.tile.prefetch));
        let mut ahead = quote!(ahead);
        if self.tile.prefetch == Prefetch::None {
            kind = quote!(false, true);
            ahead = quote!(Ahead { far: 0, near: 0 });
        }
        let heads = (0..self.tile.vectors).step_by(self.tile.width.parts()).map(|vector| {
            let unit = format_ident!("unit{vector}");
            quote!(prefetch_head::<#kind>(bytemuck::bytes_of(#unit), #head, #ahead);)
        });
        self.tile.first_turn(quote!(#(#heads)*))
    }

    fn unit_refs(&self) -> TokenStream {
        let refs = (0..self.tile.vectors).map(|vector| {
            let (unit, panel) = (format_ident!("unit{vector}"), format_ident!("panel{}", self.tile.panel(vector)));
            quote!(let #unit = &#panel[unit];)
        });
        quote!(#(#refs)*)
    }
}
