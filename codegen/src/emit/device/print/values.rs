//! Values: expressions and their operations.

use quantloom_spec::kernels::Numerics;

use super::memory::quarter;
use super::{NOTHING, PARTS, Printer};
use crate::emit::device::spelling::{Item, Kind};
use crate::kernel::ir::Expr;
use crate::kernel::ops::Op;

impl Printer<'_> {
    /// The type of a value.
    pub(super) fn kind(&self, of: &Expr) -> Kind {
        match of {
            Expr::ByTurns(_, choices) => self.kind(&choices[0]),
            Expr::Of(op, _) => match op {
                Op::Line => Kind::Uints,
                Op::Word(_) | Op::Mask(_) | Op::Shr(_) | Op::Shl(_) | Op::Or | Op::Less128 | Op::LookUp | Op::LookUp32 => {
                    Kind::Uint
                }
                Op::Quants | Op::Pairs | Op::Magnitudes | Op::MinQuad => Kind::Uint,
                // Integers are bits of codes there.
                Op::ZeroI if self.numerics == Numerics::Exact => Kind::Uint,
                Op::Unsigned | Op::Signed | Op::SplatI | Op::ZeroI | Op::Dot | Op::DotPairs | Op::Lift => Kind::Int,
                _ => Kind::Float,
            },
            other => unreachable!("{other:?} is named as it is"),
        }
    }

    pub(super) fn expr(&mut self, of: &Expr) -> String {
        match of {
            Expr::Variable(name) => self.name(name),
            Expr::Float(value) if value.is_sign_negative() => format!("({value:?}f)"),
            Expr::Float(value) => format!("{value:?}f"),
            Expr::ByTurns(at, choices) => {
                let (at, [even, odd]) = (self.index(at), choices.each_ref().map(|choice| self.expr(choice)));
                self.spelling.choose(&format!("{at} % 2u == 0u"), &even, &odd)
            }
            Expr::Of(op, arguments) => self.operation(*op, arguments),
            other => unreachable!("{other:?} is read by an operation"),
        }
    }

    pub(super) fn operation(&mut self, op: Op, arguments: &[Expr]) -> String {
        match op {
            Op::Line => {
                let place = self.place(&arguments[0]);
                return self.spelling.of_unit(Item::Chunk, &format!("{} + lane", self.chunk(&place)));
            }
            Op::MinQuad => {
                let place = self.place(&arguments[0]);
                return self.min_quad(&place);
            }
            Op::Floats | Op::Halves | Op::Bfloats | Op::PowersOfTwo(_) | Op::Ue4m3 => {
                let place = self.place(&arguments[0]);
                return self.root(op, &place);
            }
            Op::Signed | Op::Unsigned => {
                let place = self.place(&arguments[0]);
                let byte = self.byte(&place);
                return if op == Op::Signed { format!("signed_byte({byte})") } else { self.spelling.convert(Kind::Int, &byte) };
            }
            Op::Pairs => {
                let place = self.place(&arguments[0]);
                return self.pair(&place);
            }
            Op::SplatI => {
                let place = self.place(&arguments[0]);
                return self.sum(&place);
            }
            Op::Quants => {
                let place = self.place(&arguments[0]);
                return quarter("x", &place);
            }
            Op::SplatF if !matches!(arguments[0], Expr::Float(_)) => {
                let place = self.place(&arguments[0]);
                return self.activation(&place);
            }
            _ => {}
        }
        let of = arguments.iter().map(|argument| self.lookup_or(argument)).collect::<Vec<_>>();
        match op {
            Op::Word(index) => format!("{}.{}", of[0], PARTS[index]),
            Op::SplatF => of[0].clone(),
            Op::ZeroI if self.numerics == Numerics::Exact => NOTHING.to_owned(),
            Op::ZeroI => "0".to_owned(),
            Op::ZeroF => self.spelling.zero().to_owned(),
            Op::Mask(mask) => format!("({} & {:#010x}u)", of[0], mask * 0x0101_0101),
            Op::Shr(bits) => format!("({} >> {bits}u)", of[0]),
            Op::Shl(bits) => format!("({} << {bits}u)", of[0]),
            Op::Or => format!("({} | {})", of[0], of[1]),
            Op::Less128 => format!("({} ^ 0x80808080u)", of[0]),
            Op::LookUp | Op::LookUp32 if self.numerics == Numerics::Int8 => format!("look_up_level({})", of[1]),
            Op::LookUp | Op::LookUp32 => format!("look_up({})", of[1]),
            Op::Byte(shift) => format!("byte_to_float({} >> {shift}u)", of[0]),
            Op::Pick(shift) => format!("LEVELS[({} >> {shift}u) & 0xffu]", of[1]),
            Op::E4m3(shift) | Op::E4m3Number(shift) => format!("e4m3({} >> {shift}u)", of[0]),
            Op::Magnitudes => format!("({} | not_numbers({}))", of[0], of[1]),
            Op::UnlessNan => self.spelling.choose(&format!("{} == 0u", of[1]), &of[0], self.spelling.not_a_number()),
            Op::LowHalf => {
                self.spelling.convert(Kind::Float, &self.spelling.convert(Kind::Int, &format!("{} & 0xffffu", of[0])))
            }
            Op::HighHalf => self.spelling.convert(Kind::Float, &self.spelling.convert(Kind::Int, &format!("{} >> 16u", of[0]))),
            Op::Lift if of[0] == "0" => "LIFTED".to_owned(),
            Op::Lift => format!("LIFTED + {}", of[0]),
            Op::LiftedToFloat => format!("lifted_to_float({})", of[0]),
            Op::ToFloat if self.is_small(&arguments[0]) => format!("dot_to_float({})", of[0]),
            Op::ToFloat => self.spelling.convert(Kind::Float, &of[0]),
            Op::Fma => format!("{}({}, {}, {})", self.spelling.fma(self.numerics), of[0], of[1], of[2]),
            Op::FirstProduct => format!("FMA({}, {}, 0.0f)", of[0], of[1]),
            Op::SubProduct => format!("FMA(-({}), {}, {})", of[1], of[2], of[0]),
            Op::Mul => format!("MUL({}, {})", of[0], of[1]),
            Op::Add => format!("ADD({}, {})", of[0], of[1]),
            Op::Sub => format!("SUB({}, {})", of[0], of[1]),
            Op::Dot => format!("DOT4({}, {}, {})", of[1], of[2], of[0]),
            Op::DotPairs => format!("dot_pairs({}, {}, {})", of[1], of[2], of[0]),
            other => unreachable!("threads have no {other:?}"),
        }
    }

    /// An argument; of what has no name here, nothing.
    pub(super) fn lookup_or(&mut self, argument: &Expr) -> String {
        match argument {
            Expr::Variable(name) if name == "palette" => String::new(),
            other => self.expr(other),
        }
    }

    pub(super) fn is_small(&self, of: &Expr) -> bool {
        match of {
            Expr::Variable(name) => self.small.get(&self.name(name)).copied().unwrap_or(false),
            // Sums of quants.
            Expr::Of(Op::SplatI, _) => true,
            _ => false,
        }
    }
}
