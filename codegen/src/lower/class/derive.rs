//! The class of a format, from its checked card.

use quantloom_abi::NARROW_SPAN;
use quantloom_spec::model::{Element, Format, Number, Stored};
use quantloom_spec::sharing::gcd;

use super::{Class, Codes, Min, PALETTE, Root, SEGMENT, Source, Sub, Uncovered};

/// Most that a smaller unit may take more than the densest.
const GROWTH: f64 = 1.02;
/// What is added to the levels of a palette, where they are small enough for two products to fit 16 bits; else 128.
const PALETTE_ZERO: i32 = 64;
/// Fewest weights of a unit: those of one activation scale.
const LEAST_UNIT: usize = NARROW_SPAN;
/// Most levels that are no integers.
const FLOATS: usize = 16;

impl Class {
    /// Derives the class of a format.
    ///
    /// # Errors
    /// No kernel schedule covers the format's blocks, levels or scales.
    pub fn of(format: &Format) -> Result<Self, Uncovered> {
        Self::derive(format).map_err(|what| Uncovered { what })
    }

    fn derive(format: &Format) -> Result<Self, String> {
        let block = format.period();
        if !SEGMENT.is_multiple_of(block) && !block.is_multiple_of(LEAST_UNIT) {
            return Err(format!("blocks of {block} weights: they divide {SEGMENT}, or are multiples of {LEAST_UNIT}"));
        }
        let whole = |number: &Number| format.shared(number).is_none_or(|weights| weights >= block);
        if format.pieces.len() > 1 && ![&format.zero, &format.sign, &format.scale, &format.min].into_iter().flatten().all(whole)
        {
            return Err("several scales, signs or mins in a block of unlike pieces".to_owned());
        }
        let (levels, plain) = match &format.scale {
            None => (Levels::plain(format).ok_or("weights without a scale that are not plain f16, bf16 or f32")?, true),
            Some(_) => (Levels::of(format)?, false),
        };
        let scale = format.scale.as_ref().unwrap_or(&format.pieces[0].code);
        let span = format.span();
        let step = if plain { span } else { format.step() };
        if !step.is_multiple_of(4) {
            return Err(format!("a scale or min for every {step} weights: they are for a multiple of 4"));
        }
        let Parts { sub_scale, min } = Parts::of(format, scale)?;
        let root_scale = if sub_scale.is_some() { root_number(scale) } else { scale };
        let root_min =
            format.min.as_ref().map(|number| if matches!(min, Some(Min::Sub(_))) { root_number(number) } else { number });
        if root_min.is_some_and(|root| format.shared(root) != format.shared(root_scale)) {
            return Err("mins for other stretches of weights than scales".to_owned());
        }
        let (root, root_step) = root(format, root_scale, root_min);
        let class = Self {
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
            root_group: if plain { 1 } else { within_segment(format.shared(root_scale)) },
            root,
            root_factor: levels.unit * root_step,
            sub_scale,
            min,
        };
        if class.zero_group.is_some_and(|group| !group.is_multiple_of(step)) {
            return Err("zero points for fewer weights than scales".to_owned());
        }
        if matches!(class.min, Some(Min::Sub(_))) && class.zero_group.is_some() {
            return Err("integer mins beside zero points".to_owned());
        }
        Ok(class.in_best_units())
    }

    /// Takes as few blocks for a unit as come near to the densest there is, or such a part of a block that straddles segments; and no
    /// fewer than two steps, whose dots can be in flight together. What pads a unit to whole lines, or stands in each though a whole
    /// row shares it, weighs less in larger ones.
    fn in_best_units(&self) -> Self {
        let (least, most) = match gcd(self.block, SEGMENT) {
            whole if whole == self.block => (self.block, SEGMENT),
            part => (self.span, part),
        };
        let least = least.max(LEAST_UNIT).max(self.body()).max(2 * self.step).min(most);
        let units =
            || (0..=4).map(|log| least << log).filter(|unit| most.is_multiple_of(*unit)).map(|unit| self.in_units(unit));
        let density = |class: &Self| class.unit_bytes() as f64 / class.unit as f64;
        let best = units().map(|class| density(&class)).fold(f64::INFINITY, f64::min);
        units().find(|class| density(class) <= GROWTH * best).unwrap_or_else(|| self.in_units(least))
    }

    fn in_units(&self, unit: usize) -> Self {
        let zero_group = self.zero_group.map(|group| gcd(group, unit));
        Self { unit, root_group: gcd(self.root_group, unit), zero_group, ..self.clone() }
    }
}

/// Weights of a segment that share a number; all, if a whole row does.
fn within_segment(shared: Option<usize>) -> usize {
    shared.map_or(SEGMENT, |weights| gcd(weights, SEGMENT))
}

/// Which integers are kept beside the roots that they are under. Any other number is its own root: the product that it stands for, as
/// an f32.
struct Parts {
    sub_scale: Option<Sub>,
    min: Option<Min>,
}

