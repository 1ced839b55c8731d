//! Codes in registers: a body's lines loaded, and each quad of codes put together from its planes.

use proc_macro2::TokenStream;
use quantloom_spec::kernels::Prefetch;
use quote::{format_ident, quote};

use super::tile::Tile;
use super::unit;
use crate::lower::class::{Class, Codes};

impl Tile<'_> {
    /// Loads the lines that quad `quad` is the first to need, or where registers are few all that it needs, counted from `unit{vector}.{codes}[first]`:
    /// `let line0 = lanes::line(...); ...`.
    pub fn load_lines(
        &self,
        vector: usize,
        codes: &TokenStream,
        first: &TokenStream,
        quad: usize,
        prefix: &str,
    ) -> TokenStream {
        let unit = format_ident!("unit{vector}");
        let lines = if self.tight { self.class.lines_of(quad) } else { self.class.new_lines(quad) };
        let loads = lines.into_iter().map(|index| {
            let (line, place) = (format_ident!("{prefix}{index}"), self.line(vector, &quote!(#unit.#codes), first, index));
            quote!(let #line = lanes::line(#place);)
        });
        quote!(#(#loads)*)
    }

    /// The bytes of quad `quad` of a body that `int8` multiplies.
    pub fn int8_quad(&self, prefix: &str, quad: usize) -> TokenStream {
        let bytes = self::quad(self.class, prefix, quad);
        if unit::less_128(self.class, self.width) { quote!(lanes::less_128(#bytes)) } else { bytes }
    }

    /// Asks for `count` lines as far ahead from `unit{vector}.{codes}[first]` on, if the tile does.
    pub fn prefetch_lines(&self, vector: usize, codes: &TokenStream, first: &TokenStream, count: usize) -> TokenStream {
        let count = if self.prefetch == Prefetch::None { 0 } else { count };
        let unit = format_ident!("unit{vector}");
        let codes = quote!(#unit.#codes);
        let lines = (0..count).map(|index| self.prefetch_line(vector, &self.line(vector, &codes, first, index)));
        quote!(#(#lines)*)
    }

    /// A row vector's part of line `index`, counted from `codes[first]`.
    fn line(&self, vector: usize, codes: &TokenStream, first: &TokenStream, index: usize) -> TokenStream {
        let part = self.part(vector);
        if first.to_string() == "0" { quote!(&#codes[#index]#part) } else { quote!(&#codes[#first + #index]#part) }
    }

    /// One prefetch per line of memory: with narrow vectors, only where the first of them is read.
    pub fn prefetch_line(&self, vector: usize, line: &TokenStream) -> TokenStream {
        let begins_line = vector.is_multiple_of(self.width.parts());
        let word = match self.prefetch {
            Prefetch::Far => quote!(prefetch_far),
            Prefetch::Near => quote!(prefetch_near),
            Prefetch::Both => quote!(prefetch_both),
            Prefetch::None => return quote!(),
        };
        if begins_line { self.first_turn(quote!(#word(#line, ahead);)) } else { quote!() }
    }
}

/// The arguments of the words that prefetch: whether far, whether near.
pub fn prefetch_kind(prefetch: Prefetch) -> TokenStream {
    let (far, near) = (prefetch.is_far(), prefetch.is_near());
    quote!(#far, #near)
}

/// The bytes of quad `quad` of a body or a chunk that go into a dot: its codes, or what a palette has for them.
pub fn quad(class: &Class, prefix: &str, quad: usize) -> TokenStream {
    let codes = codes(class, prefix, quad);
    match &class.codes {
        Codes::Bytes(_) if class.bits() > 4 => quote!(lanes::look_up_32(palette, #codes)),
        Codes::Bytes(_) => quote!(lanes::look_up(palette, #codes)),
        _ => codes,
    }
}

/// `let palette = ...` of a class that has one: of its bytes, or of its levels where those are wanted as signed bytes.
pub fn palette(class: &Class, signed: bool) -> Option<TokenStream> {
    let zero = proc_macro2::Literal::i32_unsuffixed(class.zero);
    let load = match &class.codes {
        Codes::Bytes(_) if signed && class.bits() > 4 => quote!(signed_palette_32::<#zero>(&palette.bytes)),
        Codes::Bytes(_) if signed => quote!(signed_palette::<#zero>(&palette.bytes)),
        Codes::Bytes(_) if class.bits() > 4 => quote!(palette_32(&palette.bytes)),
        Codes::Bytes(_) => quote!(palette(&palette.bytes)),
        Codes::Floats(_) => quote!(table(&palette.floats)),
        Codes::Linear | Codes::E4m3 | Codes::None => return None,
    };
    Some(quote!(let palette = lanes::#load;))
}

/// The expression of the codes of quad `quad`, from lines that `load_lines` named.
fn codes(class: &Class, prefix: &str, quad: usize) -> TokenStream {
    let pieces = class.places(quad).into_iter().map(|place| {
        let line = format_ident!("{prefix}{}", place.line);
        field(&quote!(#line), place.bits, place.shift, place.low)
    });
    pieces.reduce(|low, high| quote!(lanes::or(#low, #high))).expect("a code has planes")
}

/// `bits` bits of every byte from bit `from`, moved to bit `to`.
fn field(line: &TokenStream, bits: u32, from: u32, to: u32) -> TokenStream {
    if bits == 8 {
        return line.clone();
    }
    let mask = proc_macro2::Literal::u32_unsuffixed((((1_u32 << bits) - 1) << to) & 0xff);
    let shift = proc_macro2::Literal::u32_unsuffixed(from.abs_diff(to));
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => quote!(lanes::mask::<#mask>(#line)),
        std::cmp::Ordering::Greater => quote!(lanes::mask::<#mask>(lanes::shr::<#shift>(#line))),
        std::cmp::Ordering::Less => quote!(lanes::mask::<#mask>(lanes::shl::<#shift>(#line))),
    }
}
