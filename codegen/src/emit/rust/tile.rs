//! The shape of a kernel's register tile, and the loops around it.

use proc_macro2::{Ident, TokenStream};
use quantloom_spec::kernels::Prefetch;
use quote::{format_ident, quote};

use super::Width;
use super::int8::{Source, cell};
use crate::lower::class::Class;

/// A register tile: `vectors` row vectors by `cols` columns.
#[derive(Clone, Copy)]
pub struct Tile<'a> {
    /// What is multiplied.
    pub class: &'a Class,
    /// With which vectors.
    pub width: Width,
    /// Row vectors at a time: of whole panels, or some of one panel.
    pub vectors: usize,
    /// Columns.
    pub cols: usize,
    /// Steps whose dots are in flight at once.
    pub steps: usize,
    /// Which lines it asks for that are `ahead` of those of packed memory that it reads.
    pub prefetch: Prefetch,
    /// How many of its f32 sums lie in memory, because registers hold the dots and what they are made of.
    pub stored: usize,
    /// Whether registers are so few that quads are decoded one after the other.
    pub tight: bool,
    /// Whether two rows and two columns of weights and quants are multiplied at a time.
    pub matrix: bool,
}

impl Tile<'_> {
    /// Turns that it takes over the rows of a panel.
    pub fn turns(&self) -> usize {
        self.width.parts().div_ceil(self.vectors)
    }

    /// The index of the part of a panel's rows that a row vector has: of the variable `part`, if it takes several turns. Nothing where a
    /// vector has them all.
    pub fn part(&self, vector: usize) -> TokenStream {
        let (parts, vectors) = (self.width.parts(), self.vectors);
        match (self.turns(), vectors) {
            (1, _) if parts == 1 => quote!(),
            (1, _) => {
                let part = vector % parts;
                quote!([#part])
            }
            (_, 1) => quote!([part]),
            _ => quote!([part * #vectors + #vector]),
        }
    }

    /// The panel that a row vector belongs to.
    pub fn panel(&self, vector: usize) -> usize {
        if self.turns() == 1 { vector / self.width.parts() } else { 0 }
    }

    /// What is done only in the first turn over a panel.
    pub fn first_turn(&self, text: TokenStream) -> TokenStream {
        if self.turns() == 1 { text } else { quote!(if part == 0 { #text }) }
    }

    /// One piece of text per cell, columns first.
    pub fn cells(&self, text: impl Fn(Ident, usize, usize) -> TokenStream, prefix: &str) -> TokenStream {
        self.each_cell(|vector, column| text(cell(prefix, vector, column), vector, column))
    }

    /// One piece of text per f32 sum, which is a variable or lies in memory; columns first.
    pub fn sums(&self, text: impl Fn(TokenStream, usize, usize) -> TokenStream, name: &str) -> TokenStream {
        let (stored, cells) =
            (self.stored_sums(name), self.each_cell(|vector, column| text(self.sum(name, vector, column), vector, column)));
        quote!(#stored #cells)
    }

    /// Names for the sums that lie in memory, which [`Tile::sum`] uses.
    pub fn stored_sums(&self, name: &str) -> Option<TokenStream> {
        let (array, places) = (format_ident!("{name}"), (0..self.stored).map(|place| format_ident!("{name}_at{place}")));
        self.stores(name).then(|| quote!(let [#(#places),*] = &mut *#array;))
    }

    /// The f32 sum of one cell.
    pub fn sum(&self, name: &str, vector: usize, column: usize) -> TokenStream {
        if let Some(place) = self.stored_at(name, vector, column) {
            let place = format_ident!("{name}_at{place}");
            return quote!(*#place);
        }
        let variable = cell(name, vector, column);
        quote!(#variable)
    }

    /// Every f32 sum of that name at +0.
    pub fn clear(&self, name: &str) -> TokenStream {
        let sum = |sum, vector, column| {
            let declare = self.stored_at(name, vector, column).is_none().then(|| quote!(let mut));
            quote!(#declare #sum = lanes::zero_f();)
        };
        self.sums(sum, name)
    }

    /// The memory of the f32 sums that lie there.
    pub fn memory(&self) -> TokenStream {
        let stored = self.stored;
        let arrays = ["sum", "t"].into_iter().filter(|name| self.stores(name)).map(|name| {
            let name = format_ident!("{name}");
            quote!(let mut #name = &mut [lanes::zero_f(); #stored];)
        });
        quote!(#(#arrays)*)
    }

    /// Keeps the sums of that name that lie in memory there: LLVM would load them into registers, and spill those.
    pub fn keep(&self, name: &str) -> Option<TokenStream> {
        let array = format_ident!("{name}");
        self.stores(name).then(|| quote!(#array = in_memory(#array);))
    }

    /// Lets the next quad begin when `value` has been computed, if registers are few: LLVM would decode several quads ahead and spill
    /// them. The processor does not wait.
    pub fn after(&self, source: Source, function: &str, value: &Ident) -> Option<TokenStream> {
        let function = format_ident!("{function}");
        let next = |place: Ident| quote!(let #place = lanes::#function(#place, #value););
        let places = match source {
            Source::Packed => (0..self.vectors).map(|vector| next(format_ident!("unit{vector}"))).collect(),
            Source::Stage => next(format_ident!("stage")),
        };
        self.tight.then_some(places)
    }

    /// Whether sums of that name lie in memory: the sum of a span of one step is made and used at once.
    fn stores(&self, name: &str) -> bool {
        self.stored > 0 && (name == "sum" || self.class.span > self.class.step)
    }

    /// Where in memory the sum of a cell lies, if it does: the last ones do.
    fn stored_at(&self, name: &str, vector: usize, column: usize) -> Option<usize> {
        let kept = self.vectors * self.cols - self.stored;
        if self.stores(name) { (column * self.vectors + vector).checked_sub(kept) } else { None }
    }

    fn each_cell(&self, text: impl Fn(usize, usize) -> TokenStream) -> TokenStream {
        let cells = (0..self.cols)
            .flat_map(|column| (0..self.vectors).map(move |vector| (vector, column)))
            .map(|(vector, column)| text(vector, column));
        quote!(#(#cells)*)
    }

    /// What the columns have at a place, `let [column0, column1, ...] = place;`, and one piece of text per column. A pattern, because
    /// rustc takes a tenth of a millisecond to look up what an index means.
    pub fn columns(&self, place: &TokenStream, text: impl Fn(usize, &TokenStream) -> TokenStream) -> TokenStream {
        taken_apart(place, "column", self.cols, |column, name| text(column, &quote!(*#name)))
    }

    /// What the row vectors of a stage have, `let [row0, row1, ...] = place;`, as [`Tile::columns`], and one piece of text per vector.
    pub fn rows_of(&self, place: &TokenStream, text: impl Fn(usize, &Ident) -> TokenStream) -> TokenStream {
        taken_apart(place, "row", self.vectors, text)
    }
}

/// `let [name0, name1, ...] = place;`, and one piece of text for each name.
fn taken_apart(place: &TokenStream, name: &str, count: usize, text: impl Fn(usize, &Ident) -> TokenStream) -> TokenStream {
    let names = (0..count).map(|index| format_ident!("{name}{index}")).collect::<Vec<_>>();
    let texts = names.iter().enumerate().map(|(index, name)| text(index, name));
    quote!(let [#(#names),*] = #place; #(#texts)*)
}

/// `for name in 0..count { body }`; a single turn needs no loop.
pub fn each(name: &str, count: usize, body: TokenStream) -> TokenStream {
    let name = format_ident!("{name}");
    if count == 1 { quote!({ let #name = 0; #body }) } else { quote!(for #name in 0..#count { #body }) }
}