impl Parts {
    fn of(format: &Format, scale: &Number) -> Result<Self, String> {
        let sub_scale = sub(format, scale);
        let Some(number) = &format.min else { return Ok(Self { sub_scale, min: None }) };
        if !format.has_integer_mins() {
            // Roots of scales and mins lie side by side.
            let sub_scale = sub_scale.filter(|_| number.outer.is_none());
            return Ok(Self { sub_scale, min: Some(Min::Flat) });
        }
        match sub(format, number) {
            Some(sub) if !sub.signed => Ok(Self { sub_scale, min: Some(Min::Sub(sub)) }),
            _ => Err("integer mins under a root that are not 0 to 255 in some unit".to_owned()),
        }
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
    /// Of a format with a scale, or what about its levels no kernel takes.
    fn of(format: &Format) -> Result<Self, String> {
        let code = &format.pieces[0].code;
        if code.outer.is_some() {
            return Err("codes under a `super`".to_owned());
        }
        if format.zero.is_none() && format.sign.is_none() {
            if element(format, code) == Some(Element::E4m3) && is_itself(code) {
                return Ok(Self::floats(8, Codes::E4m3));
            }
            if let Some(values) = float_palette(format) {
                return Ok(Self::floats(bits_of(values.len()), Codes::Floats(values)));
            }
        }
        let zero_group = zero_points(format);
        let mut alone = format.clone();
        alone.zero = None;
        let integers = if zero_group.is_some() { &alone } else { format }.integer_levels();
        let integers = integers.ok_or_else(|| no_integers(format))?;
        let (least, most) = integers.values.first().copied().zip(integers.values.last().copied()).unwrap_or_default();
        if least < -128 || most > 255 || (least < 0 && most > 127) {
            let unit = if integers.unit == 1.0 { String::new() } else { format!(" in units of {}", integers.unit) };
            return Err(format!("levels from {least} to {most}{unit}: they have 8 bits"));
        }
        let in_order = (!has_parts(format, zero_group)).then(|| by_code(format)).flatten();
        let in_units = |levels: &[f64]| levels.iter().map(|level| (level / f64::from(integers.unit)) as i32).collect();
        let palette: Vec<i32> = in_order.as_ref().map_or_else(|| integers.values.clone(), |(levels, _)| in_units(levels));
        let by_level = |levels: &mut dyn Iterator<Item = i32>| {
            let levels = levels.map(|level| i8::try_from(level).ok()).collect::<Option<_>>();
            let levels = levels.ok_or_else(|| format!("levels up to {most} that do not follow from the code alone"))?;
            Ok::<_, String>(Source::Level { unit: integers.unit, levels })
        };
        let source = || match &in_order {
            Some((_, signed_bits)) => Ok(Source::Code { signed_bits: *signed_bits }),
            None => by_level(&mut integers.values.iter().copied()),
        };
        let of = |codes, bits, shift, zero, max_byte, source| Self {
            bits,
            codes,
            source,
            shift,
            zero,
            max_byte,
            zero_group,
            unit: integers.unit,
        };
        if let Some(shift) = shift_of(&palette) {
            let bits = bits_of(palette.len());
            return Ok(of(Codes::Linear, bits, shift, -least, ((1 << bits) - 1) << shift, source()?));
        }
        if most > 127 {
            return Err(format!("uneven levels up to {most}: they are at most 127"));
        }
        // Too many to look up: a byte is the level itself.
        if palette.len() > PALETTE {
            return Ok(of(Codes::Linear, 8, 0, 128, 255, by_level(&mut (-128..=127))?));
        }
        let small = least >= -PALETTE_ZERO && most <= PALETTE_ZERO;
        let (zero, max_byte) = if small { (PALETTE_ZERO, 2 * PALETTE_ZERO as u32) } else { (128, 255) };
        let bytes = palette.iter().map(|level| (level + zero) as u8).collect();
        Ok(of(Codes::Bytes(bytes), bits_of(palette.len()), 0, zero, max_byte, source()?))
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

/// Why a format has no levels that are integers, nor few others.
fn no_integers(format: &Format) -> String {
    let is_listed = |number: &Number| number.outer.is_none() && format.own_values(number).is_some();
    let parts = [("zero points", &format.zero), ("signs", &format.sign)];
    match parts.into_iter().find(|(_, number)| number.as_ref().is_some_and(|number| !is_listed(number))) {
        Some((what, _)) => format!("{what} that are no integers of up to 16 bits"),
        None => {
            format!("levels that are no integers of 8 bits in a power of two, and more than {FLOATS} or under zeros or signs")
        }
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
    bytes.then(|| within_segment(format.shared(zero)))
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

/// Levels that are no integers, by code, if they are few.
fn float_palette(format: &Format) -> Option<Vec<f32>> {
    if format.integer_levels().is_some() {
        return None;
    }
    let (levels, _) = by_code(format).filter(|(levels, signed)| levels.len() <= FLOATS && signed.is_none())?;
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
fn root(format: &Format, scale: &Number, min: Option<&Number>) -> (Root, f32) {
    let (kind, step) = held(format, scale);
    match min {
        None => (kind, step),
        Some(min) if step == 1.0 && held(format, min) == (kind, 1.0) => (kind, 1.0),
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

/// The integer of 8 bits under a root, if a number is one.
fn sub(format: &Format, number: &Number) -> Option<Sub> {
    number.outer.as_ref()?;
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
    let narrow = !signed && most < 16;
    fits.then(|| Sub {
        signed,
        narrow,
        unit: unit as f32,
        factor: (step / unit) as i32,
        offset: (offset / unit) as i32,
        signed_bits,
    })
}

/// The largest power of two, at most 1, of which both numbers are integer multiples.
fn largest_unit(step: f64, offset: f64) -> Option<f64> {
    (0..=24).map(|log| 0.5_f64.powi(log)).find(|unit| (step / unit).fract() == 0.0 && (offset / unit).fract() == 0.0)
}
