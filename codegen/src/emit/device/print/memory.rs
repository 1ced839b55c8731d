//! What memory has: codes, scales and mins of a unit, and activations.

use quantloom_spec::kernels::Numerics;

use super::{NOTHING, PARTS, Printer};
use crate::emit::device::spelling::{Item, Kind};
use crate::emit::device::sub_vectors;
use crate::kernel::fragments::{BLOCK, CELLS};
use crate::kernel::ir::{Base, Index, Place};
use crate::kernel::ops::Op;
use crate::kernel::quads::Held;
use crate::kernel::threads::WIDTH;
use crate::kernel::width;
use crate::lower::class::Sums;
use crate::lower::layout::{SUBS, has_halves, plane_name, sub_scale_bytes};
use crate::lower::planes::{CHUNK, ROWS};

impl Printer<'_> {
    /// Activations are loaded four at a time, when the first of them is needed.
    pub(super) fn loads(&mut self, place: &Place) {
        if self.held == Held::Fragments {
            return;
        }
        let (name, whole) = match &place.base {
            Base::Columns("quants") => ("x", self.class.panel_body() / 16),
            Base::Columns("values") => ("v", self.class.panel_body() / 4),
            _ => return,
        };
        let [body, Index::Constant(at)] = &place.at[..] else { return };
        if at % 4 != 0 {
            return;
        }
        let at = body.scaled(whole).plus(at / 4);
        let at = self.index(&at);
        for column in 0..self.cols {
            let memory = if name == "x" { "quants" } else { "values" };
            self.line(&format!("{name}{column} = {};", self.spelling.of_column(memory, column, &at)));
        }
    }

    pub(super) fn offset(&self, name: &str) -> usize {
        self.layout.offset_of(name).unwrap_or_else(|| unreachable!("panels of {} have no {name}", self.class.name()))
    }

    /// Where a chunk of codes is, of the first row.
    pub(super) fn chunk(&self, place: &Place) -> String {
        let [body, Index::Constant(index)] = &place.at[..] else { unreachable!("{place:?} is no chunk of a body") };
        let (plane, chunk) = self.class.panel_plane(*index);
        let chunks = self.class.panel_chunks(plane);
        let first = self.offset(plane_name(self.class.planes[plane])) / CHUNK;
        let (first, at) = (first + chunk * ROWS, self.index(&body.scaled(chunks * ROWS)));
        format!("{first}u + {at}")
    }

    /// The row of a place in a unit.
    pub(super) fn row(&self, place: &Place) -> String {
        match (self.held, &place.base) {
            (Held::Fragments, Base::Unit(vector, _)) => format!("{}u + g", BLOCK * vector),
            _ => "lane".to_owned(),
        }
    }

    /// A root as f32.
    pub(super) fn root(&self, op: Op, place: &Place) -> String {
        let Base::Unit(_, field) = place.base else { unreachable!("{place:?} is no root") };
        let (offset, at) = (self.offset(field), self.index(&place.at[0].scaled(ROWS)));
        let row = self.row(place);
        let of = |item, bytes: usize| self.spelling.of_unit(item, &format!("{}u + {at} + {row}", offset / bytes));
        match op {
            Op::Floats => of(Item::Float, 4),
            Op::Halves => format!("HALF_TO_FLOAT({})", of(Item::Half, 2)),
            Op::Bfloats => format!("AS_FLOAT({} << 16u)", of(Item::Half, 2)),
            Op::PowersOfTwo(bias) => format!("power_of_two({}, {bias})", of(Item::Byte, 1)),
            _ => format!("ue4m3({})", of(Item::Byte, 1)),
        }
    }

    /// A byte of what steps have, or of zero points.
    pub(super) fn byte(&self, place: &Place) -> String {
        match place.base {
            Base::Unit(_, "scales") if has_halves(self.class) => format!("{} & 15u", self.sub(place, &place.at[0])),
            Base::Unit(_, "scales") => self.sub(place, &place.at[0]),
            Base::Unit(_, field) => {
                let at = format!("{}u + {} + {}", self.offset(field), self.index(&place.at[0].scaled(ROWS)), self.row(place));
                self.spelling.of_unit(Item::Byte, &at)
            }
            _ => unreachable!("{place:?} is no byte"),
        }
    }

    /// The sub-mins of two steps, 16 bits each.
    pub(super) fn pair(&self, place: &Place) -> String {
        let (begin, shift) = if has_halves(self.class) { (0, " >> 4u") } else { (sub_scale_bytes(self.class), "") };
        let first = place.at[0].times(2).plus(begin);
        let [low, high] = [first.clone(), first.plus(1)].map(|at| format!("({}{shift})", self.sub(place, &at)));
        format!("({low} | ({high} << 16u))")
    }

    /// The sub-mins of four steps of a span, which are those that the thread has of a fragment.
    pub(super) fn min_quad(&self, place: &Place) -> String {
        let (begin, steps) = (sub_scale_bytes(self.class), self.class.span / self.class.step);
        let at = place.at[0].scaled(steps);
        if has_halves(self.class) {
            return format!("({} >> 4u) & 0x0f0f0f0fu", self.sub_word(place, &at));
        }
        self.sub_word(place, &at.plus(begin))
    }

    /// Word t of what a row has of its steps, from a byte on.
    pub(super) fn sub_word(&self, place: &Place, at: &Index) -> String {
        let (at, row, bytes) = (self.index(at), self.row(place), self.sub_bytes());
        format!("*(const uint*)(bytes + {}u + {bytes}u * ({row}) + {at} + 4u * t)", self.offset(SUBS))
    }

    /// Bytes that a row has of its steps.
    pub(super) fn sub_bytes(&self) -> usize {
        let field = self.layout.fields.iter().find(|field| field.name == SUBS);
        field.map_or(0, |field| field.element.bytes())
    }

    /// A byte of what a row has of its steps.
    pub(super) fn sub(&self, place: &Place, at: &Index) -> String {
        if self.held == Held::Fragments {
            let (at, row) = (self.index(at), self.row(place));
            return format!("(uint)bytes[{}u + {}u * ({row}) + {at}]", self.offset(SUBS), self.sub_bytes());
        }
        let vectors = (0..sub_vectors(self.layout)).map(|index| format!("subs{index}, ")).collect::<String>();
        format!("sub_byte({vectors}{})", self.index(at))
    }

    /// The sum of the quants of a step, or of two.
    pub(super) fn sum(&self, place: &Place) -> String {
        let sum = |at: &Index| self.of_column("sums", "STAGE_STEPS", column(place), at);
        let at = &place.at[0];
        match &place.base {
            Base::Columns("bias") => format!("({}) * {}", width::bias(self.class, WIDTH), sum(at)),
            _ if self.class.sums() == Some(Sums::Whole) => sum(at),
            _ if self.class.span == self.class.step => {
                let bits = format!("{} & 0xffffu", self.spelling.convert(Kind::Uint, &sum(at)));
                self.spelling.convert(Kind::Int, &bits)
            }
            _ => format!("pair_of({}, {})", sum(&at.times(2)), sum(&at.times(2).plus(1))),
        }
    }

    /// An item of an array that columns have, so many in a stage.
    pub(super) fn of_column(&self, name: &str, count: &str, column: usize, at: &Index) -> String {
        let at = self.index(at);
        match self.held {
            Held::Fragments => format!("own_{name}[{}u * {count} + {at}]", column / CELLS * BLOCK + column % CELLS),
            _ => self.spelling.of_column(name, column, &at),
        }
    }

    /// The scale of a span, or an activation.
    pub(super) fn activation(&self, place: &Place) -> String {
        match &place.base {
            Base::Columns("scales") => self.of_column("scales", "STAGE_SPANS", column(place), &place.at[0]),
            Base::Columns("values") => quarter("v", place),
            _ => unreachable!("{place:?} is no activation"),
        }
    }

    /// Declarations of what activations are loaded to.
    pub fn activations(&mut self) {
        for column in 0..self.cols {
            let (kind, name) = match self.numerics {
                Numerics::Int8 => (Kind::Uints, "x"),
                Numerics::Exact => (Kind::Floats, "v"),
            };
            self.line(&self.spelling.declare(kind, &format!("{name}{column}"), None, true));
        }
    }

    /// The bytes of steps.
    pub fn steps(&mut self) {
        let Some(field) = self.layout.fields.iter().find(|field| field.name == SUBS) else { return };
        let (offset, bytes) = (self.offset(SUBS), field.element.bytes());
        if bytes < CHUNK {
            let word = |index: usize| match 4 * index < bytes {
                true => self.spelling.of_unit(Item::Word, &format!("{}u + {}u * lane", offset / 4 + index, bytes / 4)),
                false => NOTHING.to_owned(),
            };
            let vector = self.spelling.vector(&[0, 1, 2, 3].map(word));
            self.line(&self.spelling.declare(Kind::Uints, "subs0", Some(&vector), false));
        }
        for index in 0..bytes / CHUNK {
            let at = format!("{}u + {}u * lane", offset / CHUNK + index, bytes / CHUNK);
            let chunk = self.spelling.of_unit(Item::Chunk, &at);
            self.line(&self.spelling.declare(Kind::Uints, &format!("subs{index}"), Some(&chunk), false));
        }
    }
}

/// The column of a place.
fn column(place: &Place) -> usize {
    match place.at.last() {
        Some(Index::Constant(column)) => *column,
        _ => unreachable!("{place:?} is of no column"),
    }
}

/// One of four activations that were loaded together.
pub(super) fn quarter(name: &str, place: &Place) -> String {
    let [_, Index::Constant(at), Index::Constant(column)] = &place.at[..] else {
        unreachable!("{place:?} is no activation of a body");
    };
    format!("{name}{column}.{}", PARTS[at % 4])
}
