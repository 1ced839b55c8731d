//! Products by panels in WGSL, executed on a device, against the definitions of the numerics classes.

use quantloom::gpu::wgpu::Fma;
use quantloom::gpu::wgpu::panels::{Matrix, Module};
use quantloom::gpu::{Around, Error, Held, PanelKernels, Product, Result, Schedule};
use quantloom::matmul::{ByCards, Context, Request, matmul};
use quantloom::measure::activations;
use quantloom::operation::{self, Call, Norm, Projection};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::testing::Definition;
use quantloom::weights::Weights;
use quantloom_codegen::emit::device::{self, COLUMNS};

use crate::inputs::{assert_same, columns, decoded, formats, packed, shapes};
use crate::support;
use crate::wgpu::device;

/// Columns of the largest batch.
const BATCH: usize = 16;

/// Every so manieth class is tried with every batch and schedule.
const STRIDE: usize = 8;

/// The kernels of a format.
pub fn kernels(format: &'static Format) -> PanelKernels {
    device::panel_kernels(registry::model(format).unwrap(), "wgsl").unwrap()
}

/// The first `batch` columns multiplied.
fn product(matrix: &Matrix<'_>, (n, k): (usize, usize), x: &[f32], numerics: Numerics, schedule: Schedule) -> Vec<f32> {
    let batch = x.len() / k;
    let mut y = vec![f32::NAN; batch * n];
    let product = Product { x, batch, numerics, schedule: Some(schedule) };
    assert!(matrix.linear(&product, &mut y, Around::default()).unwrap(), "all activations are finite");
    y
}

/// Every class, by the kernels that a device without a fused multiply-add takes: they have one made of integers.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn products_in_wgsl_are_as_they_are_defined() {
    let device = device();
    let (mut values, mut count) = (0, 0);
    for (index, format) in formats().into_iter().enumerate() {
        let kernels = kernels(format);
        let module = Module::with_fma(device, kernels.clone(), Fma::Integer).unwrap();
        let definition = Definition::new(registry::model(format).unwrap());
        for (n, k) in shapes(format) {
            let (stored, packed) = packed(format, n, k);
            let (rows, x) = (definition.rows(format, n, k, &stored), columns(BATCH, k));
            let matrix = module.load(&packed, n, k).unwrap();
            let what = format!("{}, N {n}, K {k}, decoded", format.name);
            assert_same(&matrix.decode().unwrap(), &decoded(format, n, k, &stored), &what);
            for &numerics in &kernels.numerics {
                let wanted = x.chunks(k).flat_map(|x| rows.iter().map(|row| row.product(numerics, x))).collect::<Vec<_>>();
                let every = (1..=9).chain([BATCH]).zip([1, 2, 4, 8, 16].into_iter().cycle());
                let tried = if index % STRIDE == 0 { every.collect::<Vec<_>>() } else { vec![(1, 1), (3, 4)] };
                for (batch, splits) in tried {
                    let found = product(&matrix, (n, k), &x[..batch * k], numerics, Schedule { columns: 1, splits });
                    let what = format!("{}, {numerics}, N {n}, K {k}, batch {batch}, {splits} groups share K", format.name);
                    assert_same(&found, &wanted[..batch * n], &what);
                    values += found.len();
                }
            }
        }
        count += 1;
    }
    assert!(count > 0, "this build has packed classes");
    println!("{count} classes, {values} values, none of which differs");
}

/// The class `exact` with a multiply-add that a device may round twice.
fn exact(weights: &[f32], x: &[f32], fma: Fma) -> Vec<f32> {
    support::product(weights, x, |a, b, c| if fma == Fma::Native { f32::mul_add(a, b, c) } else { a * b + c })
}

