//! Packed classes: all that a kernel needs to know of a format, derived from its checked card.
//!
//! A unit of a packed panel holds, in this order: root scales, root mins, sub-scales, sub-mins, code lines. A code line is 64
//! bytes: for each of 16 rows the same bits of 4 consecutive weights, one weight to a byte. A plane of b bits puts 8 / b such
//! quads of weights into one line, the first lowest.

use quantloom_spec::model::{Element, Format, Number, Piece, Run, Stored};

use crate::Error;

/// Rows interleaved in a panel.
pub const PANEL_ROWS: usize = 16;
/// Weights of a segment.
pub const SEGMENT: usize = 512;
/// Bytes of a code line: 16 rows of 4 weights.
pub const LINE: usize = 64;
/// Largest growth of packed over stored bytes that padding to whole lines may cause.
const GROWTH: f64 = 1.02;

/// A packed class.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Weights of a stored block.
    pub block: usize,
    /// Weights of a unit: one or more blocks.
    pub unit: usize,
    /// Bits of each code plane, the lowest bits first.
    pub planes: Vec<u32>,
    /// Subtracted from a code to give its level.
    pub zero: i32,
    /// Largest code.
    pub max_code: u32,
    /// Weights under one activation scale.
    pub span: usize,
    /// Weights under one weight scale and one activation scale.
    pub step: usize,
    /// Weights under one root scale.
    pub root_group: usize,
    /// How root scales and root mins are held.
    pub root: Root,
    /// The integer scale under the root, if there are two levels.
    pub sub_scale: Option<Sub>,
    /// The min, if there is one.
    pub min: Option<Min>,
}

/// Some bits of every code of a quad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line of the body that holds them.
    pub line: usize,
    /// How many bits of each code.
    pub bits: u32,
    /// The lowest of them in the code.
    pub low: u32,
    /// The lowest of them in a byte of the line.
    pub shift: u32,
}

/// How a root is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The stored half-precision bits.
    F16,
    /// Widened to f32.
    F32,
}

impl Root {
    /// Bytes of one.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// An integer of a byte under a root.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sub {
    /// It may be negative.
    pub signed: bool,
    /// Its unit, a power of two times -1 or 1: the root is multiplied by it.
    pub unit: f32,
    /// `integer = factor * stored + offset`, stored taken as signed if `signed_bits` says of how many bits.
    pub factor: i32,
    /// See `factor`.
    pub offset: i32,
    /// Width of a stored two's-complement integer.
    pub signed_bits: Option<u32>,
}

/// How mins are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Min {
    /// One root per step.
    Flat,
    /// An integer per step under a root.
    Sub(Sub),
}

impl Class {
    /// Derives the class of a format.
    ///
    /// # Errors
    /// No kernel schedule covers the format's levels or scales; the message says which part.
    pub fn of(format: &Format) -> Result<Self, Error> {
        let unsupported = |what: &str| Error::unsupported(format, what);
        let blocks = format.blocks().ok_or_else(|| unsupported("separate tensors"))?;
        let [piece] = &format.pieces[..] else { return Err(unsupported("pieces of unlike shape")) };
        if format.zero.is_some() || format.sign.is_some() {
            return Err(unsupported("zero points and signs apart from the code"));
        }
        let (bits, zero) = linear_code(format, &piece.code).ok_or_else(|| unsupported("levels that are not consecutive"))?;
        let scale = format.scale.as_ref().ok_or_else(|| unsupported("no scale"))?;
        let span = if blocks.weights.is_multiple_of(256) { 256 } else { 32 };
        if !blocks.weights.is_multiple_of(32) || !SEGMENT.is_multiple_of(blocks.weights) {
            return Err(unsupported("blocks that do not divide a segment, or are no multiple of 32"));
        }
        let scale_group = format.run(piece, scale).min(blocks.weights);
        let root_group = root_group_of(format, piece, scale);
        let step = scale_group.min(span);
        let mut class = Self {
            block: blocks.weights,
            unit: blocks.weights,
            planes: planes(bits),
            zero,
            max_code: (1 << bits) - 1,
            span,
            step,
            root_group,
            root: root(format, scale),
            sub_scale: sub(format, scale).ok_or_else(|| unsupported("scales that are no integers of 8 bits"))?,
            min: None,
        };
        if let Some(min) = &format.min {
            if format.run(piece, min) < step || root_group_of(format, piece, min) != class.min_root_group(min) {
                return Err(unsupported("mins grouped otherwise than scales"));
            }
            class.min = Some(match sub(format, min).ok_or_else(|| unsupported("mins that are no integers of 8 bits"))? {
                Some(sub) if !sub.signed => Min::Sub(sub),
                Some(_) => return Err(unsupported("signed mins")),
                None => Min::Flat,
            });
        }
        if matches!(class.min, Some(Min::Sub(_))) && root_group < span {
            return Err(unsupported("integer mins under several roots of a span"));
        }
        class.unit *= class.repeats(blocks.bytes);
        Ok(class)
    }

