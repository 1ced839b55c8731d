//! CUDA modules through NVRTC, and on a device where there is one.

use quantloom::gpu::cuda::{Compiler, Resources};
use quantloom_codegen::emit;

use crate::support::{dialect, formats, required};

/// Devices of the oldest and the newest generation that kernels are tuned for.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];

/// Registers of a thread with which half the threads of a device's limit still fit.
const MOST_REGISTERS: u32 = 64;

#[test]
fn every_module_compiles_without_spills_or_warnings() {
    let Some(compiler) = required(Compiler::load()) else { return };
    let dialect = dialect("cuda");
    for format in formats() {
        let source = emit::cuda::module(&format, &dialect).unwrap();
        for architecture in ARCHITECTURES {
            let what = format!("{} for {architecture}", format.card.file);
            let compiled = compiler.compile(&source, architecture).unwrap_or_else(|why| panic!("{what}: {why}"));
            eprintln!("{what}: {:?}", compiled.kernels.iter().map(|k| (k.name.as_str(), k.registers, k.spill_stores)).collect::<Vec<_>>());
            assert!(!compiled.log.contains("warning"), "{what}: {}", compiled.log);
        }
    }
}
