//! WGSL modules against golden files, the oracle and the plain form of a product.

use std::sync::OnceLock;

use quantloom::gpu::wgpu::{Device, Fma, Module};
use quantloom::gpu::{Error, Kernels};
use quantloom_codegen::emit::gpu::Module as Text;
use quantloom_codegen::emit::wgsl;
use quantloom_codegen::plan::PlannedFormat;

use crate::support::{Dice, Sample, assert_equal_bits, dialect, formats, golden, kernels, planned, product, random};

/// One device for all tests.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let device = DEVICE.get_or_init(|| Device::open().unwrap());
    eprintln!("{}: {:?} multiply-add", device.name(), device.fma());
    device
}

/// Compiles a format's module and hands it over.
fn with_module<T>(device: &Device, format: &PlannedFormat, fma: Fma, work: impl FnOnce(&Module<'_>) -> T) -> T {
    let dialect = dialect("wgsl");
    let Text { text, tables } = wgsl::module(format, &dialect).unwrap();
    work(&Module::new(device, &kernels(format, &dialect, &text, &tables), fma).unwrap())
}

fn check_decode(device: &Device, sample: &Sample<'_>) {
    let load = |module: &Module<'_>| module.load(&sample.bytes, sample.rows, sample.k).unwrap().decode().unwrap();
    let found = with_module(device, sample.format, device.fma(), load);
    assert_equal_bits(&found, &sample.weights, &sample.what);
}

/// Checks the product for every split factor of the dialect.
fn check_product(device: &Device, sample: &Sample<'_>, fma: Fma, x: &[f32], wanted: &[f32]) {
    with_module(device, sample.format, fma, |module| {
        let matrix = module.load(&sample.bytes, sample.rows, sample.k).unwrap();
        for split in dialect("wgsl").splitk {
            assert_equal_bits(&matrix.gemv(x, split).unwrap(), wanted, &format!("{}, split {split}", sample.what));
        }
    });
}

#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn decodes_the_golden_files() {
    let device = device();
    golden(&formats()).iter().for_each(|sample| check_decode(device, sample));
}

#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn decodes_every_format_as_the_oracle_does() {
    let device = device();
    let (dialect, mut dice) = (dialect("wgsl"), Dice(1));
    formats().iter().for_each(|format| check_decode(device, &random(format, &dialect, &mut dice)));
}

#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn multiplies_with_equal_bits_for_every_split() {
    let device = device();
    let (dialect, mut dice) = (dialect("wgsl"), Dice(2));
    for format in &formats() {
        let sample = random(format, &dialect, &mut dice);
        let mut x = dice.vector(sample.k);
        // A segment whose products are all zeros: its sum is +0, whatever the signs of the weights.
        x[512..1024].fill(-0.0);
        check_product(device, &sample, device.fma(), &x, &product(&sample.weights, &x, f32::mul_add));
    }
}

/// Where the device's own multiply-add rounds twice, sums are those of two roundings.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn the_native_multiply_add_is_what_the_probe_says() {
    let device = device();
    let twice = |a: f32, b: f32, c: f32| a * b + c;
    let mut dice = Dice(3);
    for sample in golden(&formats()) {
        let x = dice.vector(sample.k);
        let wanted = match device.fma() {
            Fma::Native => product(&sample.weights, &x, f32::mul_add),
            Fma::Integer => product(&sample.weights, &x, twice),
        };
        check_product(device, &sample, Fma::Native, &x, &wanted);
    }
}

/// Rows of two products each, by the module's multiply-add of integers and by the processor's.
fn check_integer_fma(module: &Module<'_>, weights: &[f32], x: [f32; 2]) {
    let wanted = product(weights, &x, f32::mul_add);
    let found = module.load(bytemuck::cast_slice(weights), wanted.len(), 2).unwrap().gemv(&x, 1).unwrap();
    let one_nan =
        |values: Vec<f32>| values.into_iter().map(|value| if value.is_nan() { f32::NAN } else { value }).collect::<Vec<_>>();
    assert_equal_bits(&one_nan(found), &one_nan(wanted), &format!("times {:e} and {:e}", x[0], x[1]));
}

