//! Commands on files as other programs write them.

mod support;

use std::fs;
use std::path::Path;

use quantloom::gguf::{BlockShape, Gguf, Items};
use quantloom::measure::synthetic;
use quantloom::registry;
use support::sandbox::Sandbox;
use support::{Writer, array, kind, string, value};

const I32: u32 = 26;
const GIVEN_UP: u32 = 31;

/// Layers of the model.
const LAYERS: usize = 8;

fn noise(count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * at) as f32 * 0.37).sin() * 0.1).collect()
}

/// The tensors `which` of a model, after what `file` has.
fn tensors(file: Writer, which: std::ops::Range<usize>) -> Writer {
    let mut names = vec!["token_embd.weight".to_owned()];
    names.extend((0..LAYERS).flat_map(|layer| ["attn_v", "ffn_down"].map(|what| format!("blk.{layer}.{what}.weight"))));
    names.push("output.weight".to_owned());
    names[which].iter().fold(file, |file, name| file.floats(name, &[256, 16], &noise(256 * 16)))
}

fn head() -> Writer {
    Writer::default().text("general.architecture", "llama").entry(
        "llama.block_count",
        value::U32,
        &(LAYERS as u32).to_le_bytes(),
    )
}

fn part(file: Writer, number: u16) -> Writer {
    file.entry("split.no", 2, &number.to_le_bytes()).entry("split.count", 2, &2_u16.to_le_bytes()).entry(
        "split.tensors.count",
        5,
        &18_i32.to_le_bytes(),
    )
}

fn write(path: &str, file: Writer) {
    fs::write(Path::new(path), file.build()).unwrap();
}

/// Which tensors become what depends on how many layers there are, and on whether there is an output.
#[test]
fn a_model_in_two_files_is_quantised_as_the_same_in_one() {
    let sandbox = Sandbox::new();
    let [whole, one, two] = ["whole.gguf", "s-00001-of-00002.gguf", "s-00002-of-00002.gguf"].map(|name| sandbox.path(name));
    write(&whole, tensors(head(), 0..18));
    write(&one, tensors(part(head(), 0), 0..9));
    write(&two, tensors(part(Writer::default(), 1), 9..18));
    let [from_one, from_two] = ["one.gguf", "two.gguf"].map(|name| sandbox.path(name));
    sandbox.done(&["quantize", &whole, "--to", "Q4_K_M", "-o", &from_one]);
    for named in [&one, &two] {
        sandbox.done(&["quantize", named, "--to", "Q4_K_M", "-o", &from_two]);
        assert!(fs::read(&from_one).unwrap() == fs::read(&from_two).unwrap());
    }
    assert!(sandbox.done(&["inspect", &one]).contains("2 files, GGUF version 3"));
    assert_eq!(sandbox.json(&["inspect", &one, "--json"])["files"], serde_json::json!([one, two]));

    // None of the files is an output.
    let before = fs::read(&two).unwrap();
    for command in [&["quantize", "--to", "Q4_K_M"][..], &["pack"], &["decode"]] {
        let tensor = if command == ["decode"] { &["output.weight"][..] } else { &[] };
        let refused = sandbox.refused(&[command, &[&one], tensor, &["-o", &two]].concat());
        assert!(refused.contains("would overwrite the input"), "{refused}");
    }
    assert!(fs::read(&two).unwrap() == before);
    fs::remove_file(&two).unwrap();
    let refused = sandbox.refused(&["quantize", &one, "--to", "Q4_K_M", "-o", &from_two]);
    assert!(refused.contains("\"s-00002-of-00002.gguf\" missing beside it"), "{refused}");
}

