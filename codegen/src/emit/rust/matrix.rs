//! Products of matrices: two rows by two columns, eight weights at a time.
//!
//! While a step is being summed, the variables of the cells of four rows and columns `c` and `c + 1` hold two such products: that of the
//! upper two rows under the name of column `c`, that of the lower two under the other.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::int8::{Source, at_body, dot, lines_of, quants_of};
use super::tile::Tile;
use super::unit;

impl Tile<'_> {
    /// The dots of a step begin at their bias.
    pub fn matrix_start(&self, step: usize, at_step: &Ident) -> TokenStream {
        let dots = (0..self.cols).map(|column| {
            let first = if unit::bias(self.class, self.width) == 0 {
                quote!(lanes::zero_i())
            } else {
                let (even, odd) = (column & !1, column | 1);
                quote!(lanes::splat_two(columns.bias[#at_step][#even], columns.bias[#at_step][#odd]))
            };
            let dots = (0..self.vectors).map(|vector| dot(step, vector, column));
            quote!(#(let mut #dots = #first;)*)
        });
        quote!(#(#dots)*)
    }

    /// The products of quads `quad` and `quad + 1` of a body with those of every column, added to the dots of `step`.
    pub fn matrix_dots(&self, source: Source, step: usize, (body, quad): (usize, usize)) -> TokenStream {
        let quants = (0..self.cols).step_by(2).map(|column| {
            let (name, next) = (format_ident!("quants{column}"), column + 1);
            let [first, second] = [quad, quad + 1].map(|quad| {
                let quants = quants_of(body, quad);
                quote!(lanes::first_two(#quants[#column], #quants[#next]))
            });
            quote!(let #name = lanes::low_turns(#first, #second);)
        });
        let products = (0..self.vectors).map(|vector| {
            let weights = self.source_rows(source, vector, (body, quad));
            let products = (0..self.cols).map(|column| {
                let (dot, quants) = (dot(step, vector, column), format_ident!("quants{}", column & !1));
                let rows = if column % 2 == 0 { quote!(upper) } else { quote!(lower) };
                quote!(#dot = lanes::dot_matrix(#dot, #rows, #quants);)
            });
            quote!({ #weights #(#products)* })
        });
        let after = self.after(source, "after", &dot(step, self.vectors - 1, self.cols - 1));
        quote!({ #(#quants)* #(#products)* } #after)
    }

    /// Four rows as two matrices: `upper` and `lower`. A stage has them.
    fn source_rows(&self, source: Source, vector: usize, (body, quad): (usize, usize)) -> TokenStream {
        if source == Source::Packed {
            return self.rows(&lines_of(body, vector), quad);
        }
        let at_body = at_body(body);
        let [upper, lower] = [quad, quad + 1].map(|quad| quote!(lanes::line(&stage.quads[#at_body][#quad][#vector])));
        quote!(let (upper, lower) = (#upper, #lower);)
    }

    /// Quads `quad` and `quad + 1` of four rows, from lines that `load_lines` named, as two matrices: `upper` and `lower`.
    pub fn rows(&self, prefix: &str, quad: usize) -> TokenStream {
        let [first, second] = [quad, quad + 1].map(|quad| self.int8_quad(prefix, quad));
        quote! {
            let (first, second) = (#first, #second);
            let (upper, lower) = (lanes::low_turns(first, second), lanes::high_turns(first, second));
        }
    }

    /// The dot of each cell, from the products.
    pub fn dots_of_matrices(&self, step: usize) -> TokenStream {
        let cells = (0..self.cols).step_by(2).flat_map(|column| (0..self.vectors).map(move |vector| (vector, column)));
        let dots = cells.map(|(vector, column)| {
            let (even, odd) = (dot(step, vector, column), dot(step, vector, column + 1));
            quote!(let (#even, #odd) = (lanes::even(#even, #odd), lanes::odd(#even, #odd));)
        });
        quote!(#(#dots)*)
    }
}
