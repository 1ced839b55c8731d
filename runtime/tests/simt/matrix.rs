//! A matrix as the kernels of a module multiply by it.

use quantloom::registry::Numerics;
use quantloom_codegen::emit::device::{Entry, Module};
use quantloom_codegen::lower::class::Class;
use quantloom_codegen::lower::panels::interleave;

use super::machine::Argument::{Memory as Of, Number};
use super::machine::{Kernel, Machine, Memory};

/// A matrix in the memory of a machine.
pub struct Matrix<'a> {
    pub module: &'a Module,
    pub machine: Machine,
    pub n: usize,
    pub k: usize,
    weights: Memory,
}

/// Activations there.
pub enum Activations {
    Int8 { quants: Memory, scales: Memory, sums: Memory },
    Exact(Memory),
}

impl Activations {
    fn numerics(&self) -> Numerics {
        match self {
            Self::Int8 { .. } => Numerics::Int8,
            Self::Exact(_) => Numerics::Exact,
        }
    }
}

impl<'a> Matrix<'a> {
    pub fn new(module: &'a Module, mut machine: Machine, class: &Class, (n, k): (usize, usize), packed: &[u8]) -> Self {
        let panels = interleave(class).panels(packed, n, k).unwrap();
        let weights = machine.put(&panels);
        Self { module, machine, n, k, weights }
    }

    fn units(&self) -> usize {
        self.k.div_ceil(self.module.manifest.weights.unit_weights)
    }

    fn padded(&self) -> usize {
        self.units() * self.module.manifest.weights.unit_weights
    }

    fn entry(&self, name: &str) -> &'a Entry {
        entry(self.module, name)
    }

    /// Activations, as kernels of a numerics class want them.
    pub fn activations(&mut self, numerics: Numerics, x: &[f32]) -> Result<Activations, String> {
        let (batch, padded, k) = (x.len() / self.k, self.padded(), self.k);
        let (span, step) = (self.module.manifest.activations.span, self.module.manifest.activations.step);
        let (pad, quantise) = (self.entry("pad"), self.module.manifest.entries.iter().find(|entry| entry.name == "quantise"));
        let given = self.machine.put(x);
        let groups = |entry: &Entry| [padded.div_ceil(entry.block), batch, 1];
        let Some(quantise) = quantise.filter(|_| numerics == Numerics::Int8) else {
            let values = self.machine.room::<f32>(batch * padded);
            self.machine.run(&Kernel::from(pad), groups(pad), &[Of(&given), Of(&values), Number(k), Number(padded)])?;
            return Ok(Activations::Exact(values));
        };
        let quants = self.machine.room::<i8>(batch * padded);
        let scales = self.machine.room::<f32>(batch * padded / span);
        let (sums, status) = (self.machine.room::<i32>(batch * padded / step), self.machine.put(&[0_u32]));
        let memory = [&given, &quants, &scales, &sums, &status].map(Of);
        let arguments = memory.into_iter().chain([k, padded].map(Number)).collect::<Vec<_>>();
        self.machine.run(&Kernel::from(quantise), groups(quantise), &arguments)?;
        Ok(Activations::Int8 { quants, scales, sums })
    }

    /// RMSNorm of rows of K activations.
    pub fn norm(&mut self, x: &[f32], weights: &[f32], eps: f32) -> Result<Vec<f32>, String> {
        let (norm, k) = (self.entry("rms_norm"), self.k);
        let (given, weights, out) = (self.machine.put(x), self.machine.put(weights), self.machine.room::<f32>(x.len()));
        let numbers = [k, (k as f32).to_bits() as usize, eps.to_bits() as usize].map(Number);
        let arguments = [&given, &weights, &out].map(Of).into_iter().chain(numbers).collect::<Vec<_>>();
        self.machine.run(&Kernel::from(norm), [x.len() / k, 1, 1], &arguments)?;
        Ok(self.machine.get(&out))
    }

    /// Sums of segments, or a product, with what is added to it.
    pub fn finish(
        &mut self,
        partials: &[f32],
        segments: usize,
        bias: Option<&[f32]>,
        residual: Option<&[f32]>,
    ) -> Result<Vec<f32>, String> {
        let (reduce, count, n) = (self.entry("reduce"), partials.len() / segments, self.n);
        let (sums, out) = (self.machine.put(partials), self.machine.room::<f32>(count));
        let [given, more] = [bias, residual].map(|values| self.machine.put(values.unwrap_or(&[0.0])));
        let added = usize::from(bias.is_some()) + 2 * usize::from(residual.is_some());
        let arguments = [&sums, &given, &more, &out].map(Of).into_iter();
        let arguments = arguments.chain([count, segments, n, added].map(Number)).collect::<Vec<_>>();
        self.machine.run(&Kernel::from(reduce), [count.div_ceil(reduce.block), 1, 1], &arguments)?;
        Ok(self.machine.get(&out))
    }

    /// All weights as f32.
    pub fn decode(&mut self) -> Result<Vec<f32>, String> {
        let (decode, rows) = (self.entry("decode"), self.module.manifest.weights.rows);
        let (n, k, units) = (self.n, self.k, self.units());
        let out = self.machine.room::<f32>(n * k);
        let arguments = [Of(&self.weights), Of(&out), Number(n), Number(units), Number(k)];
        self.machine.run(&Kernel::from(decode), [n.div_ceil(rows), units.div_ceil(decode.block / rows), 1], &arguments)?;
        Ok(self.machine.get(&out))
    }

    /// The product with the first `batch` columns by a kernel that takes so many of them at a time, K shared out to so many groups.
    pub fn product(&mut self, kernel: (&str, usize), x: &Activations, batch: usize, splits: usize) -> Result<Vec<f32>, String> {
        let (kind, at_once) = kernel;
        let entry = self.entry(&format!("{kind}_{}_{at_once}", x.numerics().name()));
        let rows = entry.grid[0].rsplit_once(' ').unwrap().1.parse::<usize>().unwrap();
        let (n, units) = (self.n, self.units());
        let (segments, count) = (self.padded().div_ceil(self.module.manifest.weights.segment), batch * n);
        let (out, partials) = (self.machine.room::<f32>(count), self.machine.room::<f32>(count * segments));
        let activations = match x {
            Activations::Exact(values) => vec![values],
            Activations::Int8 { quants, scales, sums } => vec![quants, scales, sums],
        };
        let memory = [&self.weights].into_iter().chain(activations).chain([if splits > 1 { &partials } else { &out }]);
        let arguments = memory.map(Of).chain([n, units, batch, splits].map(Number)).collect::<Vec<_>>();
        self.machine.run(&Kernel::from(entry), [n.div_ceil(rows), splits, batch.div_ceil(at_once)], &arguments)?;
        if splits > 1 {
            let reduce = self.entry("reduce");
            let memory = [&partials, &partials, &partials, &out].map(Of);
            let arguments = memory.into_iter().chain([count, segments, self.n, 0].map(Number)).collect::<Vec<_>>();
            self.machine.run(&Kernel::from(reduce), [count.div_ceil(reduce.block), 1, 1], &arguments)?;
        }
        Ok(self.machine.get(&out))
    }
}

fn entry<'a>(module: &'a Module, name: &str) -> &'a Entry {
    module.manifest.entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no entry {name}"))
}
