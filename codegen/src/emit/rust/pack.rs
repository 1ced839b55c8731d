//! Packers: stored rows to packed panels. A format extracts its integers; its class weaves them into lines.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::unit;
use super::value::{self, Walk, lets, name, needed};
use crate::ir::{Decoder, Op, Part, Piece};
use crate::lower::class::{Class, Codes, Min, Root, Source, Sub};

/// `pub fn pack(tensors: &[Tensor], rows: Range<usize>, count: usize, panel: &mut [u8])` of a format.
pub fn pack(decoder: &Decoder, class: &Class, class_module: &Ident) -> TokenStream {
    // The pieces of a block that has several differ in their codes alone.
    let piece = &decoder.pieces[0];
    let blocks = class.unit / class.block;
    let index = level_codes(class);
    let (codes, weave) = match class.codes {
        Codes::None => (None, None),
        _ => gather(decoder, class, class_module),
    };
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
        let (unit, slot) = (&mut units[index / #blocks], index % #blocks);
        #weave
        #scales
        #mins
        #zeros
    };
    let body = value::blocks(decoder, Walk::Count, &body);
    quote! {
        #index
        /// Packs the first blocks of up to 16 rows into a zeroed panel.
        pub fn pack(tensors: &[Tensor], rows: Range<usize>, count: usize, panel: &mut [u8]) {
            let units: &mut [#class_module::Packed] = bytemuck::cast_slice_mut(panel);
            for (lane, row) in rows.enumerate() {
                #codes
                #body
            }
        }
    }
}

/// The codes of a row on their way into lines: what holds them where one block is not enough, and what each block does.
fn gather(decoder: &Decoder, class: &Class, class_module: &Ident) -> (Option<TokenStream>, Option<TokenStream>) {
    let (run, block) = (class.run(), class.block);
    let zeroed = quote!(let mut codes = [0; #run];);
    if run == block {
        let codes = decoder.pieces.iter().map(|piece| extract_codes(class, piece, None));
        return (None, Some(quote!(#zeroed #(#codes)* #class_module::weave(unit, slot, lane, &codes);)));
    }
    let blocks = run / block;
    let first = quote!(index % #blocks * #block);
    let codes = decoder.pieces.iter().map(|piece| extract_codes(class, piece, Some(&first)));
    let weave = quote! {
        #(#codes)*
        if index % #blocks == #blocks - 1 || index == count - 1 {
            #class_module::weave(unit, slot / #blocks, lane, &codes);
            codes = [0; #run];
        }
    };
    (Some(zeroed), Some(weave))
}

/// The code of each level, by the byte that is the level in two's complement.
fn level_codes(class: &Class) -> Option<TokenStream> {
    let Source::Level { levels, .. } = &class.source else { return None };
    let code = |byte: u8| levels.iter().position(|level| level.cast_unsigned() == byte).unwrap_or_default() as u8;
    let codes = (0..=255).map(code).map(Literal::u8_unsuffixed);
    Some(quote!(static CODES: [u8; 256] = [#(#codes),*];))
}

/// Fills `codes`, from `first` on, with the code of each weight; a signed code becomes unsigned by flipping its top bit.
fn extract_codes(class: &Class, piece: &Piece, first: Option<&TokenStream>) -> TokenStream {
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
    value::nest(piece, &needed(piece, &[wanted]), &|position| quote!(codes[#first #position] = #value;))
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
