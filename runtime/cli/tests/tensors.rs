//! The command line on safetensors files and on rows with headers.

mod support;

use std::path::Path;
use std::process::Output;

use quantloom::safetensors::SafeTensors;
use serde_json::Value as Json;
use support::products::nmse;
use support::tensors::{INDEX, in_two};
use support::testdata;
use tempfile::TempDir;

const PREFIX: &str = "model.layers.0.mlp.up_proj";

fn quantloom(args: &[&str]) -> Output {
    support::quantloom().args(args).output().unwrap()
}

fn done(args: &[&str]) -> String {
    let output = quantloom(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must refuse its input, and gives its message: one line.
fn refused(args: &[&str]) -> String {
    let output = quantloom(args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
    message
}

fn name_of(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn sample(file: &str) -> String {
    name_of(&testdata("tensors").join(file))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()
}

#[test]
fn inspect_lists_the_tensors() {
    let path = sample("fp8_e4m3.safetensors");
    let text = done(&["inspect", &path]);
    assert!(text.starts_with(&format!("{path}: safetensors, 112920 bytes\n")), "{text}");
    let line = text.lines().find(|line| line.contains("up_proj.weight ")).unwrap();
    assert_eq!(line.split_whitespace().skip(1).collect::<Vec<_>>(), ["F8_E4M3", "37x544", "20128"]);
    let json: Json = serde_json::from_str(&done(&["inspect", &path, "--json"])).unwrap();
    assert_eq!(json["tensors"].as_array().unwrap().len(), 5);
    assert_eq!(json["tensors"][1]["shape"], serde_json::json!([37, 1]));
}

#[test]
fn decode_and_matmul_take_a_prefix_and_a_format() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| name_of(&folder.path().join(name));
    let (x, y) = (at("x.f32"), at("y.f32"));
    for (file, rest) in
        [("gptq_3bit_g128", &["--format", "gptq-3bit-g128"][..]), ("nf4", &["--format", "NF4", "--shape", "33x320"])]
    {
        let path = sample(&format!("{file}.safetensors"));
        let open = SafeTensors::open(&path).unwrap();
        done(&[&["decode", &path, PREFIX, "-o", &y], rest].concat());
        assert!(std::fs::read(&y).unwrap() == open.tensor(&format!("{PREFIX}.dequantized")).unwrap().bytes, "{file}");
        std::fs::write(&x, open.tensor("activations").unwrap().bytes).unwrap();
        let args = ["matmul", &path, PREFIX, "--input", &x, "--batch", "5", "-o", &y, "--numerics", "exact"];
        done(&[&args[..], rest].concat());
        let error = nmse(&floats(&std::fs::read(&y).unwrap()), &floats(open.tensor("matmul").unwrap().bytes));
        assert!(error < 1e-11, "{file}: {error:e}");
    }
}

/// What every command does with a model in two safetensors files, whichever way it is named.
#[test]
fn a_model_in_several_files_is_one() {
    let folder = TempDir::new().unwrap();
    let whole = sample("gptq_4bit_g128.safetensors");
    in_two(Path::new(&whole), folder.path(), &[format!("{PREFIX}.scales")]);
    let at = |name: &str| name_of(&folder.path().join(name));
    let [first, second] = [1, 2].map(|number| at(&format!("model-{number:05}-of-00002.safetensors")));
    let (index, format) = (at(INDEX), ["--format", "GPTQ-4bit-g128"]);
    let open = SafeTensors::open(&whole).unwrap();
    let outside = TempDir::new().unwrap();
    let [x, y] = ["x.f32", "y.f32"].map(|name| name_of(&outside.path().join(name)));
    std::fs::write(&x, open.tensor("activations").unwrap().bytes).unwrap();
    for named in [&index, &first, &second, &name_of(folder.path())] {
        let text = done(&["inspect", named]);
        assert!(text.starts_with(&format!("{named}: 2 files, safetensors, ")), "{text}");
        let json: Json = serde_json::from_str(&done(&["inspect", named, "--json"])).unwrap();
        assert_eq!(
            (&json["files"], json["tensors"].as_array().unwrap().len()),
            (&serde_json::json!([first, second]), open.names().len())
        );
        done(&[&["decode", named, PREFIX, "-o", &y], &format[..]].concat());
        assert!(std::fs::read(&y).unwrap() == open.tensor(&format!("{PREFIX}.dequantized")).unwrap().bytes, "{named}");
        done(
            &[&["matmul", named, PREFIX, "--input", &x, "--batch", "5", "-o", &y, "--numerics", "exact"], &format[..]].concat(),
        );
        assert!(nmse(&floats(&std::fs::read(&y).unwrap()), &floats(open.tensor("matmul").unwrap().bytes)) < 1e-11);
        // None of the files is an output.
        for input in [&index, &first, &second] {
            let before = std::fs::read(input).unwrap();
            let decode = refused(&[&["decode", named, PREFIX, "-o", input], &format[..]].concat());
            let matmul =
                refused(&[&["matmul", named, PREFIX, "--input", &x, "--batch", "5", "-o", input], &format[..]].concat());
            assert!(
                [&decode, &matmul].iter().all(|refused| refused.contains("would overwrite the input")),
                "{decode} {matmul}"
            );
            assert!(std::fs::read(input).unwrap() == before);
        }
    }
    // Those that take GGUF files say so.
    for (named, what) in [(&index, "a JSON file"), (&first, "a safetensors file")] {
        for command in [&["quantize", named, "--to", "Q8_0", "-o", &y][..], &["pack", named, "-o", &y], &["tune", named]] {
            let refused = refused(command);
            assert!(refused.contains(&format!("{what}, not a GGUF file; open ")), "{refused}");
            assert!(
                refused.contains("convert the model to GGUF: `inspect`, `decode` and `matmul` take it under a name "),
                "{refused}"
            );
        }
    }
}

#[test]
fn rows_with_headers_are_decoded_row_by_row() {
    let folder = TempDir::new().unwrap();
    let [coded, plain] = ["coded", "plain"].map(|name| name_of(&folder.path().join(name)));
    let path = sample("iq4_ks.gguf");
    done(&["decode", &path, "quantized", "-o", &coded]);
    done(&["decode", &path, "quantized.f32", "-o", &plain]);
    assert!(std::fs::read(&coded).unwrap() == std::fs::read(&plain).unwrap());
    let message = refused(&["decode", &path, "quantized", "-o", &coded, "--format", "Q8_0"]);
    assert!(message.contains("leave out --format and --shape"), "{message}");
}

#[test]
fn what_is_missing_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let out = name_of(&folder.path().join("out.f32"));
    let path = sample("nf4.safetensors");
    let decode = |rest: &[&str]| refused(&[&["decode", &path, "-o", &out], rest].concat());
    assert!(decode(&[PREFIX]).contains("do not say the format of a matrix; name it with --format"));
    assert!(decode(&[PREFIX, "--format", "NF5"]).contains("did you mean \"NF4\"?"));
    assert!(decode(&[PREFIX, "--format", "NF4"]).contains("give its shape (`--shape NxK`)"));
    assert!(
        decode(&["model.layers.1.mlp.up_proj", "--format", "NF4"])
            .contains("did you mean \"model.layers.0.mlp.up_proj.weight\"")
    );
    let foreign = refused(&["inspect", &name_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))]);
    assert!(foreign.contains("not a GGUF file"), "{foreign}");
}
