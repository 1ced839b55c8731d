//! WGSL modules against golden files, the oracle and the plain form of a product.

use std::path::Path;
use std::sync::OnceLock;

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::gpu::wgpu::{Device, Fma, Module};
use quantloom::gpu::{Error, Kernels};
use quantloom_codegen::plan::PlannedFormat;
use quantloom_spec::eval;

use crate::support::{Dice, Generated, assert_equal_bits, exact, formats, golden_files, required};

/// A device for all tests.
fn device() -> Option<&'static Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    DEVICE.get_or_init(|| required(Device::open())).as_ref()
}

#[test]
fn decodes_the_golden_files() {
    let Some(device) = device() else { return };
    let formats = formats();
    for path in golden_files() {
        let file = Gguf::open(&path).unwrap();
        let kind = file.tensor("quantized").unwrap().kind;
        let format = formats.iter().find(|format| format.card.format.gguf == Some(kind)).expect("a card for the file");
        for name in ["quantized", "random"] {
            check_golden(device, format, &file, name, &path);
        }
    }
}

fn check_golden(device: &Device, format: &PlannedFormat, file: &Gguf, name: &str, path: &Path) {
    let generated = Generated::wgsl(format);
    let module = Module::new(device, &generated.kernels(), device.fma()).unwrap();
    let tensor = file.tensor(name).unwrap();
    let bytes = file.bytes(tensor, generated.kernels().block).unwrap();
    let wanted = file.bytes(file.tensor(&format!("{name}.f32")).unwrap(), BlockShape::F32).unwrap();
    let wanted: Vec<f32> = bytemuck::pod_collect_to_vec(wanted);
    let found = module.load(bytes, tensor.rows(), tensor.k()).unwrap().decode().unwrap();
    assert_equal_bits(&found, &wanted, &format!("{}, {name}", path.display()));
}

#[test]
fn decodes_every_format_as_the_oracle_does() {
    let Some(device) = device() else { return };
    let mut dice = Dice::new(1);
    for format in formats() {
        let generated = Generated::wgsl(&format);
        let module = Module::new(device, &generated.kernels(), device.fma()).unwrap();
        let bytes = dice.blocks(&format, 133, f32::INFINITY);
        let found = module.load(&bytes, 7, 19 * format.decoder.weights).unwrap().decode().unwrap();
        assert_equal_bits(&found, &eval::decode_blocks(&format.card.format, &bytes), &format.card.file);
    }
}

/// Rows enough for two groups, the second of them part full; three segments, the last of them short.
#[test]
fn multiplies_every_format_with_equal_bits_for_every_split() {
    let Some(device) = device() else { return };
    let mut dice = Dice::new(2);
    for format in formats() {
        let generated = Generated::wgsl(&format);
        let (rows, k) = (70, 1280);
        let bytes = dice.blocks(&format, rows * k / format.decoder.weights, 1e6);
        let x = dice.vector(k);
        let wanted = exact(&eval::decode_blocks(&format.card.format, &bytes), &x, f32::mul_add);
        let module = Module::new(device, &generated.kernels(), device.fma()).unwrap();
        let matrix = module.load(&bytes, rows, k).unwrap();
        for &split in generated.splits() {
            let found = matrix.gemv(&x, split).unwrap();
            assert_equal_bits(&found, &wanted, &format!("{}, split {split}", format.card.file));
        }
    }
}
