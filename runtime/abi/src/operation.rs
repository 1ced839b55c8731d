//! Operations: what one call computes around its products.

use std::fmt;

use super::Isa;

/// An operation: a row of the registry for each card.
#[derive(Debug)]
pub struct Operation {
    /// The name users write.
    pub name: &'static str,
    /// One line that says what it computes.
    pub doc: &'static str,
    /// The name of the operation that its kernels were generated for: keys of the tuner and pins have it.
    pub kernels: &'static str,
    /// What becomes of a row of activations before the products.
    pub prologue: Prologue,
    /// How many weights multiply the same activations.
    pub projections: Projections,
    /// What becomes of the sums before they are written.
    pub epilogue: Epilogue,
}

impl Operation {
    /// Whether it is the product alone.
    #[must_use]
    pub const fn is_product(&self) -> bool {
        let Epilogue { bias, activation, residual } = self.epilogue;
        matches!((self.prologue, self.projections), (Prologue::None, Projections::One))
            && !bias
            && activation.is_none()
            && !residual
    }
}

/// What becomes of a row of activations before it is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prologue {
    /// Nothing.
    None,
    /// RMSNorm.
    RmsNorm,
}

/// The weights of a call, all of which multiply the same activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Projections {
    /// One matrix.
    One,
    /// One or more, each with an output of its own.
    Several,
    /// Two with as many rows, gate and up, which have one output.
    Gated,
}

impl Projections {
    /// Whether a call may have so many.
    #[must_use]
    pub const fn allow(self, count: usize) -> bool {
        match self {
            Self::One => count == 1,
            Self::Several => count > 0,
            Self::Gated => count == 2,
        }
    }
}

impl fmt::Display for Projections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::One => "one projection",
            Self::Several => "one or more projections",
            Self::Gated => "two projections, gate and up",
        })
    }
}

/// What becomes of sums before they are written, in the order of the fields.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue {
    /// Whether a call may add a number to each row of a projection.
    pub bias: bool,
    /// The function of a gate, and of what it gates.
    pub activation: Option<&'static ActivationFunction>,
    /// Whether a call may add an array of the shape of the output.
    pub residual: bool,
}

/// Gates a row: each value becomes the function of it and of the value of the other row. Rows must have equal lengths.
///
/// # Safety
/// The instruction set that it belongs to must be available.
pub type RunGate = unsafe fn(&mut [f32], &[f32]);

/// What a gate makes of two numbers, compiled once per instruction set.
#[derive(Debug)]
pub struct ActivationFunction {
    /// Its name.
    pub name: &'static str,
    /// It, in plain code: of the gate and of what it gates. A function of the gate alone is multiplied by the other.
    pub value: fn(f32, f32) -> f32,
    /// What gates rows with it, for each instruction set.
    pub gates: &'static [&'static Gate],
}

impl ActivationFunction {
    /// What gates rows with it, where an instruction set is available; that of the nearest of its bases that has one.
    #[must_use]
    pub fn gate(&self, isa: &'static Isa) -> Option<RunGate> {
        let of = |isa: &'static Isa| self.gates.iter().find(|gate| std::ptr::eq(gate.isa, isa));
        isa.lineage().find_map(of).map(|gate| gate.run)
    }
}

/// A [`RunGate`] with the instruction set that it needs.
#[derive(Debug)]
pub struct Gate {
    isa: &'static Isa,
    run: RunGate,
}

impl Gate {
    /// A gate that needs an instruction set.
    ///
    /// # Safety
    /// Where [`Isa::is_available`] is true, `run` must be sound for all arguments that its types allow.
    #[must_use]
    pub const unsafe fn new(isa: &'static Isa, run: RunGate) -> Self {
        Self { isa, run }
    }
}
