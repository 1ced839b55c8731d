//! Modules for panels through NVRTC, as the assembler sees them.

use std::collections::BTreeMap;

use quantloom::gpu::cuda::{Compiled, Compiler};
use quantloom_codegen::emit::device::{self, Entry, Module};
use quantloom_codegen::{Config, Set, cards_dir};
use quantloom_spec::model::Format;

use crate::part::only;
use crate::sass::Instructions;

/// Generations of devices: every fourth class is compiled for one of them, by turns.
const ARCHITECTURES: [&str; 3] = ["sm_90", "sm_80", "sm_120"];

/// Bytes that a thread with a row keeps on the stack, at most: compilers load so much ahead that some words for eight columns do not fit.
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
        check_resources(&compiled, &module.manifest.entries, &what);
        check_loads(&module, &Instructions::of(&compiled.cubin), &what);
    }
}

/// No thread that multiplies matrices keeps anything on a stack, and others hardly anything; none has more registers than is said.
fn check_resources(compiled: &Compiled, entries: &[Entry], what: &str) {
    for kernel in &compiled.kernels {
        let most_spilled = if kernel.name.starts_with("gemm_") { 0 } else { MOST_SPILLED };
        assert!(kernel.stack.max(kernel.spill_stores).max(kernel.spill_loads) <= most_spilled, "{what}: {kernel:?}");
        let most = entries.iter().find(|entry| entry.name == kernel.name).and_then(|entry| entry.registers);
        assert!(most.is_none_or(|most| kernel.registers as usize <= most), "{what}: {kernel:?}");
    }
}

/// Kernels with a row a thread load codes 16 bytes at a time: each plane of them at least once.
fn check_loads(module: &Module, instructions: &Instructions, what: &str) {
    let planes = module.manifest.weights.fields.iter().filter(|field| field.name.starts_with("codes")).count();
    for entry in module.manifest.entries.iter().filter(|entry| entry.name.starts_with("gemv_")) {
        let (wide, narrow) = (instructions.count(&entry.name, "LDG.E.128"), instructions.count(&entry.name, "LDG.E.U8"));
        assert!(wide >= planes, "{what}: {} loads 16 bytes in {wide} places", entry.name);
        let words = if entry.name.starts_with("gemv_int8") { "IDP.4A" } else { "FFMA" };
        assert!(instructions.count(&entry.name, words) > narrow, "{what}: {} loads bytes in {narrow} places", entry.name);
    }
}

/// Products of matrices of every class, for a generation of devices by turns.
#[test]
#[ignore = "needs NVRTC and nvdisasm; .ci/gpu runs it"]
fn products_of_matrices_stay_in_registers() {
    let compiler = Compiler::load().unwrap();
    let mut count = 0;
    for (format, architecture) in formats().iter().zip(ARCHITECTURES.into_iter().cycle()) {
        let module = device::module(format, "cuda").unwrap();
        let entries = &module.manifest.entries;
        let products = entries.iter().filter(|entry| entry.name.starts_with("gemm_")).collect::<Vec<_>>();
        if products.is_empty() {
            assert!(!module.manifest.numerics.contains(&"int8"), "{} has no product of matrices", format.name);
            continue;
        }
        let what = format!("{} for {architecture}", format.name);
        let text = only(&module.text, entries, |name| name.starts_with("gemm_"));
        let compiled = compiler.compile(&text, architecture).unwrap_or_else(|why| panic!("{what}: {why}"));
        check_resources(&compiled, entries, &what);
        let instructions = Instructions::of(&compiled.cubin);
        for product in products {
            let count = |begin| instructions.count(&product.name, begin);
            assert!(
                count("IMMA") > 0 && count("LDSM") > 0 && count("LDGSTS") > 0,
                "{what}: {} has not the words it is made of",
                product.name
            );
            // Scales of rows may be converted, and no dots of cells, of which an instruction makes four for a thread. Beside one of those
            // are at most two for mins.
            let dots = count("IMMA") / if text.contains("multiply_mins(") { 3 } else { 1 };
            assert!(count("I2F") < 4 * dots, "{what}: {} converts {} integers", product.name, count("I2F"));
        }
        count += 1;
    }
    assert!(count > 0, "there are classes with products of bytes");
    println!("{count} classes");
}
