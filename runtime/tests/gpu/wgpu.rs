//! The device that WGSL runs on, and the multiply-add that is made of integers.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quantloom::gpu::wgpu::panels::Module;
use quantloom::gpu::wgpu::{Device, Fma};
use quantloom::gpu::{Around, Multiply, Product, Schedule};
use quantloom::measure::activations;
use quantloom::registry::{self, Numerics};

use crate::inputs::{assert_same, packed_of};
use crate::products::kernels;
use crate::support::product;

/// One device for all tests.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let device = DEVICE.get_or_init(|| Device::open().unwrap());
    eprintln!("{}: {:?} multiply-add", device.name(), device.fma());
    device
}

/// Weights that are stored as they are.
fn plain(fma: Fma) -> Module<'static> {
    let format = registry::formats().find(|format| format.name == "F32").unwrap();
    Module::with_fma(device(), kernels(format), fma).unwrap()
}

/// Rows of plain weights times a vector.
fn found(module: &Module<'_>, weights: &[f32], x: &[f32]) -> Vec<f32> {
    let format = registry::formats().find(|format| format.name == "F32").unwrap();
    let (n, k) = (weights.len() / x.len(), x.len());
    let matrix = module.load(&packed_of(format, n, k, bytemuck::cast_slice(weights)), n, k).unwrap();
    let mut y = vec![f32::NAN; n];
    let schedule = Some(Schedule { columns: 1, splits: 1 });
    let product = Product { x, batch: 1, numerics: Numerics::Exact, schedule };
    assert!(matrix.linear(&product, &mut y, Around::default()).unwrap());
    y
}

/// Rows of two products each, by the module's multiply-add of integers and by the processor's.
fn check_integer_fma(module: &Module<'_>, weights: &[f32], x: [f32; 2]) {
    let what = format!("times {:e} and {:e}", x[0], x[1]);
    assert_same(&found(module, weights, &x), &product(weights, &x, f32::mul_add), &what);
}

/// A finite f32; a quarter of them have the smallest exponents, which are rare otherwise.
fn finite() -> impl Strategy<Value = f32> {
    let exponents = prop_oneof![3 => Just(0xff80_0000_u32), 1 => Just(0x8000_0000)];
    let number = (any::<u32>(), exponents).prop_map(|(bits, exponents)| f32::from_bits(bits & (exponents | 0x7f_ffff)));
    number.prop_map(|number| if number.is_finite() { number } else { 1.0 })
}

/// Subnormals, zeros, overflow, and sums that cancel.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn the_integer_multiply_add_rounds_once() {
    let mut runner = TestRunner::deterministic();
    let mut next = || finite().new_tree(&mut runner).unwrap().current();
    let module = plain(Fma::Integer);
    for _ in 0..100 {
        let x = [next(), next()];
        let mut weights: Vec<f32> = (0..2000).map(|_| next()).collect();
        for _ in 0..1000 {
            let weight = next();
            // The second product takes away most of the first.
            let opposite = Some(-(weight * x[0]) / x[1]).filter(|value| value.is_finite());
            weights.extend([weight, opposite.unwrap_or(0.0)]);
        }
        check_integer_fma(&module, &weights, x);
    }
}

/// Sums halfway between two f32 but for a part far below.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn the_integer_multiply_add_sees_the_smallest_part() {
    let signs = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
    let module = plain(Fma::Integer);
    // The second product is half a unit of the first in the last place, and 2^-46 of it more: (2^47 + 2) * 2^-100.
    let (a, b) = (8_392_705.0, 16_769_026.0 * 2_f32.powi(-100));
    let even = |unit: i32| 8_388_610.0 * 2_f32.powi(unit);
    let pairs = [(even(-52), a), (even(-132), a * 2_f32.powi(-80)), (f32::from_bits(6), a * 2_f32.powi(-97))];
    let rows = pairs.iter().flat_map(|(c, a)| signs.map(|(first, second)| [first * c, second * a]));
    check_integer_fma(&module, &rows.flatten().collect::<Vec<_>>(), [1.0, b]);
    // The second product is halfway, and the first decides.
    let halfway = 1.0 + f32::EPSILON;
    let rows = (20..150).flat_map(|power| signs.map(|(first, second)| [first * 2_f32.powi(-power), second * halfway]));
    check_integer_fma(&module, &rows.flatten().collect::<Vec<_>>(), [1.0, 1.5]);
}

/// Where the device's own multiply-add rounds twice, sums are those of two roundings.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn the_native_multiply_add_is_what_the_probe_says() {
    let values = activations(34, 1100).unwrap();
    let (x, weights) = values.split_at(1100);
    let fused = |a: f32, b: f32, c: f32| if device().fma() == Fma::Native { f32::mul_add(a, b, c) } else { a * b + c };
    let wanted = product(weights, x, fused);
    assert_same(&found(&plain(Fma::Native), weights, x), &wanted, "a native multiply-add");
}

#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn empty_matrices_are_allowed() {
    let module = plain(Fma::Native);
    for (n, k) in [(0, 8), (3, 0)] {
        let matrix = module.load(&[], n, k).unwrap();
        assert!(matrix.decode().unwrap().is_empty());
        let mut y = vec![f32::NAN; n];
        assert!(matrix.multiply(&vec![1.0; k], 1, &mut y, Numerics::Exact).unwrap());
        assert_eq!(y, vec![0.0; n]);
    }
}
