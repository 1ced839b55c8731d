//! The class of a format, from its checked card.

use quantloom_spec::model::{Element, Format, Home, Number, Stored};

use super::{Class, Codes, Min, PALETTE, Root, SEGMENT, Source, Sub};
use crate::Error;

/// Most that a smaller unit may take more than the densest.
const GROWTH: f64 = 1.02;
/// What is added to the levels of a palette, where they are small enough for two products to fit 16 bits; else 128.
const PALETTE_ZERO: i32 = 64;
/// Fewest weights of a unit: those of one activation scale.
const LEAST_UNIT: usize = 32;

impl Class {
    /// Derives the class of a format.
    ///
    /// # Errors
    /// No kernel schedule covers the format's levels or scales; the message says which part.
    pub fn of(format: &Format) -> Result<Self, Error> {
        let unsupported = |what: &str| Error::unsupported(format, what);
        let block = block_of(format);
        if !(block.is_multiple_of(32) || LEAST_UNIT.is_multiple_of(block)) || !SEGMENT.is_multiple_of(block) {
            return Err(unsupported("blocks that neither divide a segment nor are divided by 32"));
        }
        let whole = |number: &Number| constant_run(format, number) >= block;
        if format.pieces.len() > 1 && ![&format.zero, &format.sign, &format.scale, &format.min].into_iter().flatten().all(whole)
        {
            return Err(unsupported("pieces of a block under several scales"));
        }
        let (levels, plain) = match &format.scale {
            None => (Levels::plain(format), true),
            Some(_) => (Levels::of(format), false),
        };
        let levels = levels.ok_or_else(|| unsupported("levels of this kind"))?;
        let scale = format.scale.as_ref().unwrap_or(&format.pieces[0].code);
        let span = if block.is_multiple_of(256) { 256 } else { 32 };
        let step = if plain { span } else { constant_run(format, scale).min(span) };
        if !step.is_multiple_of(4) {
            return Err(unsupported("scales of fewer than 4 weights"));
        }
        let (root, root_step) = root(format, scale);
        let sub_scale = sub(format, scale).ok_or_else(|| unsupported("scales that are no integers of 8 bits"))?;
        let mut class = Self {
            block,
            unit: block,
            planes: planes(levels.bits),
            codes: levels.codes,
            source: levels.source,
            shift: levels.shift,
            zero: levels.zero,
            max_byte: levels.max_byte,
            zero_group: levels.zero_group,
            span,
            step,
            root_group: if plain { 1 } else { constant_run(format, root_number(scale)) },
            root,
            root_factor: levels.unit * root_step,
            sub_scale,
            min: None,
        };
        if class.zero_group.is_some_and(|group| group < step) {
            return Err(unsupported("zero points of fewer weights than scales"));
        }
        if let Some(min) = &format.min {
            class.min = Some(class.min_of(format, min)?);
        }
        class.unit = class.whole_units();
        class.root_group = class.root_group.min(class.unit);
        class.zero_group = class.zero_group.map(|group| group.min(class.unit));
        Ok(class)
    }

    fn min_of(&self, format: &Format, number: &Number) -> Result<Min, Error> {
        let unsupported = |what: &str| Error::unsupported(format, what);
        if constant_run(format, number) < self.step || constant_run(format, root_number(number)) != self.root_group {
            return Err(unsupported("mins grouped otherwise than scales"));
        }
        let min = match sub(format, number).ok_or_else(|| unsupported("mins that are no integers of 8 bits"))? {
            Some(sub) if !sub.signed => Min::Sub(sub),
            Some(_) => return Err(unsupported("signed mins")),
            None => Min::Flat,
        };
        if matches!(min, Min::Sub(_)) && (self.root_group < self.span || self.zero_group.is_some()) {
            return Err(unsupported("integer mins beside zero points or under several roots of a span"));
        }
        Ok(min)
    }

    /// Weights of a unit: as few blocks as come near to the densest there is, and no fewer than two steps, whose dots can be in flight
    /// together. What pads a unit to whole lines, or stands in each though a whole row shares it, weighs less in larger ones.
    fn whole_units(&self) -> usize {
        let least = self.block.max(LEAST_UNIT).max(self.body()).max(2 * self.step);
        let units = || (0..=4).map(|log| least << log).filter(|unit| SEGMENT.is_multiple_of(*unit));
        let density = |unit: usize| Self { unit, ..self.clone() }.unit_bytes() as f64 / unit as f64;
        let best = units().map(density).fold(f64::INFINITY, f64::min);
        units().find(|&unit| density(unit) <= GROWTH * best).unwrap_or(least)
    }
}

/// What the codes of a format are in its packed form.
struct Levels {
    bits: u32,
    codes: Codes,
    source: Source,
    shift: u32,
    zero: i32,
    max_byte: u32,
    zero_group: Option<usize>,
    unit: f32,
}

