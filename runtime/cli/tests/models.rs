//! Commands that run a language model: what they say of a small real one, and of what they cannot run.

#![cfg(feature = "models")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use quantloom::gguf::{Array, BlockShape, Gguf, GgufWriter, NewTensor, TensorInfo};
use quantloom::registry;
use serde_json::Value as Json;
use tempfile::TempDir;

/// A text that is known in f64: its tokens, and what the model has against it.
const TEXT: &str = "In Rust, ownership is a set of rules that govern how a program manages memory. All programs have to manage the way they \
                    use a computer's memory while running.\n";

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models").join(name)
}

fn model() -> PathBuf {
    testdata("rustbook-Q4_K_M.gguf")
}

/// What is known of the text.
fn known() -> Json {
    let all: Json = serde_json::from_str(&fs::read_to_string(testdata("reference.json")).unwrap()).unwrap();
    all["rustbook-Q4_K_M.gguf"]["ownership"].clone()
}

fn ids(list: &Json) -> Vec<String> {
    list.as_array().unwrap().iter().map(Json::to_string).collect()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, command: &str, model: &Path, arguments: &[&str]) -> Output {
        let mut program = support::quantloom();
        program.arg(command).arg(model).args(arguments).current_dir(self.0.path());
        program.env("QUANTLOOM_CACHE", self.at("cache")).output().unwrap()
    }

    fn done(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, &model(), arguments);
        assert!(output.status.success(), "{command} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, command: &str, model: &Path, arguments: &[&str]) -> String {
        let output = self.run(command, model, arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command} {arguments:?}: {message}");
        assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
        message
    }
}

#[test]
fn logits_are_the_same_whatever_the_batch_and_threads() {
    let (folder, known) = (Folder::new(), known());
    let tokens = ids(&known["tokens"]).join(",");
    let exact = ["--numerics", "exact", "--kv", "f32"];
    folder.done("logits", &[&["--tokens", &tokens, "-o", "l.f32"], &exact[..]].concat());
    let bytes = fs::read(folder.at("l.f32")).unwrap();
    let values = bytes.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect::<Vec<_>>();
    let wanted = known["last_logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect::<Vec<_>>();
    assert_eq!(values.len(), 43 * wanted.len());
    let last = &values[42 * wanted.len()..];
    assert!(last.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-3));
    for more in [&["--batch", "1"][..], &["--batch", "7", "--threads", "1"], &["--isa", "scalar"]] {
        folder.done("logits", &[&["-p", TEXT, "-o", "other.f32"], &exact[..], more].concat());
        assert!(fs::read(folder.at("other.f32")).unwrap() == bytes, "{more:?}");
    }
}

#[test]
fn perplexity_is_that_of_f64() {
    let (folder, known) = (Folder::new(), known());
    fs::write(folder.at("t.txt"), TEXT).unwrap();
    let json = folder.done("perplexity", &["t.txt", "--json", "--numerics", "exact", "--kv", "f32"]);
    let result: Json = serde_json::from_str(&json).unwrap();
    let (mean, wanted) = (result["mean_nll"].as_f64().unwrap(), known["mean_nll"].as_f64().unwrap());
    assert!((mean - wanted).abs() < 1e-5, "{mean}");
    assert!((result["perplexity"].as_f64().unwrap() / mean.exp() - 1.0).abs() < 1e-12);
    assert_eq!(result["tokens"], 42);
    assert!((1.0..40.0).contains(&result["error"].as_f64().unwrap()), "{json}");
    // A text that is longer than the context is foretold in parts.
    fs::write(folder.at("long.txt"), TEXT.repeat(7)).unwrap();
    let result: Json = serde_json::from_str(&folder.done("perplexity", &["long.txt", "--json"])).unwrap();
    assert_eq!(result["tokens"], 43 * 7 - 2);
    let text = folder.done("perplexity", &["t.txt"]);
    assert!(text.starts_with("perplexity 5") && text.contains("(95%), of 42 tokens"), "{text}");
}

