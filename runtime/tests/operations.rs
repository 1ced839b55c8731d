//! Operations by their public door: against f64, against products one by one, and what they refuse.

mod support;

use std::f64::consts::PI;

use quantloom::decode;
use quantloom::matmul::{Request, matmul};
use quantloom::measure::synthetic;
use quantloom::operation::{self, Call, Norm, Operation, Projection, Projections, Prologue};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::weights::Weights;
use support::products::{Random, bits, nmse};

const EPS: f32 = 1e-5;

/// Random values.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..count).map(|_| random.unit()).collect()
}

/// Two formats with kernels of both classes.
fn formats() -> [&'static Format; 2] {
    let both = |format: &&Format| registry::numerics(format).len() == Numerics::ALL.len() && format.row_multiple() == 1;
    let mut formats = registry::formats().filter(both);
    [formats.next().unwrap(), formats.last().unwrap()]
}

/// Weights, and what they are decoded to.
fn matrix(format: &'static Format, n: usize, k: usize) -> (Weights, Vec<f32>) {
    let bytes = synthetic(format, n, k).unwrap();
    let mut decoded = vec![0.0; n * k];
    decode(format, n, k, &bytes, &mut decoded).unwrap();
    (Weights::pack(format, n, k, &bytes, Pool::global()).unwrap(), decoded)
}

fn by_name(name: &str) -> &'static Operation {
    operation::by_name(name).unwrap()
}

/// The definition of an activation function: of a gate, and of what it gates.
fn function(name: &str) -> fn(f64, f64) -> f64 {
    match name {
        "silu" => |x, up| x / (1.0 + (-x).exp()) * up,
        "gelu_tanh" => |x, up| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()) * up,
        "squared_relu" => |x, up| x.max(0.0).powi(2) * up,
        "swiglu_clamped" => |x, up| x.min(7.0) / (1.0 + (-1.702 * x.min(7.0)).exp()) * (up.clamp(-7.0, 7.0) + 1.0),
        _ => panic!("{name} needs a definition"),
    }
}

#[test]
fn activation_functions_are_near_their_definitions() {
    let functions = operation::all().iter().filter_map(|operation| operation.epilogue.activation).collect::<Vec<_>>();
    assert!(functions.len() >= 2);
    for act in functions {
        let wanted = function(act.name);
        for step in -4000..=4000 {
            let x = step as f32 / 200.0;
            // What is gated runs through its numbers, too.
            let up = (step * 37 % 4001) as f32 / 200.0;
            let (found, wanted) = (f64::from((act.value)(x, up)), wanted(f64::from(x), f64::from(up)));
            // An error of an exponent is multiplied by its size; the tangent of the definition is near -1.
            let margin = 4e-7 * (1.0 + f64::from(x * x)) * wanted.abs() + 4e-15 * f64::from(x.abs()) + 1e-35;
            assert!((found - wanted).abs() <= margin, "{}({x}, {up}) = {found}, not {wanted}", act.name);
        }
        assert_eq!((act.value)(0.0, 3.0), 0.0, "{}", act.name);
        assert!((act.value)(f32::NAN, 3.0).is_nan() && (act.value)(3.0, f32::NAN).is_nan(), "{}", act.name);
    }
}

