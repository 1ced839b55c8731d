//! Codes in registers: a body's lines loaded, and each quad of codes put together from its planes.

use proc_macro2::TokenStream;
use quantloom_spec::kernels::Prefetch;
use quote::{ToTokens, format_ident, quote};

use super::tile::Tile;
use super::unit;
use crate::lower::class::{Class, Codes};

impl Tile<'_> {
    /// Loads the lines that quad `quad` is the first to need, or where registers are few all that it needs, counted from
    /// `unit{vector}.{codes}[first]`: `let line0 = lanes::line(...); ...`.
    pub fn load_lines(
        &self,
        vector: usize,
        codes: &TokenStream,
        first: &TokenStream,
        quad: usize,
        prefix: &str,
    ) -> TokenStream {
        let lines = if self.tight { self.class.lines_of(quad) } else { self.class.new_lines(quad) };
        self.lines(vector, codes, first, &lines, |index, place| {
            let line = format_ident!("{prefix}{index}");
            quote!(let #line = lanes::line(#place);)
        })
    }

    /// The bytes of quad `quad` of a body that `int8` multiplies, where they are not multiplied in place.
    pub fn int8_quad(&self, prefix: &str, quad: usize) -> TokenStream {
        let bytes = self::quad(self.class, prefix, quad);
        if unit::less_128(self.class, self.width) { quote!(lanes::less_128(#bytes)) } else { bytes }
    }

    /// Asks for `count` lines as far ahead from `unit{vector}.{codes}[first]` on, if the tile does.
    pub fn prefetch_lines(&self, vector: usize, codes: &TokenStream, first: &TokenStream, count: usize) -> TokenStream {
        if self.prefetch == Prefetch::None || !self.begins_line(vector) {
            return quote!();
        }
        let lines = (0..count).collect::<Vec<_>>();
        self.lines(vector, codes, first, &lines, |_, place| self.prefetch_line(vector, place))
    }

    /// One piece of text for each of some lines, counted from `unit{vector}.{codes}[first]`, with where the row vector's part of it is. They
    /// get names in one pattern if they are first, as [`Tile::columns`] do.
    fn lines(
        &self,
        vector: usize,
        codes: &TokenStream,
        first: &TokenStream,
        wanted: &[usize],
        text: impl Fn(usize, &TokenStream) -> TokenStream,
    ) -> TokenStream {
        let (unit, part) = (format_ident!("unit{vector}"), self.part(vector));
        let (is_first, name) = (first.to_string() == "0", |index| format_ident!("at{index}"));
        let texts = wanted.iter().map(|&index| {
            let name = name(index);
            let place = match (is_first, part.is_empty()) {
                (true, true) => quote!(#name),
                (true, false) => quote!(&#name #part),
                (false, _) => quote!(&#unit.#codes[#first + #index]#part),
            };
            text(index, &place)
        });
        let names = (0..self.class.body_lines()).map(|index| match wanted.contains(&index) {
            true => name(index).into_token_stream(),
            false => quote!(_),
        });
        let names = (is_first && !wanted.is_empty()).then(|| quote!(let [#(#names),*] = &#unit.#codes;));
        quote!(#names #(#texts)*)
    }

    /// One prefetch per line of memory: with narrow vectors, only where the first of them is read.
    pub fn prefetch_line(&self, vector: usize, line: &TokenStream) -> TokenStream {
        let word = match self.prefetch {
            Prefetch::Far => quote!(prefetch_far),
            Prefetch::Near => quote!(prefetch_near),
            Prefetch::Both => quote!(prefetch_both),
            Prefetch::None => return quote!(),
        };
        if self.begins_line(vector) { self.first_turn(quote!(#word(#line, ahead);)) } else { quote!() }
    }

    /// Whether a row vector is the first of a panel's.
    fn begins_line(&self, vector: usize) -> bool {
        vector.is_multiple_of(self.width.parts())
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
        field(&quote!(#line), place.bits, place.shift, place.low + class.shift)
    });
    pieces.reduce(|low, high| quote!(lanes::or(#low, #high))).expect("a code has planes")
}

/// `bits` bits of every byte from bit `from`, moved to bit `to`.
pub fn field(line: &TokenStream, bits: u32, from: u32, to: u32) -> TokenStream {
    if bits == 8 {
        return line.clone();
    }
    let mask = proc_macro2::Literal::u32_unsuffixed((((1_u32 << bits) - 1) << to) & 0xff);
    let shift = proc_macro2::Literal::u32_unsuffixed(from.abs_diff(to));
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => quote!(lanes::mask(#line, #mask)),
        std::cmp::Ordering::Greater => quote!(lanes::mask(lanes::shr::<#shift>(#line), #mask)),
        std::cmp::Ordering::Less => quote!(lanes::mask(lanes::shl::<#shift>(#line), #mask)),
    }
}