impl Levels {
    /// Of a format with a scale.
    fn of(format: &Format) -> Option<Self> {
        let code = &format.pieces[0].code;
        if code.outer.is_some() {
            return None;
        }
        if format.zero.is_none() && format.sign.is_none() {
            if element(format, code) == Some(Element::E4m3) && is_itself(code) {
                return Some(Self::floats(8, Codes::E4m3));
            }
            if let Some(values) = float_palette(format) {
                return Some(Self::floats(bits_of(values.len()), Codes::Floats(values)));
            }
        }
        let zero_group = zero_points(format);
        let mut alone = format.clone();
        alone.zero = None;
        let integers = if zero_group.is_some() { &alone } else { format }.integer_levels()?;
        let (least, most) = (*integers.values.first()?, *integers.values.last()?);
        if least < -128 || most > 255 || (least < 0 && most > 127) {
            return None;
        }
        let in_order = (!has_parts(format, zero_group)).then(|| by_code(format)).flatten();
        let source = match &in_order {
            Some((_, signed_bits)) => Source::Code { signed_bits: *signed_bits },
            None => Source::Level {
                unit: integers.unit,
                levels: integers.values.iter().map(|&level| i8::try_from(level).ok()).collect::<Option<_>>()?,
            },
        };
        let in_order =
            in_order.map(|(levels, _)| levels.iter().map(|level| (level / f64::from(integers.unit)) as i32).collect());
        let palette: Vec<i32> = in_order.unwrap_or_else(|| integers.values.clone());
        if let Some(shift) = shift_of(&palette).filter(|_| palette.len() == integers.values.len()) {
            let bits = bits_of(palette.len());
            let (zero, max_byte) = (-least, ((1 << bits) - 1) << shift);
            return Some(Self { bits, codes: Codes::Linear, source, shift, zero, max_byte, zero_group, unit: integers.unit });
        }
        if palette.len() > PALETTE || most > 127 {
            return None;
        }
        let small = least >= -PALETTE_ZERO && most <= PALETTE_ZERO;
        let (zero, max_byte) = if small { (PALETTE_ZERO, 2 * PALETTE_ZERO as u32) } else { (128, 255) };
        let bytes = palette.iter().map(|level| (level + zero) as u8).collect();
        let bits = bits_of(palette.len());
        Some(Self { bits, codes: Codes::Bytes(bytes), source, shift: 0, zero, max_byte, zero_group, unit: integers.unit })
    }

    fn floats(bits: u32, codes: Codes) -> Self {
        let source = Source::Code { signed_bits: None };
        Self { bits, codes, source, shift: 0, zero: 0, max_byte: 0, zero_group: None, unit: 1.0 }
    }

    /// Of a format whose weights are floats without a scale.
    fn plain(format: &Format) -> Option<Self> {
        let code = &format.pieces[0].code;
        let floats = matches!(element(format, code)?, Element::F16 | Element::Bf16 | Element::F32);
        let alone = format.zero.is_none() && format.sign.is_none() && format.min.is_none() && code.outer.is_none();
        (floats && alone && is_itself(code)).then(|| Self::floats(0, Codes::None))
    }
}

/// Whether the level of a weight has more parts than its code.
fn has_parts(format: &Format, zero_group: Option<usize>) -> bool {
    format.sign.is_some() || (format.zero.is_some() && zero_group.is_none())
}

/// Weights that share a zero point, if they are integers that stay apart from the code.
fn zero_points(format: &Format) -> Option<usize> {
    let zero = format.zero.as_ref().filter(|zero| zero.outer.is_none() && format.sign.is_none())?;
    let values = format.own_values(zero)?;
    let bytes = values.iter().all(|value| value.fract() == 0.0 && (-128.0..=127.0).contains(value));
    bytes.then(|| constant_run(format, zero))
}

/// The value of each stored code, and the width of a code that is a two's-complement number; all pieces have the same.
fn by_code(format: &Format) -> Option<(Vec<f64>, Option<u32>)> {
    let of = |code: &Number| {
        if code.width() != 1 {
            return None;
        }
        let (count, signed_bits) = match (&code.stored, element(format, code)) {
            (Stored::Planes { .. }, None) => (code.codes()?, None),
            (_, Some(Element::Unsigned(bits))) if bits <= 8 => (1 << bits, None),
            (_, Some(Element::Signed(bits))) if bits <= 8 => (1 << bits, Some(u32::from(bits))),
            _ => return None,
        };
        let bias = signed_bits.map_or(0, |bits| 1_i64 << (bits - 1));
        let level = |code_value: i64| match &code.levels {
            Some(levels) => f64::from(levels.values[code_value as usize]),
            None => (code_value - bias) as f64,
        };
        let levels = (0..i64::try_from(count).ok().filter(|&count| count <= 256)?).map(level);
        let (step, offset) = (code.step.unwrap_or(1.0), code.offset.unwrap_or(0.0));
        Some((levels.map(|level| step * level + offset).collect::<Vec<_>>(), signed_bits))
    };
    let first = of(&format.pieces[0].code)?;
    format.pieces[1..].iter().all(|piece| of(&piece.code).as_ref() == Some(&first)).then_some(first)
}