/// In the class `exact`, with each operand that an operation takes.
#[test]
fn exact_results_are_near_those_in_f64() {
    let (n, k, batch) = (48, 1280, 3);
    let (x, norm, biases) = (values(batch * k, 1), values(k, 2), [values(n, 3), values(n, 4)]);
    let residual = values(batch * n, 5);
    let matrices = formats().map(|format| matrix(format, n, 1280));
    for operation in operation::all() {
        let count = if operation.projections == Projections::One { 1 } else { 2 };
        let bias = |index: usize| operation.epilogue.bias.then_some(&*biases[index]);
        let projections =
            (0..count).map(|index| Projection { weights: &matrices[index].0, bias: bias(index) }).collect::<Vec<_>>();
        let has_norm = operation.prologue == Prologue::RmsNorm;
        let call = Call {
            projections: &projections,
            x: &x,
            batch,
            norm: has_norm.then_some(Norm { weights: &norm, eps: EPS }),
            residual: operation.epilogue.residual.then_some(&residual),
        };
        let outputs = if operation.projections == Projections::Several { count } else { 1 };
        let mut found = vec![vec![f32::NAN; batch * n]; outputs];
        let mut places = found.iter_mut().map(|y| &mut **y).collect::<Vec<_>>();
        let request = Request::default().numerics(Numerics::Exact);
        operation::run(operation, &call, &mut places, &request, Pool::global()).unwrap();

        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let mut wanted = vec![Vec::new(); outputs];
        for (column, x) in x.chunks(k).enumerate() {
            let mut x = wide(x);
            if has_norm {
                let mean = x.iter().map(|x| x * x).sum::<f64>() / k as f64;
                x.iter_mut().zip(&norm).for_each(|(x, weight)| *x *= f64::from(*weight) / (mean + f64::from(EPS)).sqrt());
            }
            for row in 0..n {
                let sum = |index: usize| {
                    let weights = wide(&matrices[index].1[row * k..][..k]);
                    let bias = bias(index).map_or(0.0, |bias| f64::from(bias[row]));
                    weights.iter().zip(&x).map(|(weight, x)| weight * x).sum::<f64>() + bias
                };
                if let Some(act) = operation.epilogue.activation {
                    wanted[0].push(function(act.name)(sum(0), sum(1)));
                } else {
                    wanted.iter_mut().enumerate().for_each(|(index, wanted)| wanted.push(sum(index)));
                }
                if operation.epilogue.residual {
                    *wanted[0].last_mut().unwrap() += f64::from(residual[column * n + row]);
                }
            }
        }
        for (found, wanted) in found.iter().zip(&wanted) {
            let error: f64 = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
            let nmse = error / wanted.iter().map(|b| b * b).sum::<f64>();
            assert!(nmse <= 1e-12, "{}: {nmse:e}", operation.name);
        }
    }
}

