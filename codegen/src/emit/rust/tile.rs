//! The shape of a kernel's register tile, and the loops around it.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::Width;
use super::int8::cell;
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
    /// Whether each line of packed memory that is read asks for one that is `ahead`.
    pub streams: bool,
}

impl Tile<'_> {
    /// Turns that it takes over the rows of a panel.
    pub fn turns(&self) -> usize {
        self.width.parts().div_ceil(self.vectors)
    }

    /// Which part of a panel's rows a row vector has: an expression of the variable `part`, if it takes several turns.
    pub fn part(&self, vector: usize) -> TokenStream {
        let (parts, vectors) = (self.width.parts(), self.vectors);
        match (self.turns(), vectors) {
            (1, _) => {
                let part = vector % parts;
                quote!(#part)
            }
            (_, 1) => quote!(part),
            _ => quote!(part * #vectors + #vector),
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
        let cells = (0..self.cols)
            .flat_map(|column| (0..self.vectors).map(move |vector| (vector, column)))
            .map(|(vector, column)| text(cell(prefix, vector, column), vector, column));
        quote!(#(#cells)*)
    }

    /// One piece of text per column.
    pub fn columns(&self, text: impl Fn(usize) -> TokenStream) -> TokenStream {
        let columns = (0..self.cols).map(text);
        quote!(#(#columns)*)
    }
}

/// `for name in 0..count { body }`; a single turn needs no loop.
pub fn each(name: &str, count: usize, body: TokenStream) -> TokenStream {
    let name = format_ident!("{name}");
    if count == 1 { quote!({ let #name = 0; #body }) } else { quote!(for #name in 0..#count { #body }) }
}
