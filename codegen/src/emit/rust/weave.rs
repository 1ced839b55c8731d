//! A packed unit as packers see it, and how codes go into its lines and come out again: the class's side of packing.

use std::collections::BTreeMap;

use proc_macro2::TokenStream;
use quote::quote;

use super::{unit, words};
use crate::lower::class::{Class, Codes, Place, Root};

/// `Packed`, `weave` and `unpack`.
pub fn class(class: &Class) -> TokenStream {
    let (packed, unpack) = (packed(class), unpack(class));
    let weave = (class.codes != Codes::None).then(|| weave(class));
    quote!(#packed #weave #unpack)
}

/// A unit as packers see it: rows side by side.
fn packed(class: &Class) -> TokenStream {
    let fields = unit::fields(class, |element| {
        let ty = unit::element_type(element);
        quote!([#ty; 16])
    });
    let (fields, pad) = (fields.map(|(_, name, ty)| quote!(pub #name: #ty,)), unit::pad(class));
    quote! {
        /// A unit of packed weights, rows side by side.
        #[repr(C)]
        #[derive(Clone, Copy, Pod, Zeroable)]
        #[bytemuck(crate = "bytemuck")]
        pub struct Packed {
            #(#fields)*
            #pad
        }
    }
}

/// Every quad of a body with where its bits are.
fn places(class: &Class) -> impl Iterator<Item = (usize, Place)> {
    (0..class.body() / 4).flat_map(|quad| class.places(quad).into_iter().map(move |place| (quad, place)))
}

/// The bits of a place, in each byte of a quad.
fn mask(place: Place) -> u32 {
    u32::from_ne_bytes([((1_u32 << place.bits) - 1) as u8; 4])
}

/// Puts one row's codes of a body into its lines: of each line the four bytes that are the row's.
fn weave(class: &Class) -> TokenStream {
    let (quads, count) = (class.body() / 4, class.body_lines());
    let mut lines = BTreeMap::<usize, Vec<TokenStream>>::new();
    for (quad, place) in places(class) {
        let Place { line, bits, low, shift } = place;
        let mut bits_of = quote!(quads[#quad]);
        if low > 0 {
            bits_of = quote!(#bits_of >> #low);
        }
        if bits < class.bits() {
            let mask = words::hex(mask(place));
            bits_of = quote!((#bits_of & #mask));
        }
        lines.entry(line).or_default().push(if shift > 0 { quote!(#bits_of << #shift) } else { bits_of });
    }
    let lines = lines.into_iter().map(|(line, bits)| quote!(lines[#line][row] = (#(#bits)|*).to_le_bytes();));
    quote! {
        /// Puts the codes of a body, four to a word, into row `row` of its lines.
        #[inline]
        pub fn weave(lines: &mut [[[u8; 4]; 16]; #count], row: usize, quads: &[u32; #quads]) {
            #(#lines)*
        }
    }
}

/// Takes one row out of a panel.
fn unpack(class: &Class) -> TokenStream {
    let (quads, steps, pairs) = (class.body() / 4, class.span / class.step, class.span_pairs());
    let moves = places(class).map(|(quad, place)| {
        let (mask, Place { line, low, shift, .. }) = (mask(place), place);
        let low = low + class.shift;
        quote!(quads[#quad] |= (u32::from_le_bytes(lines[#line][row]) >> #shift & #mask) << #low;)
    });
    let bits = quote!(u32::from(root[row]));
    let roots = match class.root {
        Root::F16 => quote!(scalar::f16(#bits)),
        Root::Bf16 => quote!(f32::from_bits(#bits << 16)),
        Root::F32 => quote!(root[row]),
        Root::E8m0 { bias } => quote!(scalar::power_of_two(#bits, #bias)),
        Root::Ue4m3 => quote!(scalar::ue4m3(#bits)),
    };
    let zeros = (class.zeros() > 0)
        .then(|| quote!(row_of.zeros.extend(unit.zeros.iter().map(|zero| i32::from(zero[row].cast_signed())));));
    let codes = (class.codes != Codes::None).then(|| {
        quote! {
            for lines in &unit.codes {
                let mut quads = [0_u32; #quads];
                #(#moves)*
                row_of.codes.extend(quads.iter().flat_map(|quad| quad.to_le_bytes()));
            }
        }
    });
    let min_roots = (class.min_roots() > 0).then(|| quote!(row_of.min_roots.extend(unit.min_roots.iter().map(|root| #roots));));
    let scales = class.sub_scale.map(|sub| {
        let widen = if sub.signed { quote!(i32::from(scale[row].cast_signed())) } else { quote!(i32::from(scale[row])) };
        quote!(row_of.scales.extend(unit.scales.iter().map(|scale| #widen));)
    });
    let all_steps = class.steps();
    let mins = (class.min_pairs() > 0).then(|| {
        quote! {
            row_of.mins.extend((0..#all_steps).map(|step| {
                i32::from(unit.mins[step / #steps * #pairs + step % #steps / 2][row][step % #steps % 2])
            }));
        }
    });
    quote! {
        /// Takes the integers of one row out of a panel.
        pub fn unpack(panel: &[u8], row: usize, row_of: &mut abi::Unpacked) {
            let units: &[Packed] = bytemuck::cast_slice(panel);
            for unit in units {
                row_of.roots.extend(unit.roots.iter().map(|root| #roots));
                #min_roots
                #zeros
                #scales
                #mins
                #codes
            }
        }
    }
}