    fn min_root_group(&self, min: &Number) -> usize {
        if min.outer.is_some() { self.root_group } else { self.step }
    }

    /// Blocks per unit: as few as keep the unit a whole number of lines at little cost.
    fn repeats(&self, block_bytes: usize) -> usize {
        let stored = |repeats: usize| (block_bytes * PANEL_ROWS * repeats) as f64;
        let padded = |repeats: usize| Self { unit: self.block * repeats, ..self.clone() }.unit_bytes() as f64;
        let held =
            |repeats: usize| (Self { unit: self.block * repeats, ..self.clone() }.content_bytes() as f64).max(stored(repeats));
        (0..=3)
            .map(|log| 1 << log)
            .find(|&n| padded(n) <= GROWTH * held(n) && SEGMENT.is_multiple_of(self.block * n))
            .unwrap_or(1)
    }

    /// Bits of a code.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.planes.iter().sum()
    }

    /// Weights covered by whole lines of every plane.
    #[must_use]
    pub fn chunk(&self) -> usize {
        32 / self.planes.iter().min().copied().unwrap_or(8) as usize
    }

    /// Weights handled by one unrolled body: whole steps up to 32 weights, and whole lines.
    #[must_use]
    pub fn body(&self) -> usize {
        self.chunk().max(self.step.min(32))
    }

    /// Code lines of a chunk.
    #[must_use]
    pub fn chunk_lines(&self) -> usize {
        self.chunk() * self.bits() as usize / 32
    }

    /// Code lines of a body.
    #[must_use]
    pub fn body_lines(&self) -> usize {
        self.body() * self.bits() as usize / 32
    }

    /// Where the bits of quad `quad` of a body (or of a chunk, if it lies in the first) are, lowest first.
    #[must_use]
    pub fn places(&self, quad: usize) -> Vec<Place> {
        let chunk_quads = self.chunk() / 4;
        let (chunk, quad) = (quad / chunk_quads, quad % chunk_quads);
        let (mut line, mut low) = (chunk * self.chunk_lines(), 0);
        let place = |&bits: &u32| {
            let quads_a_line = 8 / bits as usize;
            let shift = bits * (quad % quads_a_line) as u32;
            let place = Place { line: line + quad / quads_a_line, bits, low, shift };
            line += chunk_quads / quads_a_line;
            low += bits;
            place
        };
        self.planes.iter().map(place).collect()
    }

    /// Root scales per row of a unit.
    #[must_use]
    pub const fn roots(&self) -> usize {
        self.unit / self.root_group
    }

    /// Root mins per row of a unit.
    #[must_use]
    pub const fn min_roots(&self) -> usize {
        match self.min {
            None => 0,
            Some(Min::Flat) => self.steps(),
            Some(Min::Sub(_)) => self.roots(),
        }
    }

    /// Steps of a unit.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.unit / self.step
    }

    /// Pairs of steps of a unit that share an i16 pair of sub-mins; a span of a single step has a pair of its own.
    #[must_use]
    pub const fn min_pairs(&self) -> usize {
        match self.min {
            Some(Min::Sub(_)) => (self.unit / self.span) * self.span_pairs(),
            _ => 0,
        }
    }

    /// Pairs of steps of a span.
    #[must_use]
    pub const fn span_pairs(&self) -> usize {
        (self.span / self.step).div_ceil(2)
    }

    /// Code lines of a unit.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.unit * self.bits() as usize / 32
    }

    /// Bytes of a unit that lie before its code lines: roots, scales and mins.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        let roots = (self.roots() + self.min_roots()) * self.root.bytes();
        let subs = if self.sub_scale.is_some() { self.steps() } else { 0 };
        (roots + subs + 2 * self.min_pairs()) * PANEL_ROWS
    }

    /// Bytes of a unit that carry information.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.head_bytes() + self.lines() * LINE
    }

    /// Bytes of a unit: a whole number of lines.
    #[must_use]
    pub fn unit_bytes(&self) -> usize {
        self.content_bytes().next_multiple_of(LINE)
    }

    /// The name of the class, from its parameters: formats with the same kernels have the same name.
    #[must_use]
    pub fn name(&self) -> String {
        let root = match self.root {
            Root::F16 => "h",
            Root::F32 => "f",
        };
        let scale = match self.sub_scale {
            None => format!("g{}", self.step),
            Some(sub) => format!("g{}{}{}", self.step, if sub.signed { "i" } else { "u" }, unit_name(sub.unit)),
        };
        let min = match self.min {
            None => String::new(),
            Some(Min::Flat) => "_min".to_owned(),
            Some(Min::Sub(sub)) => format!("_min{}", unit_name(sub.unit)),
        };
        let zero = if self.zero == 0 { String::new() } else { format!("z{}", self.zero) };
        format!("linear{}{zero}_{scale}_{root}{}{min}_a{}_u{}", self.bits(), self.root_group, self.span, self.unit)
    }
}