#[test]
fn explain_shows_what_a_model_runs() {
    let text = Folder::new().done("explain", &[]);
    for part in [
        "llama: ",
        "6 layers",
        "qkv",
        "attention",
        "4 heads over 2, of 64",
        "gated-silu",
        "ffn_down",
        "norm-linear",
        "2048x256",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A file of holes, of more weights than any machine that runs tests could hold or read.
#[test]
fn explain_reads_no_weights() {
    const LAYERS: u32 = 126;
    let folder = Folder::new();
    let format = registry::format_by_name("Q4_K").unwrap();
    let count = |key: &str, count: u32| (format!("llama.{key}"), support::value::U32, count.to_le_bytes());
    let entries = [
        count("block_count", LAYERS),
        count("embedding_length", 16384),
        count("context_length", 131_072),
        count("attention.head_count", 128),
        count("attention.head_count_kv", 8),
        ("llama.attention.layer_norm_rms_epsilon".to_owned(), support::value::F32, 1e-5_f32.to_le_bytes()),
    ];
    let mut writer = support::Writer::default().text("general.architecture", "llama");
    for (key, kind, value) in entries {
        writer = writer.entry(&key, kind, &value);
    }
    let (mut tensors, mut end) = (vec![("token_embd".to_owned(), 128_256), ("output_norm".to_owned(), 1)], 0);
    for layer in 0..LAYERS {
        let names = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up"];
        let rows = [1, 16384, 1024, 1024, 16384, 1, 53248, 53248];
        tensors.extend(names.into_iter().zip(rows).map(|(name, rows)| (format!("blk.{layer}.{name}"), rows)));
        tensors.push((format!("blk.{layer}.ffn_down"), 16384));
    }
    for (name, rows) in tensors {
        let k = if name.ends_with("down") { 53248 } else { 16384 };
        let (dims, kind, bytes) = match rows {
            1 => (vec![k], support::kind::F32, 4 * k),
            _ => (vec![k, rows], format.gguf.unwrap(), format.stored_bytes(rows as usize, k as usize).unwrap() as u64),
        };
        writer = writer.listed(&format!("{name}.weight"), &dims, kind, end);
        end += bytes.next_multiple_of(32);
    }
    let path = folder.at("large.gguf");
    fs::write(&path, writer.build()).unwrap();
    let file = fs::File::options().append(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() + end).unwrap();
    let output = folder.run("explain", &path, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("126 layers") && text.contains("53248x16384"), "{text}");
}

/// A copy of the model in which a tensor of plain numbers has another first one.
fn with_number(folder: &Folder, tensor: &str, number: f32) -> PathBuf {
    let file = Gguf::open(model()).unwrap();
    let found = file.tensor(tensor).unwrap();
    let bytes = file.bytes(found, BlockShape::F32).unwrap()[..64].to_vec();
    let mut all = fs::read(model()).unwrap();
    let places = all.windows(bytes.len()).enumerate().filter(|(_, window)| *window == bytes).map(|(at, _)| at);
    let places = places.collect::<Vec<_>>();
    assert_eq!(places.len(), 1, "{tensor}");
    all[places[0]..][..4].copy_from_slice(&number.to_le_bytes());
    fs::write(folder.at("changed.gguf"), all).unwrap();
    folder.at("changed.gguf")
}

#[test]
fn a_perplexity_that_is_no_number_is_an_error() {
    let folder = Folder::new();
    fs::write(folder.at("t.txt"), TEXT).unwrap();
    for number in [f32::NAN, f32::INFINITY] {
        let changed = with_number(&folder, "output_norm.weight", number);
        for more in [&["t.txt"][..], &["t.txt", "--json"]] {
            let message = folder.refused("perplexity", &changed, &[more, &["--numerics", "exact"]].concat());
            let wanted =
                "changed.gguf: what it gives token 474 at place 1 of part 0 of the text (counted from 0) is no number; ";
            assert!(message.contains(wanted), "{message}");
        }
    }
}

/// Every command that opens a model says the same of what is doubtful, and nothing where nothing is.
#[test]
fn what_is_doubtful_is_said_by_every_command() {
    let folder = Folder::new();
    fs::write(folder.at("t.txt"), "a text").unwrap();
    fs::write(folder.at("odd.txt"), "a text \u{1b}").unwrap();
    let lacking = lacking(&folder);
    let doubtful = folder.at("doubtful.gguf");
    fs::write(&doubtful, [fs::read(model()).unwrap(), vec![1; 100]].concat()).unwrap();
    let warnings = |model: &Path, command: &str, arguments: &[&str]| {
        let mut program = support::quantloom();
        program.arg(command).arg(model).args(arguments).current_dir(folder.0.path()).env("QUANTLOOM_CACHE", folder.at("cache"));
        let output = program.env(quantloom::tune::MODE, "off").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command}: {said}");
        said.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let commands: [(&str, &[&str], &[&str]); 5] = [
        ("generate", &["-n", "1", "-p", "a text"], &["-n", "1", "-p", "a text \u{1b}"]),
        ("logits", &["-o", "l.f32", "-p", "a text"], &["-o", "l.f32", "-p", "a text \u{1b}"]),
        ("tokenize", &["-p", "a text"], &["-p", "a text \u{1b}"]),
        ("tokenize", &["--lines", "t.txt"], &["--lines", "odd.txt"]),
        ("perplexity", &["t.txt"], &["odd.txt"]),
    ];
    for (command, plain, odd) in commands {
        assert_eq!(warnings(&lacking, command, plain), [""; 0], "{command}");
        let wanted = ["warning: the model has no tokens for a part of the text, and does not see it"];
        assert_eq!(warnings(&lacking, command, odd), wanted, "{command}");
        // Bytes that belong to no tensor.
        let said = warnings(&doubtful, command, plain);
        assert!(said.len() == 1 && said[0].contains("doubtful.gguf: 100 bytes from byte"), "{command}: {said:?}");
    }
}

/// A copy of the model whose tokenizer has no token for a byte.
fn lacking(folder: &Folder) -> PathBuf {
    let file = Gguf::open(model()).unwrap();
    let mut metadata = file.metadata().to_vec();
    let tokens = metadata.iter_mut().find(|(key, _)| key == "tokenizer.ggml.tokens").unwrap();
    let quantloom::gguf::Value::Array(Array::String(tokens)) = &mut tokens.1 else { panic!() };
    // The byte 0x1b, as tokenizers of bytes write it.
    let byte = tokens.iter().position(|token| token == "\u{11b}").unwrap();
    tokens[byte] = "<none>".to_owned();
    let new = |tensor: &TensorInfo| {
        let bytes = file.bytes(tensor, shape(tensor)).unwrap().len();
        NewTensor { name: tensor.name.clone(), dims: tensor.dims.clone(), kind: tensor.kind, bytes }
    };
    let list = file.tensors().iter().map(new).collect::<Vec<_>>();
    let path = folder.at("lacking.gguf");
    let mut writer = GgufWriter::create(&path, &metadata, &list).unwrap();
    file.tensors().iter().for_each(|tensor| writer.write(file.bytes(tensor, shape(tensor)).unwrap()).unwrap());
    writer.finish().unwrap();
    path
}

fn shape(tensor: &TensorInfo) -> BlockShape {
    registry::format_by_gguf(tensor.kind).map_or(BlockShape::F32, |format| BlockShape::of(format).unwrap())
}

#[test]
fn a_packed_model_is_explained_by_any_name() {
    let folder = Folder::new();
    folder.done("pack", &["-o", "m.packed"]);
    let text = |name: &str| {
        let output = folder.run("explain", &folder.at(name), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let wanted = text("m.packed");
    assert!(wanted.contains("llama: ") && wanted.contains("6 layers"), "{wanted}");
    fs::copy(folder.at("m.packed"), folder.at("m.gguf")).unwrap();
    assert_eq!(text("m.gguf"), wanted);
    fs::write(folder.at("text.txt"), "no model").unwrap();
    assert!(folder.refused("explain", &folder.at("text.txt"), &[]).contains("text.txt"));
    assert!(folder.refused("explain", &folder.at("none.packed"), &[]).contains("none.packed"));
}

#[test]
fn what_cannot_be_run_is_one_line() {
    let (folder, model) = (Folder::new(), model());
    let long = ["1"; 257].join(",");
    let message = folder.refused("logits", &model, &["--tokens", &long, "-o", "l.f32"]);
    assert!(message.contains("257 positions are beyond the model's context of 256"), "{message}");
    let message = folder.refused("logits", &model, &["--tokens", "1,2048", "-o", "l.f32"]);
    assert!(message.contains("no token 2048"), "{message}");
    assert!(!folder.at("l.f32").exists());
    fs::copy(&model, folder.at("own.gguf")).unwrap();
    let message = folder.refused("logits", &folder.at("own.gguf"), &["--tokens", "1", "-o", "own.gguf"]);
    assert!(message.contains("own.gguf") && fs::read(folder.at("own.gguf")).unwrap() == fs::read(&model).unwrap(), "{message}");
    fs::write(folder.at("one.txt"), "a").unwrap();
    let message = folder.refused("perplexity", &model, &["one.txt"]);
    assert!(message.contains("one.txt: there is nothing to foretell in 1 tokens"), "{message}");
    fs::write(folder.at("latin.txt"), b"caf\xe9").unwrap();
    assert!(folder.refused("perplexity", &model, &["latin.txt"]).contains("latin.txt: it is no text in UTF-8"));
    let other = support::Writer::default().text("general.architecture", "mamba").floats("plain.weight", &[4, 2], &[0.0; 8]);
    fs::write(folder.at("other.gguf"), other.build()).unwrap();
    let message = folder.refused("explain", &folder.at("other.gguf"), &[]);
    assert!(message.contains("no card describes the architecture \"mamba\"; there are cards of llama"), "{message}");
}
