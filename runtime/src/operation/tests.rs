//! Every operation has the bits of its plain steps, by whatever kernels.

use super::*;
use crate::matmul::activations::{Input, Prepared, Reader};
use crate::matmul::call::{check_sizes, compute};
use crate::matmul::{Launch, Source};
use crate::measure::{activations, synthetic};
use crate::pool::Pool;
use crate::registry::{self, Format, Kernel, Numerics};
use crate::testing::{Definition, Factor, steps};
use crate::weights::Weights;

const BATCHES: [usize; 6] = [1, 2, 7, 64, 200, 512];

/// Rows of activations that differ; larger batches repeat them. No tile is as wide.
const DISTINCT: usize = 33;

/// Some formats of different packed classes, with kernels of both numerics classes.
fn formats() -> Vec<&'static Format> {
    let mut formats = Vec::<&Format>::new();
    let span = |format: &Format| format.packed.as_ref().map(|packed| (packed.class.span, packed.class.step));
    for format in registry::formats() {
        let both = registry::numerics(format).len() == Numerics::ALL.len() && format.row_multiple() == 1;
        if both && !formats.iter().any(|known| span(known) == span(format)) {
            formats.push(format);
        }
    }
    formats.truncate(3);
    assert!(formats.len() > 1, "formats that read activations in different layouts");
    formats
}

/// Weights of a call with what defines them.
struct Matrix {
    stored: Vec<u8>,
    weights: Weights,
    bias: Vec<f32>,
}

impl Matrix {
    fn new(format: &'static Format, n: usize, k: usize) -> Self {
        let stored = synthetic(format, n, k).unwrap();
        let weights = Weights::pack(format, n, k, &stored, Pool::global()).unwrap();
        Self { stored, weights, bias: values(n, 3) }
    }

    fn kernels(&self, numerics: Numerics) -> Vec<&'static Kernel> {
        let kernels = registry::kernels(self.weights.format()).iter();
        kernels.filter(|kernel| kernel.numerics == numerics && kernel.isa().is_available()).collect()
    }
}

/// Values of both signs.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|index| ((index + seed) * 7919 % 1009) as f32 / 500.0 - 1.0).collect()
}

/// The operands that an operation may have, all of them.
struct Operands {
    operation: &'static Operation,
    matrices: Vec<Matrix>,
    x: Vec<f32>,
    norm: Vec<f32>,
    residual: Vec<f32>,
}

impl Operands {
    /// Weights of all formats where there are several; of whole tiles and of parts, of whole segments and of parts.
    fn new(operation: &'static Operation) -> Self {
        let formats = formats();
        let (k, most) = (768, DISTINCT.max(BATCHES[BATCHES.len() - 1]));
        let heights: &[usize] = match operation.projections {
            Projections::One => &[70],
            Projections::Several => &[70, 37, 16],
            Projections::Gated => &[70, 70],
        };
        let matrix = |(index, n): (usize, &usize)| Matrix::new(formats[index % formats.len()], *n, k);
        let matrices = heights.iter().enumerate().map(matrix).collect::<Vec<_>>();
        let repeated = |values: Vec<f32>, width| values.into_iter().cycle().take(most * width).collect::<Vec<_>>();
        let x = repeated(activations(DISTINCT, k).unwrap(), k);
        let residual = repeated(values(DISTINCT * heights[0], 5), heights[0]);
        Self { operation, matrices, x, norm: values(k, 1), residual }
    }