/// However many columns are taken at a time, and however many groups share K: the kernels that use the device's own multiply-add.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn a_column_in_wgsl_does_not_depend_on_those_beside_it() {
    let device = device();
    for format in formats().into_iter().step_by(STRIDE) {
        let kernels = kernels(format);
        let module = Module::with_fma(device, kernels.clone(), Fma::Native).unwrap();
        let (n, k) = shapes(format)[1];
        let (stored, packed) = packed(format, n, k);
        let x = columns(9, k);
        let matrix = module.load(&packed, n, k).unwrap();
        let weights = decoded(format, n, k, &stored);
        for &numerics in &kernels.numerics {
            let wanted = match numerics {
                Numerics::Exact => x.chunks(k).flat_map(|x| exact(&weights, x, device.fma())).collect::<Vec<_>>(),
                Numerics::Int8 if device.fma() == Fma::Native => {
                    let definition = Definition::new(registry::model(format).unwrap());
                    let rows = definition.rows(format, n, k, &stored);
                    x.chunks(k).flat_map(|x| rows.iter().map(|row| row.product(numerics, x))).collect()
                }
                // Sums of segments are rounded twice, as no definition has it.
                Numerics::Int8 => product(&matrix, (n, k), &x, numerics, Schedule { columns: 1, splits: 1 }),
            };
            for (columns, splits) in COLUMNS.into_iter().flat_map(|columns| [(columns, 1), (columns, 3)]) {
                let found = product(&matrix, (n, k), &x, numerics, Schedule { columns, splits });
                assert_same(&found, &wanted, &format!("{}, {numerics}, {columns} columns at a time", format.name));
            }
        }
    }
}

/// A linear layer behind a norm, however many of its parts there are, has the bits of the processor's operation.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn a_linear_layer_is_that_of_a_processor() {
    let (device, pool) = (device(), Pool::new(1));
    let is_int8 = |format: &&'static Format| kernels(format).numerics.contains(&Numerics::Int8);
    let format = formats().into_iter().find(is_int8).unwrap();
    let module = Module::with_fma(device, kernels(format), Fma::Integer).unwrap();
    let (n, k) = shapes(format)[1];
    let (stored, packed) = packed(format, n, k);
    let (matrix, weights) = (module.load(&packed, n, k).unwrap(), Weights::pack(format, n, k, &stored, &pool).unwrap());
    let definition = Definition::new(registry::model(format).unwrap());
    let (batch, rows) = (3, definition.rows(format, n, k, &stored));
    let [x, norm, bias, residual] = [batch * k, k, n, batch * n].map(|count| activations(1, count).unwrap());
    let norm = Norm { weights: &norm, eps: 1e-5 };
    let wholes = [
        Around { norm: Some(norm), bias: Some(&bias), residual: Some(&residual) },
        Around { norm: Some(norm), ..Around::default() },
        Around { bias: Some(&bias), ..Around::default() },
        Around { residual: Some(&residual), ..Around::default() },
    ];
    for (numerics, around) in
        [Numerics::Int8, Numerics::Exact].into_iter().flat_map(|numerics| wholes.map(|around| (numerics, around)))
    {
        let mut input = x.clone();
        if let Some(norm) = around.norm {
            operation::rms_norm(&mut input, &norm).unwrap();
        }
        let mut wanted = input.chunks(k).flat_map(|x| rows.iter().map(|row| row.product(numerics, x))).collect::<Vec<_>>();
        for (at, sum) in wanted.iter_mut().enumerate() {
            *sum = around.bias.map_or(*sum, |bias| *sum + bias[at % n]);
            *sum = around.residual.map_or(*sum, |residual| *sum + residual[at]);
        }
        let name = if around.norm.is_some() { "norm-linear" } else { "linear" };
        if numerics == Numerics::Exact {
            let (mut by_operation, projections) =
                (vec![f32::NAN; batch * n], [Projection { weights: &weights, bias: around.bias }]);
            let call = Call { projections: &projections, x: &x, batch, norm: around.norm, residual: around.residual };
            let request = Request::default().numerics(numerics);
            operation::run(operation::by_name(name).unwrap(), &call, &mut [&mut by_operation], &request, &pool).unwrap();
            assert_same(&by_operation, &wanted, &format!("the processor's {name}"));
        }
        for splits in [1, 3] {
            let (mut found, schedule) = (vec![f32::NAN; batch * n], Some(Schedule { columns: 1, splits }));
            assert!(matrix.linear(&Product { x: &x, batch, numerics, schedule }, &mut found, around).unwrap());
            assert_same(&found, &wanted, &format!("{name}, {numerics}, {splits} groups share K"));
        }
    }
    let short = Around { bias: Some(&bias[1..]), ..Around::default() };
    let product = Product { x: &x, batch, numerics: Numerics::Exact, schedule: None };
    let wrong = matrix.linear(&product, &mut vec![0.0; batch * n], short).unwrap_err();
    assert!(matches!(wrong, Error::Size { what: "the bias", .. }), "{wrong}");
}

