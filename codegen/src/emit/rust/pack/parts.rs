//! Scales, mins and zero points on their way into a unit.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::in_unit;
use crate::emit::rust::unit;
use crate::emit::rust::value::{self, lets, name, needed};
use crate::ir::{Op, Part, Piece};
use crate::lower::class::{Class, Root, Sub};
use crate::lower::layout::Element;

/// Where the two levels of a scale or a min go.
pub struct Places {
    roots: Ident,
    root_group: usize,
    subs: Ident,
    pairs: bool,
}

impl Places {
    /// Of scales.
    pub fn scale(class: &Class) -> Self {
        Self { roots: format_ident!("roots"), root_group: class.root_group, subs: format_ident!("scales"), pairs: false }
    }

    /// Of mins.
    pub fn min(class: &Class) -> Self {
        let root_group = class.unit / class.min_roots();
        Self { roots: format_ident!("min_roots"), root_group, subs: format_ident!("mins"), pairs: true }
    }
}

/// Puts roots, and integers under them, where they belong.
pub fn extract_part(piece: &Piece, class: &Class, part: Part, sub: Option<Sub>, places: &Places) -> TokenStream {
    let (source, value) = root_value(piece, class, if sub.is_some() { part.root } else { part.value });
    let root = extract(piece, class, source, places.root_group, &places.roots, &value);
    let subs = sub.zip(part.stored).map(|(sub, stored)| extract_subs(piece, class, stored, sub, places));
    quote!(#root #subs)
}

/// Puts the value of each group of weights where it belongs: `unit.field[group][row]`.
pub fn extract(piece: &Piece, class: &Class, source: usize, group: usize, field: &Ident, value: &TokenStream) -> TokenStream {
    let block = class.block;
    shallow(piece, source, group, &|position, run| {
        let count = run / group;
        let place = in_unit(class, field, &quote!((slot * #block + #position) / #group + at), class.unit / group);
        quote! {
            for at in 0..#count {
                #place[lane] = #value;
            }
        }
    })
}

fn extract_subs(piece: &Piece, class: &Class, stored: usize, sub: Sub, places: &Places) -> TokenStream {
    let (block, step, subs) = (class.block, class.step, &places.subs);
    let integer = sub_integer(&name(stored), sub);
    let (steps, pairs) = (class.span / class.step, class.span_pairs());
    let place = if places.pairs {
        let pair = in_unit(class, subs, &quote!(step / #steps * #pairs + step % #steps / 2), class.min_pairs());
        quote!(#pair[lane][step % #steps % 2])
    } else {
        let sub = in_unit(class, subs, &quote!(step), class.steps());
        quote!(#sub[lane])
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
            let (bits_name, ty) = (name(bits), unit::element_type(Element::of_root(class.root)));
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