    fn projections(&self) -> Vec<Projection<'_>> {
        let bias = self.operation.epilogue.bias;
        self.matrices
            .iter()
            .map(|Matrix { weights, bias: values, .. }| Projection { weights, bias: bias.then_some(&values[..]) })
            .collect()
    }

    fn call<'a>(&'a self, projections: &'a [Projection<'a>], batch: usize) -> Call<'a> {
        let k = self.norm.len();
        let norm = (self.operation.prologue == Prologue::RmsNorm).then_some(Norm { weights: &self.norm, eps: 1e-5 });
        let residual = &self.residual[..batch * self.matrices[0].weights.n()];
        let residual = self.operation.epilogue.residual.then_some(residual);
        Call { projections, x: &self.x[..batch * k], batch, norm, residual }
    }

    /// The outputs of the distinct rows by definition, in classes of the projections.
    fn wanted(&self, numerics: &[Numerics]) -> Vec<Vec<f32>> {
        let cards = self.matrices.iter().map(|matrix| registry::model(matrix.weights.format()).unwrap()).collect::<Vec<_>>();
        let definitions = cards.iter().map(|card| Definition::new(card)).collect::<Vec<_>>();
        let rows = self.matrices.iter().zip(&definitions).map(|(Matrix { stored, weights, .. }, definition)| {
            definition.rows(weights.format(), weights.n(), weights.k(), stored)
        });
        let rows = rows.collect::<Vec<_>>();
        let factors = rows.iter().zip(numerics).map(|(rows, &numerics)| Factor { rows, numerics }).collect::<Vec<_>>();
        let projections = self.projections();
        let call = self.call(&projections, DISTINCT);
        let columns = (0..DISTINCT).map(|column| steps(self.operation, &call, &factors, column)).collect::<Vec<_>>();
        (0..columns[0].len()).map(|output| columns.iter().flat_map(|column| column[output].clone()).collect()).collect()
    }

    /// Compares what some kernels give with what is right.
    fn compare(&self, kernels: &[&'static Kernel], wanted: &[Vec<f32>], pool: &Pool) {
        let used = |kernel: &&'static Kernel| Used { launch: Launch::of(kernel), source: Source::Pin, on_device: false };
        let used = kernels.iter().map(used).collect::<Vec<_>>();
        // Plain code takes its time.
        let most = if kernels.iter().any(|kernel| kernel.isa().vector_bits == 32) { 64 } else { usize::MAX };
        let projections = self.projections();
        for batch in BATCHES.into_iter().filter(|batch| *batch <= most) {
            let call = self.call(&projections, batch);
            for threads in [1, 2] {
                let mut outputs =
                    wanted.iter().map(|wanted| vec![f32::NAN; wanted.len() / DISTINCT * batch]).collect::<Vec<_>>();
                let mut places = outputs.iter_mut().map(|y| &mut **y).collect::<Vec<_>>();
                check::check(self.operation, &call, &places).unwrap();
                check_sizes(&call, &places).unwrap();
                compute(self.operation.epilogue.activation, &call, &mut places, &used, threads, pool).unwrap();
                for (index, (found, wanted)) in outputs.iter().zip(wanted).enumerate() {
                    let differs = found.iter().zip(wanted.iter().cycle()).position(|(a, b)| a.to_bits() != b.to_bits());
                    let names = kernels.iter().map(|kernel| kernel.name).collect::<Vec<_>>();
                    let name = self.operation.name;
                    assert_eq!(differs, None, "{name}, output {index}, by {names:?}, batch {batch}, {threads} threads");
                }
            }
        }
    }
}

/// Kernels of all instruction sets and tiles, those of one call of different ones.
#[test]
fn every_operation_has_the_bits_of_its_steps() {
    let pool = Pool::new(2);
    for operation in all() {
        let operands = Operands::new(operation);
        for numerics in Numerics::ALL {
            let wanted = operands.wanted(&vec![numerics; operands.matrices.len()]);
            let kernels = operands.matrices.iter().map(|matrix| matrix.kernels(numerics)).collect::<Vec<_>>();
            let most = kernels.iter().map(Vec::len).max().unwrap();
            for first in 0..most {
                // Each kernel of the first weights beside others of the next.
                let chosen = kernels.iter().enumerate().map(|(index, kernels)| kernels[(first + 3 * index) % kernels.len()]);
                operands.compare(&chosen.collect::<Vec<_>>(), &wanted, &pool);
            }
        }
    }
}

/// One projection may be `exact` beside another that is `int8`.
#[test]
fn classes_may_differ_within_a_call() {
    let operands = Operands::new(all().iter().find(|operation| operation.projections == Projections::Several).unwrap());
    let classes = [Numerics::Int8, Numerics::Exact, Numerics::Int8];
    let kernels = operands.matrices.iter().zip(classes).map(|(matrix, class)| *matrix.kernels(class).last().unwrap());
    operands.compare(&kernels.collect::<Vec<_>>(), &operands.wanted(&classes), &Pool::new(2));
}

#[test]
fn activations_are_made_once_for_each_layout() {
    let format = formats()[0];
    let matrix = Matrix::new(format, 16, 768);
    let (x, kernel) = (values(2 * 768, 0), matrix.kernels(Numerics::Int8)[0]);
    let reader = Reader { kernel, class: matrix.weights.class() };
    let other = *matrix.kernels(Numerics::Exact).first().unwrap();
    let other = Reader { kernel: other, class: matrix.weights.class() };
    let input = Input { x: &x, k: 768, norm: None };
    let prepared = Prepared::new(&[reader, other, reader, other], &input, 1, Pool::global()).unwrap();
    let at = |reader| prepared.groups(reader).range(0..1).as_ptr();
    assert_eq!([at(0), at(1)], [at(2), at(3)]);
    assert_ne!(at(0), at(1));
}

#[test]
fn products_over_nothing_are_finished() {
    for operation in all().iter().filter(|operation| operation.projections != Projections::Several) {
        let mut operands = Operands::new(operation);
        for matrix in &mut operands.matrices {
            matrix.weights = Weights::pack(matrix.weights.format(), 70, 0, &[], Pool::global()).unwrap();
        }
        operands.norm.clear();
        let projections = operands.projections();
        let call = operands.call(&projections, 2);
        let mut y = vec![f32::NAN; 140];
        run(operation, &call, &mut [&mut y], &Request::default(), Pool::global()).unwrap();
        let wanted = |index: usize| {
            let bias = |matrix: usize| projections[matrix].bias.map_or(0.0, |bias| bias[index % 70]);
            let sum = operation.epilogue.activation.map_or_else(|| bias(0), |function| (function.value)(bias(0)) * bias(1));
            sum + call.residual.map_or(0.0, |residual| residual[index])
        };
        assert_eq!(y, (0..140).map(wanted).collect::<Vec<_>>(), "{}", operation.name);
    }
}
