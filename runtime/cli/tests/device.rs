//! `quantloom matmul --device`: the bits of the processor, with a device and without one.
#![cfg(all(feature = "wgpu", feature = "cuda"))]

mod support;

use std::fs;
use std::path::Path;

use quantloom::gguf::Gguf;
use support::quantloom;
use support::sandbox::Sandbox;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/q4_K.gguf");

/// Multiplies three rows of activations, with some more arguments and Vulkan drivers of one's own; gives the output and what is said.
fn multiplied(sandbox: &Sandbox, arguments: &[&str], drivers: Option<&str>) -> (Vec<u8>, String) {
    let k = Gguf::open(Path::new(MODEL)).unwrap().tensor("quantized").unwrap().k();
    let x = (0..3 * k).flat_map(|index| ((index % 61) as f32 / 7.0 - 4.0).to_le_bytes()).collect::<Vec<_>>();
    let (input, output) = (sandbox.path("x.f32"), sandbox.path("y.f32"));
    fs::write(&input, x).unwrap();
    let mut command = quantloom();
    command.env("QUANTLOOM_CACHE", sandbox.cache()).args(["matmul", MODEL, "quantized", "--numerics", "exact"]);
    command.args(["--input", &input, "--batch", "3", "-o", &output]).args(arguments);
    if let Some(drivers) = drivers {
        command.env("VK_ICD_FILENAMES", drivers).env("VK_DRIVER_FILES", drivers).env("CUDA_VISIBLE_DEVICES", "");
    }
    let done = command.output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    (fs::read(output).unwrap(), said)
}

#[test]
fn without_a_device_the_processor_multiplies_and_one_line_says_so() {
    let sandbox = Sandbox::new();
    let (wanted, _) = multiplied(&sandbox, &["--isa", "scalar"], None);
    // Where there is a device for CUDA after all, a program that sees none of its kind has none.
    for (device, missing) in [("wgpu", "no Vulkan device was found: install"), ("cuda", "")] {
        let (found, said) = multiplied(&sandbox, &["--device", device], Some("/nowhere/driver.json"));
        assert_eq!(found, wanted);
        let lines = said.lines().collect::<Vec<_>>();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with(&format!("the processor multiplies: {missing}")), "{said}");
        assert!(lines[1].contains("Q4_K.") && lines[1].starts_with("3 rows"), "{said}");
    }
}

#[test]
#[ignore = "needs a Vulkan device; .ci/gpu runs it"]
fn a_device_gives_the_bits_of_the_processor() {
    let sandbox = Sandbox::new();
    let (wanted, _) = multiplied(&sandbox, &["--isa", "scalar"], None);
    let (found, said) = multiplied(&sandbox, &["--device", "wgpu"], None);
    assert_eq!(found, wanted);
    assert!(!said.contains("the processor multiplies") && said.lines().count() == 1, "{said}");
}
