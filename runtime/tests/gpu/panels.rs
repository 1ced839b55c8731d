//! Modules for panels through NVRTC, as the assembler sees them.

use std::collections::BTreeMap;

use quantloom::gpu::cuda::Compiler;
use quantloom_codegen::emit::device;
use quantloom_codegen::{Config, Set, cards_dir};
use quantloom_spec::model::Format;

/// Generations of devices: every fourth class is compiled for one of them, by turns.
const ARCHITECTURES: [&str; 3] = ["sm_90", "sm_80", "sm_120"];

/// Bytes that a thread keeps on the stack, at most: some words for eight columns, which take all 255 registers in some classes.
const MOST_SPILLED: u32 = 64;

/// A format of every packed class.
fn formats() -> Vec<Format> {
    let plan = Config::new().cards(cards_dir()).variants(Set::Default).plan().unwrap();
    let packed = plan.formats.into_iter().filter_map(|format| Some((format.class?.0, format.card.format)));
    packed.collect::<BTreeMap<_, _>>().into_values().collect()
}

#[test]
#[ignore = "needs NVRTC; .ci/gpu runs it"]
fn classes_compile_with_hardly_a_spill_and_no_warning() {
    let compiler = Compiler::load().unwrap();
    for (format, architecture) in formats().iter().step_by(4).zip(ARCHITECTURES.into_iter().cycle()) {
        let module = device::module(format, "cuda").unwrap();
        let what = format!("{} for {architecture}", format.name);
        let compiled = compiler.compile(&module.text, architecture).unwrap_or_else(|why| panic!("{what}: {why}"));
        // A prelude has all words, and a format needs some of them.
        let mut warnings = compiled.log.lines().filter(|line| line.contains("warning #") && !line.contains("never referenced"));
        assert_eq!(warnings.next(), None, "{what}: {}", compiled.log);
        let named = |name: &String| compiled.kernels.iter().any(|kernel| kernel.name == *name);
        assert!(module.manifest.entries.iter().all(|entry| named(&entry.name)), "{what}: {}", compiled.log);
        assert_eq!(compiled.kernels.len(), module.manifest.entries.len(), "{what}: {}", compiled.log);
        for kernel in compiled.kernels {
            if kernel.spill_stores > 0 {
                println!("{what}: {kernel:?}");
            }
            assert!(kernel.stack.max(kernel.spill_stores).max(kernel.spill_loads) <= MOST_SPILLED, "{what}: {kernel:?}");
        }
    }
}