/// Empty for 1, else the exponent and sign.
fn unit_name(unit: f32) -> String {
    let sign = if unit < 0.0 { "n" } else { "" };
    let exponent = -unit.abs().log2() as i32;
    if exponent == 0 { sign.to_owned() } else { format!("{sign}e{exponent}") }
}

/// Splits a code into planes of 8, 4, 2 and 1 bits.
fn planes(bits: u32) -> Vec<u32> {
    [8, 4, 2, 1].into_iter().filter(|plane| bits & plane != 0).collect()
}

/// (bits, zero) of codes whose levels are `code - zero`.
fn linear_code(format: &Format, code: &Number) -> Option<(u32, i32)> {
    if code.levels.is_some() || code.outer.is_some() || code.step.is_some_and(|step| step != 1.0) {
        return None;
    }
    let offset = code.offset.unwrap_or(0.0);
    let (bits, bias) = match &code.stored {
        Stored::Item { field, .. } => match format.element(*field) {
            Element::Unsigned(bits) => (u32::from(bits), 0),
            Element::Signed(bits) => (u32::from(bits), 1 << (bits - 1)),
            _ => return None,
        },
        Stored::Planes { planes, element: None } => (planes.iter().map(plane_bits).sum::<Option<u32>>()?, 0),
        Stored::Planes { .. } => return None,
    };
    (bits <= 8 && offset.fract() == 0.0).then(|| (bits, bias - offset as i32))
}

fn plane_bits(plane: &quantloom_spec::model::Plane) -> Option<u32> {
    match plane.run {
        Run::Bits { bits, .. } => Some(bits),
        Run::Trit(_) => None,
    }
}

fn root_number(number: &Number) -> &Number {
    number.outer.as_deref().unwrap_or(number)
}

/// Weights under one root of a scale or a min.
fn root_group_of(format: &Format, piece: &Piece, number: &Number) -> usize {
    format.run(piece, root_number(number))
}

/// Half precision is kept as it is; everything else is widened.
fn root(format: &Format, number: &Number) -> Root {
    let plain = |number: &Number| {
        let half = match &number.stored {
            Stored::Item { field, .. } => format.element(*field) == Element::F16,
            Stored::Planes { element, .. } => *element == Some(Element::F16),
        };
        half && number.step.is_none() && number.offset.is_none() && number.outer.is_none()
    };
    let mins_plain = format.min.as_ref().is_none_or(|min| plain(root_number(min)));
    if plain(root_number(number)) && mins_plain { Root::F16 } else { Root::F32 }
}

/// The integer under a root: `Some(None)` when the number is its own root, `None` when it is no integer of 8 bits.
fn sub(format: &Format, number: &Number) -> Option<Option<Sub>> {
    let Some(_) = number.outer else { return Some(None) };
    let signed_bits = match &number.stored {
        Stored::Item { field, .. } => match format.element(*field) {
            Element::Signed(bits) => Some(u32::from(bits)),
            Element::Unsigned(_) => None,
            _ => return None,
        },
        Stored::Planes { element: None, .. } => None,
        Stored::Planes { element: Some(Element::Signed(bits)), .. } => Some(u32::from(*bits)),
        Stored::Planes { .. } => return None,
    };
    if number.levels.is_some() {
        return None;
    }
    let step = number.step.unwrap_or(1.0);
    let offset = number.offset.unwrap_or(0.0);
    let unit = largest_unit(step, offset)?.copysign(step);
    let values = format.own_values(number)?;
    let integers = values.iter().map(|value| (value / unit) as i64).collect::<Vec<_>>();
    let (least, most) = (*integers.iter().min()?, *integers.iter().max()?);
    let signed = least < 0;
    let fits = if signed { least >= -128 && most <= 127 } else { most <= 255 };
    fits.then(|| {
        Some(Sub { signed, unit: unit as f32, factor: (step / unit) as i32, offset: (offset / unit) as i32, signed_bits })
    })
}

/// The largest power of two, at most 1, of which both numbers are integer multiples.
fn largest_unit(step: f64, offset: f64) -> Option<f64> {
    (0..=24).map(|log| 0.5_f64.powi(log)).find(|unit| (step / unit).fract() == 0.0 && (offset / unit).fract() == 0.0)
}