#[test]
fn tensors_and_texts_that_nothing_reads_are_copied() {
    let sandbox = Sandbox::new();
    let [input, output] = ["in.gguf", "out.gguf"].map(|name| sandbox.path(name));
    let ids = (0..16_i32).flat_map(i32::to_le_bytes).collect::<Vec<_>>();
    let tokens = [string("ok"), vec![1, 0, 0, 0, 0, 0, 0, 0, 0xe9]].concat();
    let file = Writer::default()
        .text("general.architecture", "llama")
        .entry("tokens", value::ARRAY, &array(value::STRING, 2, &tokens))
        .floats("blk.0.attn_q.weight", &[256, 8], &noise(2048))
        .tensor("position_ids", &[16], I32, &ids);
    write(&input, file);
    sandbox.done(&["quantize", &input, "--to", "Q8_0", "-o", &output]);
    let copy = Gguf::open(&output).unwrap();
    let tensor = copy.tensor("position_ids").unwrap();
    assert_eq!((tensor.kind, copy.bytes(tensor, Items::of(I32).unwrap().shape()).unwrap()), (I32, &ids[..]));
    assert_eq!(copy.tensor("blk.0.attn_q.weight").unwrap().kind, kind::Q8_0);
    assert_eq!(copy.value("tokens"), Gguf::open(&input).unwrap().value("tokens"));

    let text = sandbox.done(&["inspect", &output]);
    assert!(text.contains(r#"2 values: "ok", "\xe9""#), "{text}");
    assert!(text.contains("position_ids         I32"), "{text}");
    let refused = sandbox.refused(&["decode", &output, "position_ids", "-o", &sandbox.path("x")]);
    assert!(
        refused.contains("\"position_ids\" has items of I32, which are not weights; name a tensor of weights"),
        "{refused}"
    );
}

#[test]
fn bytes_behind_the_last_tensor_are_warned_of() {
    let sandbox = Sandbox::new();
    let [input, output] = ["in.gguf", "out"].map(|name| sandbox.path(name));
    let mut bytes = Writer::default().floats("blk.0.attn_q.weight", &[256, 8], &noise(2048)).build();
    let end = bytes.len();
    bytes.extend([0xA5; 100]);
    fs::write(&input, bytes).unwrap();
    let warning = format!(
        "warning: {input}: 100 bytes from byte {end} on, behind the last tensor, \"blk.0.attn_q.weight\", belong to none; something was \
         added to the file, or to the program that wrote it type number 0 means another format: compare it with its source\n"
    );
    for arguments in [
        &["inspect", &input][..],
        &["decode", &input, "blk.0.attn_q.weight", "-o", &output],
        &["quantize", &input, "--to", "Q8_0", "-o", &output],
        &["pack", &input, "-o", &output],
        &["tune", &input, "--budget", "0"],
    ] {
        let run = sandbox.run(arguments);
        let told = String::from_utf8(run.stderr).unwrap();
        // There is nothing to choose for weights of f32, which the command says after it.
        assert!(run.status.success() == (arguments[0] != "tune") && told.starts_with(&warning), "{arguments:?}: {told}");
    }
    // A packed copy ends with its checksums, which belong to it.
    assert_eq!(sandbox.run(&["inspect", &output]).stderr, b"");
}

#[test]
fn a_type_that_was_given_up_is_named() {
    let sandbox = Sandbox::new();
    let [input, output] = ["in.gguf", "out"].map(|name| sandbox.path(name));
    let format = registry::format_by_gguf(kind::Q4_0).unwrap();
    let blocks = synthetic(format, 20, 64).unwrap();
    write(&input, Writer::default().tensor("old", &[32, 2], GIVEN_UP, &[0; 36]).tensor("new", &[64, 20], kind::Q4_0, &blocks));
    let text = sandbox.done(&["inspect", &input]);
    assert!(text.contains("Q4_0_4_4, given up") && text.contains("720"), "{text}");
    for arguments in [&["decode", &input, "old"][..], &["quantize", &input, "--to", "Q8_0", "--allow-requantize"]] {
        let refused = sandbox.refused(&[arguments, &["-o", &output]].concat());
        assert!(
            refused.contains("tensor \"old\" is Q4_0_4_4 (type number 31), which ggml gave up; fetch the Q4_0 file"),
            "{refused}"
        );
    }
    for arguments in [&["pack", &input, "-o", &output][..], &["tune", &input, "--budget", "0"]] {
        let run = sandbox.run(arguments);
        let told = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.success() && told.contains("warning: ") && told.contains("tensor \"old\" is Q4_0_4_4"), "{told}");
    }
    sandbox.done(&["decode", &input, "new", "-o", &output]);
    let mut wanted = vec![0.0; 20 * 64];
    let file = Gguf::open(&input).unwrap();
    let bytes = file.bytes(file.tensor("new").unwrap(), BlockShape::of(format).unwrap()).unwrap();
    quantloom::decode(format, 20, 64, bytes, &mut wanted).unwrap();
    assert_eq!(fs::read(&output).unwrap(), wanted.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
}

#[test]
fn an_importance_matrix_of_another_model_is_refused() {
    let sandbox = Sandbox::new();
    let [input, output, imatrix] = ["in.gguf", "out.gguf", "imatrix.gguf"].map(|name| sandbox.path(name));
    let matrix = |file: Writer, name: &str| file.floats(name, &[256, 8], &noise(2048));
    write(
        &input,
        matrix(matrix(Writer::default(), "blk.0.attn_v.weight"), "blk.0.ffn_down.weight").floats("norm", &[4], &[1.0; 4]),
    );
    let sums = |name: &str| {
        let file = Writer::default().floats(&format!("{name}.in_sum2"), &[256, 1], &[2.0; 256]);
        write(&imatrix, file.floats(&format!("{name}.counts"), &[1, 1], &[2.0]));
    };
    let quantize = ["quantize", &input, "--to", "Q4_K", "--imatrix", &imatrix, "-o", &output];
    sums("model.layers.0.self_attn.v_proj.weight");
    let refused = sandbox.refused(&quantize);
    assert!(
        refused.contains(
            "no entry for any of the 2 matrices that are quantised: the first is \"blk.0.attn_v.weight\", its own \
             \"model.layers.0.self_attn.v_proj.weight\"; make one from this model, or leave out --imatrix"
        ),
        "{refused}"
    );
    assert!(!Path::new(&output).exists());

    sums("blk.0.ffn_down.weight");
    let run = sandbox.run(&quantize);
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{told}");
    assert!(told.starts_with("warning: ") && told.lines().count() == 1, "{told}");
    assert!(told.contains("has no entry for 1 of 2 matrices (first: \"blk.0.attn_v.weight\")"), "{told}");
}
