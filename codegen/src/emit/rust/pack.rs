//! Packers: stored rows to packed panels. A format extracts its integers; its class weaves them into lines.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::unit;
use super::value::{self, lets, name, needed};
use super::words::Filled;
use crate::ir::{Decoder, Op, Part, Piece, Storage};
use crate::lower::class::{self, Class, Min, Root, Source, Sub};

/// `pub fn pack(tensors: &[Tensor], rows: Range<usize>, count: usize, panel: &mut [u8])` of a format.
///
/// Unit by unit, and in each row by row: what is read and what is written stay in the nearest cache.
pub fn pack(decoder: &Decoder, class: &Class, class_module: &Ident) -> TokenStream {
    // The pieces of a block that has several differ in their codes alone.
    let piece = &decoder.pieces[0];
    let Codes { items, begin, gather } = gather(decoder, class, class_module);
    let scale = piece.values.scale.unwrap_or(Part { stored: None, root: piece.values.own });
    let scales = extract_part(piece, class, scale, class.sub_scale, &Places::scale(class));
    let mins = class.min.map(|min| {
        let sub = match min {
            Min::Flat => None,
            Min::Sub(sub) => Some(sub),
        };
        extract_part(piece, class, piece.values.min.expect("the class has a min"), sub, &Places::min(class))
    });
    let zeros = class.zero_group.map(|group| {
        let zero = piece.values.zero.expect("the class has zero points");
        let value = name(zero);
        extract(piece, class, zero, group, &format_ident!("zeros"), &quote!(#value as i8 as u8))
    });
    let body = quote! {
        #gather
        #scales
        #mins
        #zeros
    };
    let blocks = class.unit / class.block;
    let (lanes, of_row, of_block) = match &decoder.storage {
        &Storage::Rows { header, block } => {
            let lanes = quote! {
                let mut lanes: [&[u8]; PANEL_ROWS] = [&[]; PANEL_ROWS];
                for lane in 0..count_of {
                    lanes[lane] = tensors[0].row(rows.start + lane);
                }
            };
            let of_row = value::row_of_blocks(header, block);
            (lanes, quote!(let blocks = lanes[lane]; #of_row), quote!(let block = &blocks[index];))
        }
        Storage::Tensors { known } => {
            let (of_row, of_block) = value::digits(known);
            (TokenStream::new(), quote!(let row = rows.start + lane; #of_row), of_block)
        }
    };
    quote! {
        #items
        /// Packs the first blocks of up to 16 rows into a zeroed panel.
        pub fn pack(tensors: &[Tensor], rows: Range<usize>, count: usize, panel: &mut [u8]) {
            const PANEL_ROWS: usize = 16;
            let units: &mut [#class_module::Packed] = bytemuck::cast_slice_mut(panel);
            let count_of = rows.len().min(PANEL_ROWS);
            #lanes
            for (unit, first) in units.iter_mut().zip((0..count).step_by(#blocks)) {
                for lane in 0..count_of {
                    #of_row
                    #begin
                    for slot in 0..(count - first).min(#blocks) {
                        let index = first + slot;
                        #of_block
                        #body
                    }
                }
            }
        }
    }
}

/// The codes of a row on their way into lines: tables, what holds codes where one block is not enough, and what each block does.
#[derive(Default)]
struct Codes {
    items: TokenStream,
    begin: TokenStream,
    gather: TokenStream,
}

fn gather(decoder: &Decoder, class: &Class, class_module: &Ident) -> Codes {
    if class.codes == class::Codes::None {
        return Codes::default();
    }
    let (run, block, body) = (class.run(), class.block, class.body());
    let quads_a_body = body / 4;
    // `count` bodies from a position on.
    let store = |at: TokenStream, count: usize| {
        if count == 1 && run == body {
            return quote!(#class_module::weave(&mut unit.codes[#at], lane, &quads););
        }
        quote! {
            for body in 0..#count {
                #class_module::weave(&mut unit.codes[#at + body], lane, &quads.as_chunks::<#quads_a_body>().0[body]);
            }
        }
    };
    let pieces = decoder.pieces.iter().enumerate();
    let words = pieces.map(|(at, piece)| Filled::new(piece, &decoder.tables, class, at)).collect::<Option<Vec<_>>>();
    let items = words
        .as_ref()
        .map_or_else(|| level_codes(class), |words| Some(words.iter().map(|words| words.tables.clone()).collect()));
    let items = items.unwrap_or_default();
    if let Some([words]) = words.as_deref()
        && run == block
        && let Some(gather) = words.by_bodies(block, body, &|at, count| store(quote!((slot * #block + #at) / #body), count))
    {
        return Codes { items, gather, ..Codes::default() };
    }
    let (quads, blocks) = (run / 4, run / block);
    let first = (blocks > 1).then(|| quote!(slot % #blocks * #block));
    let fill = words.map_or_else(
        || decoder.pieces.iter().map(|piece| one_by_one(class, piece, first.as_ref())).collect::<TokenStream>(),
        |words| words.iter().map(|words| words.fill(first.as_ref())).collect(),
    );
    let bodies = run / body;
    let store = store(quote!(slot / #blocks * #bodies), bodies);
    let zeroed = quote!(let mut quads = [0_u32; #quads];);
    if blocks == 1 {
        return Codes { items, gather: quote!(#zeroed #fill #store), ..Codes::default() };
    }
    let gather = quote! {
        #fill
        if slot % #blocks == #blocks - 1 || index == count - 1 {
            #store
            quads = [0; #quads];
        }
    };
    Codes { items, begin: zeroed, gather }
}

/// The code of each level, by the byte that is the level in two's complement.
fn level_codes(class: &Class) -> Option<TokenStream> {
    let Source::Level { levels, .. } = &class.source else { return None };
    let code = |byte: u8| levels.iter().position(|level| level.cast_unsigned() == byte).unwrap_or_default() as u8;
    let codes = (0..=255).map(code).map(Literal::u8_unsuffixed);
    Some(quote!(static CODES: [u8; 256] = [#(#codes),*];))
}

/// Puts the code of each weight where it belongs; a signed code becomes unsigned by flipping its top bit.
fn one_by_one(class: &Class, piece: &Piece, first: Option<&TokenStream>) -> TokenStream {
    let (wanted, value) = match &class.source {
        Source::Code { signed_bits } => {
            let code = name(piece.values.code);
            let flip = signed_bits.map(|bits| 1_u8 << (bits - 1));
            (piece.values.code, flip.map_or_else(|| quote!(#code as u8), |flip| quote!(#code as u8 ^ #flip)))
        }
        Source::Level { unit, .. } => {
            let wanted = if class.zero_group.is_some() { piece.values.own } else { piece.values.level };
            let (level, scale) = (name(wanted), value::float(1.0 / unit));
            let integer = if *unit == 1.0 { quote!(#level) } else { quote!((#level * #scale)) };
            (wanted, quote!(CODES[usize::from(#integer as i8 as u8)]))
        }
    };
    let first = first.map(|first| quote!(#first +));
    value::nest(piece, &needed(piece, &[wanted]), &|position| {
        quote! {
            let at = #first #position;
            quads[at / 4] |= u32::from(#value) << (8 * (at % 4));
        }
    })
}

/// Where the two levels of a scale or a min go.
struct Places {
    roots: Ident,
    root_group: usize,
    subs: Ident,
    pairs: bool,
}

impl Places {
    fn scale(class: &Class) -> Self {
        Self { roots: format_ident!("roots"), root_group: class.root_group, subs: format_ident!("scales"), pairs: false }
    }

    fn min(class: &Class) -> Self {
        let root_group = class.unit / class.min_roots();
        Self { roots: format_ident!("min_roots"), root_group, subs: format_ident!("mins"), pairs: true }
    }
}

fn extract_part(piece: &Piece, class: &Class, part: Part, sub: Option<Sub>, places: &Places) -> TokenStream {
    let (source, value) = root_value(piece, class, part.root);
    let root = extract(piece, class, source, places.root_group, &places.roots, &value);
    let subs = sub.zip(part.stored).map(|(sub, stored)| extract_subs(piece, class, stored, sub, places));
    quote!(#root #subs)
}

/// Puts the value of each group of weights where it belongs: `unit.field[group][row]`.
fn extract(piece: &Piece, class: &Class, source: usize, group: usize, field: &Ident, value: &TokenStream) -> TokenStream {
    let block = class.block;
    shallow(piece, source, group, &|position, run| {
        let count = run / group;
        quote! {
            for at in 0..#count {
                unit.#field[(slot * #block + #position) / #group + at][lane] = #value;
            }
        }
    })
}

fn extract_subs(piece: &Piece, class: &Class, stored: usize, sub: Sub, places: &Places) -> TokenStream {
    let (block, step, subs) = (class.block, class.step, &places.subs);
    let integer = sub_integer(&name(stored), sub);
    let (steps, pairs) = (class.span / class.step, class.span_pairs());
    let place = if places.pairs {
        quote!(unit.#subs[step / #steps * #pairs + step % #steps / 2][lane][step % #steps % 2])
    } else {
        quote!(unit.#subs[step][lane])
    };
    shallow(piece, stored, step, &|position, run| {
        let count = run / step;
        quote! {
            for at in 0..#count {
                let step = (slot * #block + #position) / #step + at;
                #place = #integer;
            }
        }
    })
}

/// `factor * stored + offset` as the byte that holds it.
fn sub_integer(stored: &Ident, sub: Sub) -> TokenStream {
    let mut value = match sub.signed_bits {
        Some(bits) => {
            let shift = proc_macro2::Literal::u32_unsuffixed(32 - bits);
            quote!(((#stored << #shift) as i32 >> #shift))
        }
        None => quote!(#stored),
    };
    if sub.factor != 1 || sub.offset != 0 {
        let (factor, offset) = (sub.factor, sub.offset);
        value = quote!((#value as i32 * #factor + #offset));
    }
    quote!(#value as u8)
}

/// The operation to compute for a root, and the expression that is stored.
fn root_value(piece: &Piece, class: &Class, root: usize) -> (usize, TokenStream) {
    let held = if class.root == Root::F32 { None } else { stored_bits(piece, root) };
    match held {
        Some(bits) => {
            let (bits_name, ty) = (name(bits), unit::root_type(class.root));
            (bits, quote!(#bits_name as #ty))
        }
        None => {
            let value = name(root);
            (root, quote!(#value))
        }
    }
}

/// The operation whose bits are widened to a root; the step that it is multiplied by is the class's.
fn stored_bits(piece: &Piece, root: usize) -> Option<usize> {
    match piece.ops[root].op {
        Op::Widen(_, bits) => Some(bits),
        Op::Times(of, _) => stored_bits(piece, of),
        _ => None,
    }
}

/// The loop nest down to where `wanted` is known, and `store` there: given the position and how many weights share the value.
fn shallow(piece: &Piece, wanted: usize, group: usize, store: &dyn Fn(TokenStream, usize) -> TokenStream) -> TokenStream {
    let depth = piece.ops[wanted].depth;
    let run = match depth {
        0 => piece.loops.first().map_or(group, |digit| digit.size * digit.stride),
        _ => piece.loops[depth - 1].stride,
    };
    let outer = Piece { loops: piece.loops[..depth].to_vec(), ..piece.clone() };
    let chosen = needed(piece, &[wanted]);
    debug_assert!(lets(piece, &chosen, depth + 1).is_empty(), "operands are no deeper than their users");
    value::nest(&outer, &chosen, &|position| store(position, run.max(group)))
}
