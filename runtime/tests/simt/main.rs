//! The CUDA text of modules, and the Metal text, executed by a processor that stands in for a graphics processor: see `machine.hpp`.
//!
//! Threads go on in another order every time, shared memory holds nothing before it is written, copies land when they are waited for, and
//! instructions for matrices take fragments as the tables of the PTX manual have them. The tests are ignored where no C++ compiler need be:
//! `.ci/gpu` installs one, and runs them all.

#[path = "../support/around.rs"]
mod around;
mod faults;
mod fragments;
#[path = "../support/matrices.rs"]
mod inputs;
mod machine;
mod matrix;
mod part;
mod text;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use quantloom::registry::{self, Format, Numerics};
use quantloom::testing::Definition;
use quantloom_codegen::emit::device::{self, COLUMNS, Module};
use quantloom_codegen::lower::class::Class;

use around::{check_added, check_norm};
use inputs::{assert_same, columns, decoded, formats, packed, shapes};
use machine::{Kernel, Machine};
use matrix::Matrix;
use text::Language;

/// Batches that are tried, and by how many groups K is shared.
const BATCHES: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 31, 32, 33, 64];
const SPLITS: [usize; 5] = [1, 2, 4, 8, 16];

/// Products of matrices that are tried with each class.
const TRIES: usize = 5;

/// More rows than a group of any kernel has, and no whole panels: every eighth class has so many.
const ROWS: usize = 163;

/// A format's module, and the matrix that it is tried with.
struct Case {
    language: Language,
    class: Class,
    module: Module,
    n: usize,
    k: usize,
    packed: Vec<u8>,
    /// The weights.
    decoded: Vec<f32>,
    /// Each row of each column, for every numerics class.
    wanted: Vec<(Numerics, Vec<f32>)>,
    x: Vec<f32>,
}

impl Case {
    /// With rows and weights that are no whole panels, and where blocks are shorter than those no whole units and stages.
    fn new(language: Language, format: &'static Format, batch: usize) -> Self {
        Self::with_rows(language, format, batch, shapes(format)[1].0)
    }

    fn with_rows(language: Language, format: &'static Format, batch: usize, rows: usize) -> Self {
        let card = registry::model(format).unwrap();
        let (class, module) = (Class::of(card).unwrap(), device::module(card, language.name()).unwrap());
        let (n, k) = (rows.next_multiple_of(format.row_multiple()), shapes(format)[1].1);
        let (stored, packed) = packed(format, n, k);
        let definition = Definition::new(card);
        let (rows, x) = (definition.rows(format, n, k, &stored), columns(batch, k));
        let numerics = Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics));
        let product =
            |numerics| x.chunks(k).flat_map(|x| rows.iter().map(|row| row.product(numerics, x)).collect::<Vec<_>>()).collect();
        let wanted = numerics.map(|numerics| (numerics, product(numerics))).collect();
        let decoded = decoded(format, n, k, &stored);
        Self { language, class, module, n, k, packed, decoded, wanted, x }
    }

    /// Columns that its products of matrices take at a time.
    fn matrix_columns(&self) -> Vec<usize> {
        let names = self.module.manifest.entries.iter().filter_map(|entry| entry.name.strip_prefix("gemm_int8_"));
        names.map(|columns| columns.parse().unwrap()).collect()
    }

    /// A machine with the kernels of the module that are wanted, and the matrix on it.
    fn matrix(&self, text: &str, wanted: impl Fn(&str) -> bool) -> Result<Matrix<'_>, String> {
        let kernels =
            self.module.manifest.entries.iter().filter(|entry| wanted(&entry.name)).map(Kernel::from).collect::<Vec<_>>();
        let text = part::only(text, &self.module.manifest.entries, wanted);
        let machine = Machine::compile(self.language, &text, &kernels)?;
        Ok(Matrix::new(&self.module, machine, &self.class, (self.n, self.k), &self.packed))
    }
}

/// Decoded weights, a kernel with a row a thread for each class of numerics, and every kernel for products of matrices, both with batches and shares of K by turns.
fn check(language: Language, format: &'static Format, turn: usize) -> usize {
    let at_once = COLUMNS[turn % COLUMNS.len()];
    let tries =
        (0..TRIES).map(|index| (BATCHES[(TRIES * turn + index) % BATCHES.len()], SPLITS[(turn + index) % SPLITS.len()]));
    let tries = tries.collect::<Vec<_>>();
    let batch = tries.iter().map(|(batch, _)| *batch).max().unwrap_or_default();
    let case = if turn.is_multiple_of(8) {
        Case::with_rows(language, format, batch, ROWS)
    } else {
        Case::new(language, format, batch)
    };
    let wanted = |name: &str| !name.starts_with("gemv_") || name.ends_with(&format!("_{at_once}"));
    let mut matrix = case.matrix(&case.module.text, wanted).unwrap();
    let mut values = case.decoded.len();
    assert_same(&matrix.decode().unwrap(), &case.decoded, &format!("{}, decoded", format.name));
    if turn == 0 {
        check_norm(case.k, |x, weights, eps| matrix.norm(x, weights, eps).unwrap());
        check_added(case.n, |sums, segments, bias, residual| matrix.finish(sums, segments, bias, residual).unwrap());
    }
    for (numerics, wanted) in &case.wanted {
        let given = matrix.activations(*numerics, &case.x).unwrap();
        let matrices = if *numerics == Numerics::Int8 { case.matrix_columns() } else { Vec::new() };
        let kernels = [("gemv", at_once)].into_iter().chain(matrices.into_iter().map(|columns| ("gemm", columns)));
        for (kind, columns) in kernels {
            for &(batch, splits) in &tries {
                let what = format!("{}, {kind}_{numerics}_{columns}, batch {batch}, {splits} groups share K", format.name);
                let found =
                    matrix.product((kind, columns), &given, batch, splits).unwrap_or_else(|why| panic!("{what}: {why}"));
                assert_same(&found, &wanted[..batch * case.n], &what);
                values += found.len();
            }
        }
    }
    values
}

/// Some formats in a language, as many at once as there are processors.
fn check_all(language: Language, formats: &[&'static Format]) {
    let (next, values) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let worker = || {
        while let Some((turn, format)) = Some(next.fetch_add(1, Relaxed)).and_then(|turn| Some((turn, formats.get(turn)?))) {
            values.fetch_add(check(language, format, turn), Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    assert!(!formats.is_empty(), "this build has packed classes");
    println!("{}: {} classes, {} values, none of which differs", language.name(), formats.len(), values.into_inner());
}

#[test]
#[ignore = "needs a C++ compiler; .ci/gpu runs it"]
fn products_in_cuda_are_as_they_are_defined() {
    check_all(Language::Cuda, &formats());
}

/// Every fourth class: the code is that of OpenCL C, and what differs is what a text begins with.
#[test]
#[ignore = "needs clang-19; .ci/gpu runs it"]
fn products_in_metal_are_as_they_are_defined() {
    check_all(Language::Metal, &formats().into_iter().step_by(4).collect::<Vec<_>>());
}
