//! A matrix as a module multiplies by it.

use quantloom::registry::{self, Format, Numerics};
use quantloom_codegen::emit::device::{self, Module};
use quantloom_codegen::lower::class::Class;
use quantloom_codegen::lower::panels::interleave;

use super::device::Argument::{Memory as Of, Number};
use super::device::{Cl, Compiled, Memory};

/// The module of a format.
pub fn module(format: &'static Format) -> (Class, Module) {
    let card = registry::model(format).unwrap();
    let class = Class::of(card).unwrap();
    let module = device::module(card, "opencl").unwrap();
    (class, module)
}

/// A matrix on a device.
pub struct Matrix<'a> {
    pub module: &'a Module,
    pub cl: &'a Cl,
    pub compiled: &'a Compiled<'a>,
    pub n: usize,
    pub k: usize,
    weights: Memory,
}

/// Activations on a device.
pub enum Activations {
    Int8 { quants: Memory, scales: Memory, sums: Memory, status: Memory },
    Exact(Memory),
}

impl<'a> Matrix<'a> {
    pub fn new(
        module: &'a Module,
        cl: &'a Cl,
        compiled: &'a Compiled<'a>,
        class: &Class,
        (n, k): (usize, usize),
        packed: &[u8],
    ) -> Self {
        let panels = interleave(class).panels(packed, n, k).unwrap();
        Self { module, cl, compiled, n, k, weights: cl.put(&panels) }
    }

    fn units(&self) -> usize {
        self.k.div_ceil(self.module.manifest.weights.unit_weights)
    }

    fn padded(&self) -> usize {
        self.units() * self.module.manifest.weights.unit_weights
    }

    fn block(&self, name: &str) -> usize {
        self.module.manifest.entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no entry {name}")).block
    }

    /// Activations, as kernels of a numerics class want them.
    pub fn activations(&self, numerics: Numerics, x: &[f32]) -> Activations {
        let (batch, padded) = (x.len() / self.k, self.padded());
        let given = self.cl.put(x);
        let (span, step) = (self.module.manifest.activations.span, self.module.manifest.activations.step);
        let groups = |block: usize| [padded.div_ceil(block), batch, 1];
        match numerics {
            Numerics::Exact => {
                let values = self.cl.room::<f32>(batch * padded);
                let block = self.block("pad");
                self.compiled.run("pad", block, groups(block), &[Of(&given), Of(&values), Number(self.k), Number(padded)]);
                Activations::Exact(values)
            }
            Numerics::Int8 => {
                let quants = self.cl.room::<i8>(batch * padded);
                let (scales, sums) = (self.cl.room::<f32>(batch * padded / span), self.cl.room::<i32>(batch * padded / step));
                let (status, block) = (self.cl.put(&[0_u32]), self.block("quantise"));
                let memory = [Of(&given), Of(&quants), Of(&scales), Of(&sums), Of(&status)];
                let arguments = memory.into_iter().chain([Number(self.k), Number(padded)]).collect::<Vec<_>>();
                self.compiled.run("quantise", block, groups(block), &arguments);
                Activations::Int8 { quants, scales, sums, status }
            }
        }
    }

    /// RMSNorm of rows of K activations.
    pub fn norm(&self, x: &[f32], weights: &[f32], eps: f32) -> Vec<f32> {
        let (given, weights, out) = (self.cl.put(x), self.cl.put(weights), self.cl.room::<f32>(x.len()));
        let numbers = [self.k, (self.k as f32).to_bits() as usize, eps.to_bits() as usize].map(Number);
        let arguments = [&given, &weights, &out].map(Of).into_iter().chain(numbers).collect::<Vec<_>>();
        self.compiled.run("rms_norm", self.block("rms_norm"), [x.len() / self.k, 1, 1], &arguments);
        self.cl.get(&out)
    }

    /// Sums of segments, or a product, with what is added to it.
    pub fn finish(&self, partials: &[f32], segments: usize, bias: Option<&[f32]>, residual: Option<&[f32]>) -> Vec<f32> {
        let (count, block) = (partials.len() / segments, self.block("reduce"));
        let (sums, out) = (self.cl.put(partials), self.cl.room::<f32>(count));
        let [given, more] = [bias, residual].map(|values| self.cl.put(values.unwrap_or_default()));
        let added = usize::from(bias.is_some()) + 2 * usize::from(residual.is_some());
        let arguments = [&sums, &given, &more, &out].map(Of).into_iter();
        let arguments = arguments.chain([count, segments, self.n, added].map(Number)).collect::<Vec<_>>();
        self.compiled.run("reduce", block, [count.div_ceil(block), 1, 1], &arguments);
        self.cl.get(&out)
    }

    /// All weights as f32.
    pub fn decode(&self) -> Vec<f32> {
        let (out, block) = (self.cl.room::<f32>(self.n * self.k), self.block("decode"));
        let rows = self.module.manifest.weights.rows;
        let arguments = [Of(&self.weights), Of(&out), Number(self.n), Number(self.units()), Number(self.k)];
        let groups = [self.n.div_ceil(rows), self.units().div_ceil(block / rows), 1];
        self.compiled.run("decode", block, groups, &arguments);
        self.cl.get(&out)
    }

    /// The product with the first `batch` columns, so many of them at a time, K shared out to so many groups.
    pub fn product(&self, x: &Activations, batch: usize, at_once: usize, splits: usize) -> Vec<f32> {
        let numerics = match x {
            Activations::Exact(_) => Numerics::Exact,
            Activations::Int8 { .. } => Numerics::Int8,
        };
        let name = format!("gemv_{}_{at_once}", numerics.name());
        let (segments, count) = (self.padded().div_ceil(self.module.manifest.weights.segment), batch * self.n);
        let (out, partials) = (self.cl.room::<f32>(count), self.cl.room::<f32>(count * segments));
        let activations = match x {
            Activations::Exact(values) => vec![Of(values)],
            Activations::Int8 { quants, scales, sums, .. } => vec![Of(quants), Of(scales), Of(sums)],
        };
        let to = Of(if splits > 1 { &partials } else { &out });
        let numbers = [self.n, self.units(), batch, splits].map(Number);
        let arguments = [Of(&self.weights)].into_iter().chain(activations).chain([to]).chain(numbers).collect::<Vec<_>>();
        let groups = [self.n.div_ceil(self.module.manifest.weights.rows), splits, batch.div_ceil(at_once)];
        self.compiled.run(&name, self.block(&name), groups, &arguments);
        if splits > 1 {
            let block = self.block("reduce");
            let memory = [&partials, &partials, &partials, &out].map(Of);
            let arguments = memory.into_iter().chain([count, segments, self.n, 0].map(Number)).collect::<Vec<_>>();
            self.compiled.run("reduce", block, [count.div_ceil(block), 1, 1], &arguments);
        }
        self.cl.get(&out)
    }
}
