//! Stored items and their bits as Rust.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::value::affine;
use crate::ir::{Affine, Home, Item, Piece};

/// `bits` bits of an item of `bytes` bytes, from bit `shift` upwards.
pub fn bits(piece: &Piece, item: &Item, bytes: u32, shift: &Affine, bits: u32) -> TokenStream {
    if let Some(axis) = item.stream {
        return stream(piece, item, axis, bytes, shift, bits);
    }
    let mut value = whole(piece, item, bytes);
    if *shift != Affine::default() {
        let shift = affine(piece, shift);
        value = if let Home::Tensor(_) = item.home { quote!((#value) >> (#shift)) } else { quote!(#value >> (#shift)) };
    }
    let fills = shift.terms.is_empty() && shift.known.is_empty() && shift.at as u32 + bits == 8 * bytes;
    if !fills {
        let mask =
            if bytes > 4 { Literal::u64_unsuffixed((1 << bits) - 1) } else { Literal::u32_unsuffixed(u32::MAX >> (32 - bits)) };
        value = quote!(#value & #mask);
    }
    if bytes > 4 && bits <= 32 { quote!((#value) as u32) } else { value }
}

/// Bits that may run on past the end of an item. Items of a block or header lie side by side, so there the bytes are one stream.
fn stream(piece: &Piece, item: &Item, axis: usize, bytes: u32, shift: &Affine, bits: u32) -> TokenStream {
    let (at, shift) = (index_of(piece, item), affine(piece, shift));
    let bits_literal = Literal::u32_unsuffixed(bits);
    let value = match item.home {
        Home::Tensor(tensor) => {
            let (bytes, axes) = (Literal::u32_unsuffixed(bytes), item.at.len());
            quote!(tensors[#tensor].stream::<#bytes, #axes>([#(#at),*], #axis, #shift, #bits_literal))
        }
        Home::Block => quote!(stored::stream(&block[#(#at)*..], #shift, #bits_literal)),
        Home::Header => quote!(stored::stream(&header[#(#at)*..], #shift, #bits_literal)),
    };
    if bits <= 32 { quote!(#value as u32) } else { value }
}

/// The index of an item: one number in a block or header, one per axis of a tensor.
fn index_of(piece: &Piece, item: &Item) -> Vec<TokenStream> {
    item.at.iter().map(|at| affine(piece, at)).collect()
}

/// An item as an unsigned integer, 32 or 64 bits wide as it needs.
pub fn whole(piece: &Piece, item: &Item, bytes: u32) -> TokenStream {
    let at = index_of(piece, item);
    let bytes_of = |home: &str| bytes_at(&format_ident!("{home}"), &quote!(#(#at)*), bytes);
    match item.home {
        Home::Block => bytes_of("block"),
        Home::Header => bytes_of("header"),
        Home::Tensor(tensor) => {
            let (size, axes) = (Literal::u32_unsuffixed(bytes), item.at.len());
            let value = quote!(tensors[#tensor].item::<#size, #axes>([#(#at),*]));
            if bytes > 4 { value } else { quote!(#value as u32) }
        }
    }
}

/// Four bytes of a block or header, from an item of one on.
pub fn word(piece: &Piece, item: &Item) -> TokenStream {
    let at = index_of(piece, item);
    let home = format_ident!("{}", if item.home == Home::Header { "header" } else { "block" });
    quote!(stored::word(#home, #(#at)*))
}

fn bytes_at(home: &Ident, at: &TokenStream, bytes: u32) -> TokenStream {
    let byte = |index: u32| {
        let index = Literal::u32_unsuffixed(index);
        quote!(#home[#at + #index])
    };
    let items = |size: u32| (0..size).map(move |index| if index < bytes { byte(index) } else { quote!(0) });
    match bytes {
        1 => quote!(u32::from(#home[#at])),
        4 => quote!(stored::word(#home, #at)),
        2..=3 => {
            let items = items(4);
            quote!(u32::from_le_bytes([#(#items),*]))
        }
        _ => {
            let items = items(8);
            quote!(u64::from_le_bytes([#(#items),*]))
        }
    }
}