/// A multiplication that is asked for by weights goes to the device that holds them, and says so.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn a_context_multiplies_on_its_device() {
    let (device, pool) = (device(), Pool::new(1));
    let format = formats()[0];
    let (n, k) = shapes(format)[1];
    let (stored, _) = packed(format, n, k);
    let weights = Weights::pack(format, n, k, &stored, &pool).unwrap();
    let others = weights.duplicate().unwrap();
    let module = Module::new(device, kernels(format)).unwrap();
    let mut held = Held::default();
    held.add(&weights, &module).unwrap();
    let request = Request::default().numerics(Numerics::Exact);
    let context = Context::new(&pool, &ByCards).on(&held);
    // More columns than a submission has.
    let batch = 70;
    let x = columns(batch, k);
    let run = |weights: &Weights, x: &[f32]| {
        let mut y = vec![f32::NAN; batch * n];
        let used = matmul(weights, x, batch, &mut y, &request, context).unwrap();
        (used.on_device, y)
    };
    let (by_others, wanted) = run(&others, &x);
    assert!(!by_others, "weights that the device does not hold");
    for _ in 0..2 {
        let (on_device, found) = run(&weights, &x);
        assert!(on_device, "{:?}", held.failure());
        assert_same(&found, &wanted, "on the device");
    }
    let mut wrong = vec![0.0; n];
    assert!(matmul(&weights, &x, 1, &mut wrong, &request, context).is_err(), "activations of another size");
}

/// What does not fit, or does not compile, is an error and no panic.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn what_a_device_cannot_do_is_said() {
    let device = device();
    let format = formats()[0];
    let right = kernels(format);
    let broken = PanelKernels { source: right.source.replace("fn ADD(", "fn ADDED("), ..right.clone() };
    let wrong = Module::new(device, broken).unwrap_err();
    assert!(matches!(&wrong, Error::Compile { log } if log.contains("ADD")), "{wrong}");
    let (n, k) = shapes(format)[0];
    let packed = packed(format, n, k).1;
    let lacking = PanelKernels { source: right.source.replace("fn reduce(", "fn reduced("), ..right.clone() };
    let multiplied = |kernels: PanelKernels, schedule| -> Result<bool> {
        let module = Module::new(device, kernels)?;
        let matrix = module.load(&packed, n, k)?;
        let product = Product { x: &vec![1.0; k], batch: 1, numerics: Numerics::Exact, schedule: Some(schedule) };
        matrix.linear(&product, &mut vec![0.0; n], Around::default())
    };
    let wrong = multiplied(lacking, Schedule { columns: 1, splits: 2 }).unwrap_err();
    assert!(matches!(&wrong, Error::Compile { log } if log.contains("reduce")), "{wrong}");
    let wrong = multiplied(right.clone(), Schedule { columns: 3, splits: 1 }).unwrap_err();
    assert!(matches!(wrong, Error::Size { found: 3, .. }), "{wrong}");
    let module = Module::new(device, right).unwrap();
    for (n, k) in [(n + 32, k), (1 << 30, k), (n, 1 << 40)] {
        assert!(matches!(module.load(&packed, n, k).unwrap_err(), Error::Size { .. }), "{n} rows of {k}");
    }
}
