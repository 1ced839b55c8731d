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
            let arguments = [Of(&partials), Of(&out), Number(count), Number(segments)];
            self.machine.run(&Kernel::from(reduce), [count.div_ceil(reduce.block), 1, 1], &arguments)?;
        }
        Ok(self.machine.get(&out))
    }
}

fn entry<'a>(module: &'a Module, name: &str) -> &'a Entry {
    module.manifest.entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no entry {name}"))
}