/// Up to 16 levels that are no integers, by code.
fn float_palette(format: &Format) -> Option<Vec<f32>> {
    if format.integer_levels().is_some() {
        return None;
    }
    let (levels, _) = by_code(format).filter(|(levels, signed)| levels.len() <= 16 && signed.is_none())?;
    Some(levels.iter().map(|&level| level as f32).collect())
}

/// The power of two that levels are apart, by code, if they rise evenly, and if bytes that far apart fit seven bits where they are more
/// than 1 apart.
fn shift_of(levels: &[i32]) -> Option<u32> {
    let apart = levels.get(1)? - levels[0];
    let evenly = levels.windows(2).all(|pair| pair[1] - pair[0] == apart);
    (evenly && (apart == 1 || (apart == 2 && levels.len() <= 64))).then(|| apart.ilog2())
}

/// Bits that tell so many codes apart.
fn bits_of(codes: usize) -> u32 {
    codes.next_power_of_two().ilog2()
}

/// Splits a code into planes of 8, 4, 2 and 1 bits.
fn planes(bits: u32) -> Vec<u32> {
    [8, 4, 2, 1].into_iter().filter(|plane| bits & plane != 0).collect()
}

fn root_number(number: &Number) -> &Number {
    number.outer.as_deref().unwrap_or(number)
}

/// Weights that share a number, its supers included; what a whole row shares has no end.
fn constant_run(format: &Format, number: &Number) -> usize {
    let own = own_run(format, number);
    number.outer.as_ref().map_or(own, |outer| own.min(constant_run(format, outer)))
}

fn own_run(format: &Format, number: &Number) -> usize {
    let readings = format.storage.readings(number);
    let digits = readings.iter().flat_map(|reading| reading.digits()).collect::<Vec<_>>();
    let along_k = format.pieces.iter().flat_map(|piece| &piece.digits).filter(|digit| digits.contains(&digit.name.as_str()));
    let smallest = along_k.map(|digit| digit.stride.max(number.width())).min();
    let in_block = |field: usize| format.blocks().is_some_and(|blocks| blocks.fields[field].home == Home::Block);
    let repeated = readings.iter().any(|reading| in_block(reading.field));
    smallest.unwrap_or(if repeated { block_of(format) } else { usize::MAX })
}

/// Weights of a block, or the period of separate tensors.
fn block_of(format: &Format) -> usize {
    format.pieces.last().map_or(1, |piece| piece.end)
}

/// What the stored bits of a number are; `None` for planes that make a plain unsigned integer.
fn element(format: &Format, number: &Number) -> Option<Element> {
    match &number.stored {
        Stored::Item { field, .. } => Some(format.element(*field)),
        Stored::Planes { element, .. } => *element,
    }
}

/// Whether a number's value is what its stored bits are.
fn is_itself(number: &Number) -> bool {
    number.levels.is_none() && number.step.is_none() && number.offset.is_none()
}

/// How roots are held, and the power of two that a root scale is multiplied by: stored bits that widen exactly are kept as they are.
fn root(format: &Format, scale: &Number) -> (Root, f32) {
    let scale = root_number(scale);
    let (kind, step) = held(format, scale);
    match &format.min {
        None => (kind, step),
        Some(min) if step == 1.0 && held(format, root_number(min)) == (kind, 1.0) => (kind, 1.0),
        Some(_) => (Root::F32, 1.0),
    }
}

fn held(format: &Format, number: &Number) -> (Root, f32) {
    let step = number.step.unwrap_or(1.0);
    let exact = step.log2().fract() == 0.0 && number.levels.is_none() && number.offset.is_none() && number.outer.is_none();
    match element(format, number) {
        Some(Element::E8m0) if exact && (-32.0..32.0).contains(&step.log2()) => {
            (Root::E8m0 { bias: 127 - step.log2() as i32 }, 1.0)
        }
        Some(Element::F16) if exact => (Root::F16, step as f32),
        Some(Element::Bf16) if exact && step == 1.0 => (Root::Bf16, 1.0),
        Some(Element::Ue4m3) if exact => (Root::Ue4m3, step as f32),
        _ => (Root::F32, 1.0),
    }
}

/// The integer under a root: `Some(None)` when the number is its own root, `None` when it is no integer of 8 bits.
fn sub(format: &Format, number: &Number) -> Option<Option<Sub>> {
    let Some(_) = number.outer else { return Some(None) };
    let signed_bits = match element(format, number) {
        None | Some(Element::Unsigned(_)) => None,
        Some(Element::Signed(bits)) => Some(u32::from(bits)),
        Some(_) => return None,
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
