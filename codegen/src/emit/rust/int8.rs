//! Kernel bodies of the numerics class `int8`.
//!
//! Per span `t = +0`; per step `t = fma(root * sub, f32(dot), t)`; then the mins; then `sum = fma(activation scale, t, sum)`.
//!
//! The dots of several steps can be in flight at once: one dot takes five cycles, and two or more can begin in each, so that the cells
//! of a small tile are too few to keep the processor busy.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::tile::{Tile, each};
use super::unit;

/// Where a tile finds its weights.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The packed unit, decoded in registers.
    Packed,
    /// A segment that was unpacked before.
    Stage,
}

impl Tile<'_> {
    /// One unit: for each span its steps and mins, added to `sum{vector}_{column}`.
    pub fn int8_unit(&self, source: Source) -> TokenStream {
        let class = self.class;
        let (spans, steps) = (class.unit / class.span, class.span / class.step);
        let (open, close) = self.around_span(source);
        if steps > 1 {
            let (flight, turn) = self.turn(source, steps);
            let turns = steps / flight;
            let first = scaled(&quote!(span), turns);
            let keep = self.keep("t");
            let turns = each("turn", turns, quote!(let at_turn = #first + turn; #keep #turn));
            let keep = self.keep("sum");
            return each("span", spans, quote!(#keep #open #turns #close));
        }
        let flight = self.flight(spans);
        let (starts, dots, keep) = (self.starts(source, flight), self.dots(source, flight), self.keep("sum"));
        let ends = (0..flight).map(|step| {
            let (end, span) = (self.end(source, step), place(&quote!(at_turn), flight, step));
            quote!({ let span = #span; #open #end #close })
        });
        each("at_turn", spans / flight, quote!(#keep #starts #dots #(#ends)*))
    }

    /// What comes before the steps of a span, and what after.
    fn around_span(&self, source: Source) -> (TokenStream, TokenStream) {
        let clear = (self.class.span > self.class.step).then(|| self.clear("t"));
        let (roots, mins) = (self.span_roots(source), self.int8_mins(source));
        let finish = self.columns(&quote!(&columns.scales[span]), |column, scale| {
            let sums = (0..self.vectors).map(|vector| {
                let (sum, t) = (self.sum("sum", vector, column), self.sum("t", vector, column));
                quote!(#sum = lanes::fma(scale, #t, #sum);)
            });
            quote!({ let scale = lanes::splat_f(#scale); #(#sums)* })
        });
        let stored = ["sum", "t"].map(|name| self.stored_sums(name));
        (quote!(#clear #roots), quote!(#mins #(#stored)* #finish))
    }

    /// Steps in flight: as many as the variant says, or fewer if those do not divide `steps`.
    fn flight(&self, steps: usize) -> usize {
        (1..=self.steps).rev().find(|flight| steps.is_multiple_of(*flight)).unwrap_or(1)
    }

    /// Turn `at_turn` of the unit, and how many steps of a span that has `steps` it takes.
    fn turn(&self, source: Source, steps: usize) -> (usize, TokenStream) {
        let class = self.class;
        let a_body = class.body() / class.step;
        if a_body > 1 {
            return (a_body, self.body_turn(source, a_body));
        }
        let flight = self.flight(steps);
        let (starts, dots) = (self.starts(source, flight), self.dots(source, flight));
        let ends = (0..flight).map(|step| self.end(source, step));
        (flight, quote!(#starts #dots #(#ends)*))
    }

    /// A body that holds several steps: loaded once, its steps one after the other.
    fn body_turn(&self, source: Source, count: usize) -> TokenStream {
        let quads = self.class.step / 4;
        let steps = (0..count).map(|step| {
            let (start, pairs, end) = (self.start(source, step), self.pair_sums(step), self.end(source, step));
            let dots = (0..quads).step_by(self.quads_at_once());
            let dots = dots.map(|index| self.loaded_dots(source, step, (0, step * quads + index), (index, quads)));
            let (name, place) = (at_step(step), place(&quote!(at_turn), count, step));
            let keep = self.keep("t");
            quote!(let #name = #place; #keep #start #pairs #(#dots)* #end)
        });
        let (prefetch, quants) = (self.prefetch(source, 0), self.quants(0));
        quote!(let at_body0 = at_turn; #prefetch #quants #(#steps)*)
    }

    /// The dots of the steps in flight begin: `at_step{step}` is where in the unit they are.
    fn starts(&self, source: Source, flight: usize) -> TokenStream {
        let starts = (0..flight).map(|step| {
            let (name, place, start) = (at_step(step), place(&quote!(at_turn), flight, step), self.start(source, step));
            quote!(let #name = #place; #start)
        });
        quote!(#(#starts)*)
    }

    /// The dot of a step begins at its bias.
    fn start(&self, source: Source, step: usize) -> TokenStream {
        let (at_step, places) = (at_step(step), self.start_places(source, step));
        if self.matrix {
            return self.matrix_start(step, &at_step);
        }
        let dots = |column| (0..self.vectors).map(move |vector| dot(step, vector, column));
        if unit::bias(self.class, self.width) == 0 {
            let dots = (0..self.cols).flat_map(dots);
            return quote!(#places #(let mut #dots = lanes::zero_i();)*);
        }
        let dots = self.columns(&quote!(&columns.bias[#at_step]), |column, bias| {
            let dots = dots(column);
            quote!(#(let mut #dots = lanes::splat_i(#bias);)*)
        });
        quote!(#places #dots)
    }

    /// The dot of a step ends with its scale.
    fn end(&self, source: Source, step: usize) -> TokenStream {
        let at_step = at_step(step);
        let scales = (0..self.vectors).map(|vector| {
            let (scale, value, zeros) =
                (format_ident!("scale{vector}"), self.step_scale(source, vector), self.step_zeros(source, vector));
            quote!(let #scale = #value; #zeros)
        });
        let add = self.sums(
            |t, vector, column| {
                let (dot, scale) = (dot(step, vector, column), format_ident!("scale{vector}"));
                let whole = self.less_zeros(vector, column, quote!(lanes::to_float(#dot)));
                match self.class.span == self.class.step {
                    true => quote!(let mut #t = lanes::first_product(#scale, #whole);),
                    false => quote!(#t = lanes::fma(#scale, #whole, #t);),
                }
            },
            "t",
        );
        let dots = if self.matrix { self.dots_of_matrices(step) } else { self.end_places(source, step) };
        quote!(let at_step = #at_step; #dots #(#scales)* #add)
    }

    /// The dots of the steps in flight, quad by quad in turn.
    fn dots(&self, source: Source, flight: usize) -> TokenStream {
        let class = self.class;
        let (parts, quads) = (class.step / class.body(), class.body() / 4);
        let bodies = (0..flight).map(|step| {
            let (at_body, at_step) = (at_body(step), at_step(step));
            let (prefetch, quants, pairs) = (self.prefetch(source, step), self.quants(step), self.pair_sums(step));
            let first = scaled(&quote!(#at_step), parts);
            let place = if parts == 1 { first } else { quote!(#first + part_of_step) };
            quote!(let #at_body = #place; #prefetch #quants #pairs)
        });
        let dots = (0..quads).step_by(self.quads_at_once()).flat_map(|quad| (0..flight).map(move |step| (quad, step)));
        let dots = dots.map(|(quad, step)| self.loaded_dots(source, step, (step, quad), (quad, quads)));
        each("part_of_step", parts, quote!(#(#bodies)* #(#dots)*))
    }

    /// Asks for what lies ahead of the lines of body `at_body{body}`.
    fn prefetch(&self, source: Source, body: usize) -> TokenStream {
        if source == Source::Stage {
            return quote!();
        }
        let at_body = at_body(body);
        let lines = (0..self.vectors)
            .map(|vector| self.prefetch_lines(vector, &quote!(codes[#at_body]), &quote!(0), self.class.body_lines()));
        quote!(#(#lines)*)
    }

    /// Where the quants of each quad of body `at_body{body}` are: `columns{body}_{quad}`.
    fn quants(&self, body: usize) -> TokenStream {
        let (at_body, names) = (at_body(body), (0..self.class.body() / 4).map(|quad| quants_of(body, quad)));
        quote!(let [#(#names),*] = &columns.quants[#at_body];)
    }

    /// Quads of a row that are multiplied at a time.
    pub const fn quads_at_once(&self) -> usize {
        if self.matrix { 2 } else { 1 }
    }

    /// [`Tile::quad_dots`] of as many quads as are multiplied at a time, loaded before.
    fn loaded_dots(&self, source: Source, step: usize, (body, quad): (usize, usize), row: (usize, usize)) -> TokenStream {
        let loads = (0..self.quads_at_once()).map(|index| self.load(source, body, quad + index));
        let dots = match self.matrix {
            true => self.matrix_dots(source, step, (body, quad)),
            false => self.quad_dots(source, step, (body, quad), row),
        };
        quote!(#(#loads)* #dots)
    }

    /// Loads what [`Tile::load_lines`] says of body `at_body{body}`, if it comes from packed memory.
    fn load(&self, source: Source, body: usize, quad: usize) -> TokenStream {
        if source == Source::Stage {
            return quote!();
        }
        let at_body = at_body(body);
        let loads = (0..self.vectors)
            .map(|vector| self.load_lines(vector, &quote!(codes[#at_body]), &quote!(0), quad, &lines_of(body, vector)));
        quote!(#(#loads)*)
    }

    /// The products of one quad of a body with those of every column, added to the dots of `step`; it is quad `index` of `count` that
    /// are added in a row.
    fn quad_dots(&self, source: Source, step: usize, (body, quad): (usize, usize), row: (usize, usize)) -> TokenStream {
        let at_body = at_body(body);
        let weight = |vector, value: TokenStream| {
            let name = format_ident!("weight{vector}");
            quote!(let #name = #value;)
        };
        let weights = match source {
            Source::Packed => {
                (0..self.vectors).map(|vector| weight(vector, self.packed_quad(&lines_of(body, vector), quad))).collect()
            }
            Source::Stage => {
                self.rows_of(&quote!(&stage.quads[#at_body][#quad]), |vector, row| weight(vector, quote!(lanes::line(#row))))
            }
        };
        let quants = quants_of(body, quad);
        let products = self.columns(&quote!(#quants), |column, quants| {
            let products = (0..self.vectors).map(|vector| self.multiply(source, (step, quad), (vector, column), row));
            quote!({ let quants = lanes::quants(#quants); #(#products)* })
        });
        let after = self.after(source, "after", &self.latest(source, (step, quad), row));
        quote!({ #weights #products } #after)
    }

    /// The 16-bit sums of a step that some instruction sets add to before they widen.
    fn pair_sums(&self, step: usize) -> TokenStream {
        if !self.width.dot.is_narrow() {
            return quote!();
        }
        self.cells(|pair, _, _| quote!(let mut #pair;), &format!("pair{step}_"))
    }

    /// What the last product of a quad was added to: see [`Tile::multiply`].
    fn latest(&self, source: Source, (step, quad): (usize, usize), (index, count): (usize, usize)) -> Ident {
        let (vector, column) = (self.vectors - 1, self.cols - 1);
        let widened = (index + 1).is_multiple_of(unit::budget(self.class, self.width)) || index + 1 == count;
        if self.width.dot.is_narrow() && !widened {
            cell(&format!("pair{step}_"), vector, column)
        } else {
            self.dot_of(source, step, quad, (vector, column))
        }
    }

    /// Adds the products of quad `index` of `count` to the dot, by the primitive of the instruction set.
    fn multiply(
        &self,
        source: Source,
        (step, quad): (usize, usize),
        (vector, column): (usize, usize),
        (index, count): (usize, usize),
    ) -> TokenStream {
        let (weight, dot) = (format_ident!("weight{vector}"), self.dot_of(source, step, quad, (vector, column)));
        if !self.width.dot.is_narrow() {
            return quote!(#dot = lanes::dot(#dot, #weight, quants););
        }
        let pair = cell(&format!("pair{step}_"), vector, column);
        // What takes signed codes by nature has no other word for them.
        let signed = unit::signed_palette(self.class, self.width) || unit::less_128(self.class, self.width);
        let products = if signed && !self.width.dot.is_signed() { quote!(signed_products) } else { quote!(products) };
        let budget = unit::budget(self.class, self.width);
        let first = index.is_multiple_of(budget);
        let last = (index + 1).is_multiple_of(budget) || index + 1 == count;
        let add = if first {
            quote!(#pair = lanes::#products(#weight, quants);)
        } else {
            quote!(#pair = lanes::add_products(#pair, lanes::#products(#weight, quants));)
        };
        let widen = last.then(|| quote!(#dot = lanes::widen(#dot, #pair);));
        quote!(#add #widen)
    }
}

/// `index * count`, plainly.
fn scaled(index: &TokenStream, count: usize) -> TokenStream {
    if count == 1 { index.clone() } else { quote!(#index * #count) }
}

/// Which one is number `step` of the `count` that belong to `index`.
fn place(index: &TokenStream, count: usize, step: usize) -> TokenStream {
    let first = scaled(index, count);
    if step == 0 { first } else { quote!(#first + #step) }
}

/// Where in the unit a step in flight is.
fn at_step(step: usize) -> Ident {
    format_ident!("at_step{step}")
}

/// Where in the unit the body is that a step in flight has come to.
pub fn at_body(step: usize) -> Ident {
    format_ident!("at_body{step}")
}

/// Where the quants of a quad of a body are.
pub fn quants_of(body: usize, quad: usize) -> Ident {
    format_ident!("columns{body}_{quad}")
}

/// The dot of a step in flight, of one cell.
pub fn dot(step: usize, vector: usize, column: usize) -> Ident {
    cell(&format!("dot{step}_"), vector, column)
}

/// The lines of a body and a vector are called so, and a number.
pub fn lines_of(body: usize, vector: usize) -> String {
    format!("line{body}_{vector}_")
}

/// The variable of one cell of a tile.
pub fn cell(prefix: &str, vector: usize, column: usize) -> Ident {
    format_ident!("{prefix}{vector}_{column}")
}
