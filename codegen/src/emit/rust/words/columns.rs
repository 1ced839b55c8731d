//! Codes of rows that share an item, one above the other: four items of a column make a word of each row.

use proc_macro2::TokenStream;
use quote::quote;

use super::{LANES, ONES, Run, bodies, by_lanes, hex, place, woven};
use crate::emit::rust::item;
use crate::emit::rust::value::{nest_around, position};
use crate::ir::{Affine, Decoder, Home, Known, Op, Storage};
use crate::lower::class::{Class, PANEL_ROWS, Source};

/// Bytes of an item.
const BYTES: usize = 4;

/// The codes of 16 rows of a block, put into lines; `None` if rows do not share items, or share more than their codes.
pub fn of_rows(decoder: &Decoder, class: &Class, run: &Run<'_>) -> Option<TokenStream> {
    let (Storage::Tensors { known }, Source::Code { signed_bits }, [whole]) =
        (&decoder.storage, &class.source, &decoder.pieces[..])
    else {
        return None;
    };
    let piece = by_lanes(whole, LANES)?;
    let Op::Bits { item, bytes: 4, shift, bits } = &piece.ops[piece.values.code].op else { return None };
    let Op::Bits { item: of_one, shift: shift_of_one, .. } = &whole.ops[piece.values.code].op else { return None };
    let (Home::Tensor(_), None) = (item.home, item.stream) else { return None };
    let rows = sharing(known, item.at.iter().flat_map(|at| &at.known), &shift.known)?;
    // Within a word, only the item changes, and by as much each time.
    let fastest = whole.loops.len() - 1;
    let stride = |map: &Affine| map.terms.iter().find(|(digit, _)| *digit == fastest).map_or(0, |&(_, stride)| stride);
    if whole.loops[fastest].stride != 1 || whole.loops[fastest].size < LANES || !shift_of_one.terms.is_empty() {
        return None;
    }
    let items = (0..LANES as i64).map(|lane| {
        let mut item = item.clone();
        item.at.iter_mut().zip(&of_one.at).for_each(|(at, of_one)| at.at += lane * stride(of_one));
        item::whole(&piece, &item, BYTES as u32)
    });
    let items = items.collect::<Vec<_>>();
    let (outer, weights) = bodies(&[&piece], class.block, run.body);
    let at = place(&piece, outer);
    let at = quote!((#at) / #LANES);
    let (mask, flip) = (hex(ONES * ((1 << bits) - 1)), signed_bits.map(|bits| hex(ONES << (bits - 1))));
    let stores = (0..rows).map(|row| {
        let shift = shift.at + shift.known.iter().map(|(name, stride)| stride * digit(known, name, row)).sum::<i64>();
        let (byte, bit) = ((shift / 8) as usize, (shift % 8) as u32);
        let flip = flip.as_ref().map(|flip| quote!(^ #flip));
        let code = if bit == 0 { quote!(bytes[#byte]) } else { quote!((bytes[#byte] >> #bit)) };
        (bit + bits <= 8 && byte < BYTES).then(|| quote!(quads[#at][#rows * group + #row] = #code & #mask #flip;))
    });
    let stores = stores.collect::<Option<Vec<_>>>()?;
    let of_row = run.of_row;
    let groups = |inner| {
        quote! {
            for group in 0..count_of.div_ceil(#rows) {
                let row = rows.start + #rows * group;
                #of_row
                #inner
            }
        }
    };
    let inner = |_| quote!(let bytes = scalar::transposed([#(#items),*]); #(#stores)*);
    let first = position(&piece, outer);
    let around = |inner| woven(weights, &groups(inner), &first, run);
    Some(nest_around(&piece, &vec![false; piece.ops.len()], &inner, outer, &around))
}

/// How many rows have their codes in the same item: the digits that say which bits are a row's are the lowest of its number, and no
/// others.
fn sharing<'a>(
    known: &[Known],
    mut of_item: impl Iterator<Item = &'a (String, i64)>,
    of_shift: &[(String, i64)],
) -> Option<usize> {
    let row = |name: &str| {
        known.iter().find_map(|digit| match digit {
            Known::Row { name: known, stride, size } if known == name => Some((*stride, *size)),
            _ => None,
        })
    };
    let digits = of_shift.iter().map(|(name, _)| row(name)).collect::<Option<Vec<_>>>()?;
    let rows = digits.iter().map(|(stride, size)| stride * size).max()?;
    let all = rows == digits.iter().map(|(_, size)| size).product::<usize>();
    let apart = of_item.all(|(name, _)| row(name).is_none_or(|(stride, _)| stride.is_multiple_of(rows)));
    (all && apart && rows > 1 && PANEL_ROWS.is_multiple_of(rows)).then_some(rows)
}

/// A digit of the number of a row.
fn digit(known: &[Known], wanted: &str, row: usize) -> i64 {
    let digit = known.iter().find_map(|digit| match digit {
        Known::Row { name, stride, size } if name == wanted => Some(row / stride % size),
        _ => None,
    });
    digit.unwrap_or_default() as i64
}