/// Queries, keys and values of two formats, in whatever class each format has by default.
#[test]
fn one_call_gives_what_products_one_by_one_give() {
    let [one, other] = formats();
    let several = operation::all().iter().find(|operation| operation.projections == Projections::Several).unwrap();
    let (k, batch) = (1280, 9);
    let matrices = [(one, 80), (one, 16), (other, 24)].map(|(format, n)| matrix(format, n, k).0);
    let x = values(batch * k, 1);
    // The row itself: its squares are 1 in the mean.
    let ones = vec![1.0; k];
    let x = x.iter().map(|x| if *x < 0.0 { -1.0 } else { 1.0 }).collect::<Vec<f32>>();
    let projections = matrices.each_ref().map(Projection::from);
    let norm = (several.prologue == Prologue::RmsNorm).then_some(Norm { weights: &ones, eps: 0.0 });
    let call = Call { projections: &projections, x: &x, batch, norm, residual: None };
    let mut outputs = matrices.each_ref().map(|weights| vec![f32::NAN; batch * weights.n()]);
    let [q, keys, v] = outputs.each_mut().map(|y| &mut **y);
    let used = operation::run(several, &call, &mut [q, keys, v], &Request::default(), Pool::global()).unwrap();
    for ((weights, found), used) in matrices.iter().zip(&outputs).zip(used) {
        let mut y = vec![f32::NAN; found.len()];
        let alone = matmul(weights, &x, batch, &mut y, &Request::default(), Pool::global()).unwrap();
        assert_eq!((bits(&y), alone.launch), (bits(found), used.launch));
        assert_eq!(nmse(found, &y), 0.0);
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let (format, k) = (formats()[0], 256.max(formats()[0].block_weights));
    let [tall, low] = [32, 16].map(|n| matrix(format, n, k).0);
    let long = matrix(format, 32, 2 * k).0;
    let (x, norm) = (vec![1.0; 2 * k], vec![1.0; k]);
    let norm = Some(Norm { weights: &norm, eps: EPS });
    let message = |operation: &Operation, call: Call<'_>, sizes: &[usize]| {
        let call = Call { x: if call.x.is_empty() { &x } else { call.x }, batch: 2, ..call };
        let mut outputs = sizes.iter().map(|size| vec![7.0; *size]).collect::<Vec<_>>();
        let mut places = outputs.iter_mut().map(|y| &mut **y).collect::<Vec<_>>();
        let error = operation::run(operation, &call, &mut places, &Request::default(), Pool::global()).unwrap_err().to_string();
        assert!(outputs.iter().flatten().all(|y| *y == 7.0), "nothing is written: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    let [matmul, linear, gated, qkv] = ["matmul", "linear", "gated-silu", "qkv"].map(by_name);
    let pair = [Projection::from(&tall); 2];
    let (one, two) = (&pair[..1], &pair[..]);
    let of = |projections| Call { projections, norm, ..Call::default() };
    let plain = |projections| Call { projections, ..Call::default() };
    let short = vec![0.0; 5];
    let biased = [Projection { weights: &tall, bias: Some(&short) }];
    for (found, wanted) in [
        (
            message(linear, plain(two), &[64]),
            "the operation linear takes one projection, not 2; see `quantloom explain linear`",
        ),
        (message(gated, of(one), &[64]), "takes two projections, gate and up, not 1"),
        (message(qkv, of(&[]), &[]), "takes one or more projections, not 0"),
        (message(gated, of(two), &[64, 64]), "has 1 output, not 2"),
        (message(qkv, of(two), &[64]), "has 2 outputs, not 1"),
        (message(linear, of(one), &[64]), "takes no norm"),
        (message(gated, plain(two), &[64]), "needs the weights of its norm"),
        (message(matmul, plain(&biased), &[64]), "takes no bias"),
        (message(matmul, Call { residual: Some(&short), ..plain(one) }, &[64]), "takes no residual"),
        (message(gated, of(&[(&tall).into(), (&low).into()]), &[64]), "the gate has 32 rows, the up projection has 16"),
        (message(qkv, of(&[(&tall).into(), (&long).into()]), &[64, 64]), "projection 1 has K = "),
        (
            message(qkv, Call { norm: Some(Norm { weights: &short, eps: EPS }), ..of(one) }, &[64]),
            "the weights of the norm: 5 values",
        ),
        (message(qkv, Call { norm: norm.map(|norm| Norm { eps: -1.0, ..norm }), ..of(one) }, &[64]), "adds -1 to a mean"),
        (message(qkv, Call { norm: norm.map(|norm| Norm { eps: f32::NAN, ..norm }), ..of(one) }, &[64]), "adds NaN to a mean"),
        (message(linear, plain(&biased), &[64]), "the bias: 5 values given, 32 needed"),
        (message(linear, plain(one), &[63]), "the output: 63 values given, 64 needed"),
        (message(linear, Call { residual: Some(&short), ..plain(one) }, &[64]), "the residual: 5 values given, 64 needed"),
        (message(linear, Call { x: &short, ..plain(one) }, &[64]), "the input has 5 values"),
    ] {
        assert!(found.contains(wanted), "{found}: {wanted}");
    }
    let error = operation::by_name("liner").unwrap_err().to_string();
    assert_eq!(error, "no operation \"liner\"; did you mean \"linear\"?");
}

/// What cannot be quantised is named by its place, behind the norm as well.
#[test]
fn what_is_not_finite_is_named_by_its_place() {
    let (weights, k) = (matrix(formats()[0], 16, 1280).0, 1280);
    let mut x = vec![1.0; 2 * k];
    x[k + 7] = f32::INFINITY;
    let mut norm = vec![1.0; k];
    let projections = [Projection::from(&weights)];
    let request = Request::default().numerics(Numerics::Int8);
    let mut y = vec![0.0; 32];
    let mut error = |x: &[f32], norm: &[f32]| {
        let norm = Some(Norm { weights: norm, eps: EPS });
        let call = Call { projections: &projections, x, batch: 2, norm, residual: None };
        operation::run(by_name("norm-linear"), &call, &mut [&mut y], &request, Pool::global()).unwrap_err().to_string()
    };
    // All else of the row becomes 0.
    assert!(error(&x, &norm).contains(&format!("activation {} ", k + 7)), "{}", error(&x, &norm));
    norm[3] = f32::NAN;
    assert!(error(&vec![1.0; 2 * k], &norm).contains("activation 3 "));
}