/// Bits that look random: subnormals, zeros, overflow, and sums that cancel.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn the_integer_multiply_add_rounds_once() {
    let device = device();
    let mut dice = Dice(4);
    let mut finite = || {
        let bits = dice.roll();
        // A quarter has the smallest exponents, which are rare otherwise.
        let exponents = if bits >> 62 == 0 { 0x8000_0000_u32 } else { 0xff80_0000 };
        Some(f32::from_bits(bits as u32 & (exponents | 0x7f_ffff))).filter(|value| value.is_finite()).unwrap_or(1.0)
    };
    with_module(device, &planned("f32.toml", F32_CARD), Fma::Integer, |module| {
        for _ in 0..100 {
            let x = [finite(), finite()];
            let mut weights: Vec<f32> = (0..1000).flat_map(|_| [finite(), finite()]).collect();
            for _ in 0..1000 {
                let weight = finite();
                // The second product takes away most of the first.
                let opposite = Some(-(weight * x[0]) / x[1]).filter(|value| value.is_finite());
                weights.extend([weight, opposite.unwrap_or(0.0)]);
            }
            check_integer_fma(module, &weights, x);
        }
    });
}

/// Sums halfway between two f32 but for a part far below.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn the_integer_multiply_add_sees_the_smallest_part() {
    let device = device();
    let signs = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
    with_module(device, &planned("f32.toml", F32_CARD), Fma::Integer, |module| {
        // The second product is half a unit of the first in the last place, and 2^-46 of it more: (2^47 + 2) * 2^-100.
        let (a, b) = (8_392_705.0, 16_769_026.0 * 2_f32.powi(-100));
        let even = |unit: i32| 8_388_610.0 * 2_f32.powi(unit);
        let pairs = [(even(-52), a), (even(-132), a * 2_f32.powi(-80)), (f32::from_bits(6), a * 2_f32.powi(-97))];
        let rows = pairs.iter().flat_map(|(c, a)| signs.map(|(first, second)| [first * c, second * a]));
        check_integer_fma(module, &rows.flatten().collect::<Vec<_>>(), [1.0, b]);
        // The second product is halfway, and the first decides.
        let halfway = 1.0 + f32::EPSILON;
        let rows = (20..150).flat_map(|power| signs.map(|(first, second)| [first * 2_f32.powi(-power), second * halfway]));
        check_integer_fma(module, &rows.flatten().collect::<Vec<_>>(), [1.0, 1.5]);
    });
}

const F32_CARD: &str = r#"
    name = "F32"
    doc = "Plain f32."
    weights = 1
    bytes = 4
    fields.w = { at = 0, type = "f32" }
    code = { from = "w" }
"#;

/// More blocks than a launch has threads, so that threads take several.
#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn decodes_more_blocks_than_threads() {
    let device = device();
    let weights: Vec<f32> = (0..65_535 * 64 + 100).map(|index| index as f32).collect();
    let decode = |module: &Module<'_>| module.load(bytemuck::cast_slice(&weights), 1, weights.len()).unwrap().decode().unwrap();
    let found = with_module(device, &planned("f32.toml", F32_CARD), Fma::Native, decode);
    assert_equal_bits(&found, &weights, "a long row");
}

#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn empty_matrices_are_allowed() {
    let device = device();
    with_module(device, &planned("f32.toml", F32_CARD), Fma::Native, |module| {
        let no_rows = module.load(&[], 0, 8).unwrap();
        assert_eq!((no_rows.decode().unwrap(), no_rows.gemv(&[1.0; 8], 1).unwrap()), (vec![], vec![]));
        let no_columns = module.load(&[], 3, 0).unwrap();
        assert_eq!((no_columns.decode().unwrap(), no_columns.gemv(&[], 2).unwrap()), (vec![], vec![0.0; 3]));
    });
}

#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn says_what_is_wrong() {
    let device = device();
    let format = planned("f32.toml", F32_CARD);
    let dialect = dialect("wgsl");
    let text = wgsl::module(&format, &dialect).unwrap().text;
    let compile = |source: &str| {
        let kernels: Kernels<'_> = kernels(&format, &dialect, source, &[]);
        Module::new(device, &kernels, Fma::Native).map(drop)
    };
    let broken = compile(&text.replace("sum = fused(", "sum = confused(")).unwrap_err();
    assert!(matches!(&broken, Error::Compile { log } if log.contains("confused")), "{broken}");
    let lacking = compile(&text.replace("fn reduce(", "fn reduced(")).unwrap_err();
    assert!(matches!(&lacking, Error::Compile { log } if log.contains("reduce")), "{lacking}");
    let too_much = with_module(device, &format, Fma::Native, |module| module.load(&[0; 12], 2, 2).map(drop)).unwrap_err();
    assert!(matches!(too_much, Error::Size { found: 12, .. }), "{too_much}");
}
