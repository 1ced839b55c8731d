//! CUDA modules through NVRTC, and on a device where there is one.

use quantloom::gpu::cuda::{Compiler, Device, Module};
use quantloom_codegen::emit::cuda;

use crate::support::{Dice, assert_equal_bits, dialect, formats, kernels, product, random};

/// Two generations of devices.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];

/// With more, less than a quarter of the threads of a multiprocessor would be resident.
const MOST_REGISTERS: u32 = 128;

#[test]
#[ignore = "needs NVRTC; .ci/gpu runs it"]
fn every_module_compiles_without_spills_or_warnings() {
    let compiler = Compiler::load().unwrap();
    let dialect = dialect("cuda");
    for format in formats() {
        let source = cuda::module(&format, &dialect).unwrap();
        for architecture in ARCHITECTURES {
            let what = format!("{} for {architecture}", format.card.file);
            let compiled = compiler.compile(&source, architecture).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(!compiled.log.contains("warning"), "{what}: {}", compiled.log);
            assert!(compiled.cubin.starts_with(b"\x7fELF"), "{what}: not machine code");
            assert_eq!(compiled.kernels.len(), 3, "{what}: {}", compiled.log);
            for kernel in compiled.kernels {
                assert!(kernel.registers <= MOST_REGISTERS, "{what}: {kernel:?}");
                assert_eq!((kernel.stack, kernel.spill_stores, kernel.spill_loads), (0, 0, 0), "{what}: {kernel:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs NVRTC; .ci/gpu runs it"]
fn says_what_is_wrong_with_a_module() {
    let compiler = Compiler::load().unwrap();
    let wrong = compiler.compile("__global__ void f(int* x) { x[0] = y; }", "sm_80").unwrap_err().to_string();
    assert!(wrong.contains("identifier \"y\" is undefined"), "{wrong}");
    let unknown = compiler.compile("", "sm_1").unwrap_err().to_string();
    assert!(unknown.contains("architecture"), "{unknown}");
}

#[test]
#[ignore = "needs a CUDA device, which nothing can stand in for"]
fn computes_on_a_device_what_the_oracle_does() {
    let (device, compiler) = (Device::open().unwrap(), Compiler::load().unwrap());
    let (dialect, mut dice) = (dialect("cuda"), Dice(5));
    for format in &formats() {
        let source = cuda::module(format, &dialect).unwrap();
        let compiled = compiler.compile(&source, &device.architecture().unwrap()).unwrap();
        let sample = random(format, &dialect, &mut dice);
        let module = Module::new(&device, &kernels(sample.format, &dialect, &source, &[]), &compiled.cubin).unwrap();
        let matrix = module.load(&sample.bytes, sample.rows, sample.k).unwrap();
        assert_equal_bits(&matrix.decode().unwrap(), &sample.weights, &sample.what);
        let x = dice.vector(sample.k);
        let wanted = product(&sample.weights, &x, f32::mul_add);
        for &split in &dialect.splitk {
            assert_equal_bits(&matrix.gemv(&x, split).unwrap(), &wanted, &format!("{}, split {split}", sample.what));
        }
    }
}
