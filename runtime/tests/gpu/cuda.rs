//! CUDA: what its compiler says, and products on a device where there is one.

use quantloom::gpu::Multiply;
use quantloom::gpu::cuda::panels::Module;
use quantloom::gpu::cuda::{Compiler, Device};
use quantloom::registry;
use quantloom::testing::Definition;
use quantloom_codegen::emit::device;

use crate::inputs::{assert_same, columns, decoded, formats, packed, shapes};

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
fn computes_on_a_device_as_it_is_defined() {
    let (device, compiler) = (Device::open().unwrap(), Compiler::load().unwrap());
    for format in formats() {
        let card = registry::model(format).unwrap();
        let kernels = device::panel_kernels(card, "cuda").unwrap();
        let numerics = kernels.numerics.clone();
        // SAFETY: they are as the generator has written them.
        let module = unsafe { Module::new(&device, &compiler, kernels) }.unwrap();
        let definition = Definition::new(card);
        for (n, k) in shapes(format) {
            let (stored, packed) = packed(format, n, k);
            let matrix = module.load(&packed, n, k).unwrap();
            assert_same(&matrix.decode().unwrap(), &decoded(format, n, k, &stored), format.name);
            let rows = definition.rows(format, n, k, &stored);
            for &numerics in &numerics {
                for batch in [1, 2, 9, 70] {
                    let x = columns(batch, k);
                    let wanted = x.chunks(k).flat_map(|x| rows.iter().map(|row| row.product(numerics, x))).collect::<Vec<_>>();
                    let mut y = vec![f32::NAN; batch * n];
                    assert!(matrix.multiply(&x, batch, &mut y, numerics).unwrap(), "all activations are finite");
                    assert_same(&y, &wanted, &format!("{}, {numerics}, N {n}, K {k}, batch {batch}", format.name));
                }
            }
        }
    }
}
