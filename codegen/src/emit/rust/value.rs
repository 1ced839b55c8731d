//! Decoders: the operations of the neutral form as Rust.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::item;
use crate::ir::{Affine, Decoder, FloatKind, Known, Loop, Op, Piece, Storage};

/// `pub fn decode(tensors: &[Tensor], row: usize, out: &mut [f32])` of one row, and the tables that it looks up.
pub fn decode(decoder: &Decoder) -> TokenStream {
    let tables = tables(decoder);
    let weights = decoder.weights;
    let pieces = decoder.pieces.iter().map(|piece| {
        let store = |position: TokenStream| {
            let weight = name(piece.values.weight);
            quote!(out[#position] = #weight;)
        };
        nest(piece, &needed(piece, &[piece.values.weight]), &store)
    });
    let blocks = blocks(decoder, &quote!(#(#pieces)*));
    quote! {
        #tables
        /// Decodes the first blocks of a row.
        pub fn decode(tensors: &[Tensor], row: usize, out: &mut [f32]) {
            let (outs, _) = out.as_chunks_mut::<#weights>();
            #blocks
        }
    }
}

/// Runs `body` for each block of row `row` of `tensors` that `outs` has a place for, which it finds in `out`.
fn blocks(decoder: &Decoder, body: &TokenStream) -> TokenStream {
    match &decoder.storage {
        &Storage::Rows { header, block } => {
            let row = row_of_blocks(&quote!(blocks), header, block);
            quote! {
                let blocks = tensors[0].row(row);
                #row
                for (block, out) in blocks.iter().zip(outs) { #body }
            }
        }
        Storage::Tensors { known } => {
            let (of_row, of_block) = digits(known);
            quote! {
                #of_row
                for (index, out) in outs.iter_mut().enumerate() { #of_block #body }
            }
        }
    }
}

/// Takes the row in a variable apart into its header, if it has one, and its blocks.
pub fn row_of_blocks(row: &TokenStream, header: usize, block: usize) -> TokenStream {
    let header = (header > 0).then(|| quote!(let (header, #row) = #row.split_at(#header);));
    quote! {
        #header
        let (#row, _) = #row.as_chunks::<#block>();
    }
}

/// The digits that are known before a block is begun: those that follow from `row`, and those that are `index`, the number of the
/// block.
pub fn digits(known: &[Known]) -> (TokenStream, TokenStream) {
    let (mut of_row, mut of_block) = (TokenStream::new(), TokenStream::new());
    for digit in known {
        let name = digit_name(digit.name());
        match digit {
            Known::Block { .. } => of_block.extend(quote!(let #name = index;)),
            Known::Row { stride, size, .. } => {
                let digit = if *stride == 1 { quote!(row) } else { quote!(row / #stride) };
                of_row.extend(if *size == 0 { quote!(let #name = #digit;) } else { quote!(let #name = #digit % #size;) });
            }
        }
    }
    (of_row, of_block)
}

fn tables(decoder: &Decoder) -> TokenStream {
    let tables = decoder.tables.iter().enumerate().map(|(index, values)| {
        let (table, len) = (table_name(index), values.len());
        let values = values.iter().map(|&value| Literal::f32_suffixed(value.abs()).neg_if(value.is_sign_negative()));
        quote!(static #table: [f32; #len] = [#(#values),*];)
    });
    quote!(#(#tables)*)
}

/// A literal with its sign, which `proc_macro2` has no token for.
trait Signed {
    fn neg_if(self, negative: bool) -> TokenStream;
}

impl Signed for Literal {
    fn neg_if(self, negative: bool) -> TokenStream {
        if negative { quote!(-#self) } else { quote!(#self) }
    }
}

/// An f32 constant as tokens.
pub fn float(value: f32) -> TokenStream {
    Literal::f32_suffixed(value.abs()).neg_if(value.is_sign_negative())
}

/// Which operations the given ones depend on, themselves included.
pub fn needed(piece: &Piece, wanted: &[usize]) -> Vec<bool> {
    let mut needed = vec![false; piece.ops.len()];
    for &index in wanted {
        needed[index] = true;
    }
    for index in (0..piece.ops.len()).rev() {
        if needed[index] {
            piece.ops[index].op.operands().into_iter().for_each(|operand| needed[operand] = true);
        }
    }
    needed
}

/// The loop nest of a piece with the chosen operations, each in the outermost loop that knows its operands, and `inner` at the
/// bottom, which is given the position.
pub fn nest(piece: &Piece, chosen: &[bool], inner: &dyn Fn(TokenStream) -> TokenStream) -> TokenStream {
    nest_around(piece, chosen, inner, 0, &|inner| inner)
}

/// The same with something around what lies within the outermost `outer` loops, their operations included.
pub fn nest_around(
    piece: &Piece,
    chosen: &[bool],
    inner: &dyn Fn(TokenStream) -> TokenStream,
    outer: usize,
    around: &dyn Fn(TokenStream) -> TokenStream,
) -> TokenStream {
    let mut body = inner(position(piece, piece.loops.len()));
    for depth in (outer + 1..=piece.loops.len()).rev() {
        let lets = lets(piece, chosen, depth);
        body = each(&piece.loops[depth - 1], &quote!(#lets #body));
    }
    let lets = (0..=outer).map(|depth| lets(piece, chosen, depth));
    loops(piece, outer, around(quote!(#(#lets)* #body)))
}

/// The outermost `outer` loops with `body` in them.
pub fn loops(piece: &Piece, outer: usize, body: TokenStream) -> TokenStream {
    piece.loops[..outer].iter().rev().fold(body, |body, digit| each(digit, &body))
}

fn each(digit: &Loop, body: &TokenStream) -> TokenStream {
    let (name, size) = (digit_name(&digit.name), digit.size);
    quote!(for #name in 0..#size { #body })
}

/// The first position of what lies within the outermost `outer` loops.
pub fn position(piece: &Piece, outer: usize) -> TokenStream {
    let terms = piece.loops[..outer].iter().enumerate().map(|(index, digit)| (index, digit.stride as i64));
    affine(piece, &Affine { at: piece.start as i64, terms: terms.collect(), ..Affine::default() })
}

/// The chosen operations of one depth, as `let`s.
pub fn lets(piece: &Piece, chosen: &[bool], depth: usize) -> TokenStream {
    let lets = piece.ops.iter().enumerate().filter(|(index, node)| chosen[*index] && node.depth == depth).map(|(index, _)| {
        let (name, value) = (name(index), operation(piece, index));
        quote!(let #name = #value;)
    });
    quote!(#(#lets)*)
}

/// The variable that holds an operation's value.
pub fn name(index: usize) -> Ident {
    format_ident!("v{index}")
}

fn table_name(index: usize) -> Ident {
    format_ident!("TABLE_{index}")
}

fn digit_name(name: &str) -> Ident {
    format_ident!("{name}_digit")
}

/// An affine map as a `usize` expression; terms with negative strides come last, so that no intermediate value is negative.
pub fn affine(piece: &Piece, map: &Affine) -> TokenStream {
    let loops = map.terms.iter().map(|&(index, stride)| (piece.loops[index].name.as_str(), stride));
    let terms = map.known.iter().map(|(name, stride)| (name.as_str(), *stride)).chain(loops);
    let (added, taken): (Vec<_>, Vec<_>) = terms.partition(|&(_, stride)| stride > 0);
    let term = |(name, stride): (&str, i64)| {
        let (digit, size) = (digit_name(name), Literal::i64_unsuffixed(stride.abs()));
        if stride.abs() == 1 { quote!(#digit) } else { quote!(#size * #digit) }
    };
    let at = Literal::i64_unsuffixed(map.at);
    let start = if map.at != 0 || added.is_empty() { Some(quote!(#at)) } else { None };
    let sum = start.into_iter().chain(added.into_iter().map(term)).reduce(|sum, term| quote!(#sum + #term));
    taken.into_iter().map(term).fold(sum.unwrap_or_default(), |sum, term| quote!(#sum - #term))
}

/// Whether an operation is a 64-bit integer rather than a 32-bit one.
fn is_wide(piece: &Piece, index: usize) -> bool {
    match &piece.ops[index].op {
        Op::Bits { bits, .. } => *bits > 32,
        Op::Join(parts) => {
            let &(last, weight) = parts.last().expect("a number has planes");
            is_wide(piece, last) || weight.ilog2() + radix_bits(piece, last) > 32
        }
        _ => false,
    }
}

fn radix_bits(piece: &Piece, index: usize) -> u32 {
    match &piece.ops[index].op {
        Op::Bits { bits, .. } => *bits,
        Op::Trit { .. } => 2,
        _ => 64,
    }
}

fn operation(piece: &Piece, index: usize) -> TokenStream {
    match &piece.ops[index].op {
        Op::Bits { item, bytes, shift, bits } => item::bits(piece, item, *bytes, shift, *bits),
        Op::Trit { item, digit } => {
            let (byte, digit) = (item::whole(piece, item, 1), affine(piece, digit));
            quote!(scalar::trit(#byte as u8, #digit))
        }
        Op::Join(parts) => join(piece, parts, is_wide(piece, index)),
        Op::SignedToFloat { of, bits } => {
            let (of, shift) = (name(*of), Literal::u32_unsuffixed(32 - bits));
            if *bits == 32 { quote!(#of as i32 as f32) } else { quote!(((#of << #shift) as i32 >> #shift) as f32) }
        }
        Op::ToFloat(of) => {
            let of = name(*of);
            quote!(#of as f32)
        }
        Op::Widen(kind, of) => widen(*kind, &name(*of)),
        Op::Level { table, width, code, lane } => {
            let (table, code, lane) = (table_name(*table), name(*code), affine(piece, lane));
            let width = Literal::usize_unsuffixed(*width);
            if lane.to_string() == "0" {
                quote!(#table[#code as usize])
            } else {
                quote!(#table[#width * #code as usize + #lane])
            }
        }
        Op::Times(a, constant) => binary(*a, quote!(*), float(*constant)),
        Op::Plus(a, constant) => binary(*a, quote!(+), float(*constant)),
        Op::Mul(a, b) => operands_of(*a, quote!(*), *b),
        Op::Add(a, b) => operands_of(*a, quote!(+), *b),
        Op::Sub(a, b) => operands_of(*a, quote!(-), *b),
    }
}

fn binary(a: usize, op: TokenStream, b: TokenStream) -> TokenStream {
    let a = name(a);
    quote!(#a #op #b)
}

fn operands_of(a: usize, op: TokenStream, b: usize) -> TokenStream {
    let b = name(b);
    binary(a, op, quote!(#b))
}

fn join(piece: &Piece, parts: &[(usize, u64)], wide: bool) -> TokenStream {
    let terms = parts.iter().map(|&(part, weight)| {
        let value = name(part);
        let value = if wide && !is_wide(piece, part) { quote!(u64::from(#value)) } else { quote!(#value) };
        if weight == 1 {
            value
        } else if weight.is_power_of_two() {
            let shift = Literal::u32_unsuffixed(weight.ilog2());
            quote!((#value << #shift))
        } else {
            let weight = Literal::u64_unsuffixed(weight);
            quote!(#value * #weight)
        }
    });
    let all_shifts = parts.iter().all(|(_, weight)| weight.is_power_of_two());
    if all_shifts { quote!(#(#terms)|*) } else { quote!(#(#terms)+*) }
}

fn widen(kind: FloatKind, of: &Ident) -> TokenStream {
    match kind {
        FloatKind::F16 => quote!(scalar::f16(#of)),
        FloatKind::Bf16 => quote!(f32::from_bits(#of << 16)),
        FloatKind::F32 => quote!(f32::from_bits(#of)),
        FloatKind::E8m0 { bias } => {
            let bias = Literal::i32_unsuffixed(bias);
            quote!(scalar::power_of_two(#of, #bias))
        }
        FloatKind::Ue4m3 => quote!(scalar::ue4m3(#of)),
        FloatKind::E4m3 => quote!(scalar::e4m3(#of)),
    }
}
