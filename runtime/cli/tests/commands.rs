//! The command line as scripts see it: exit status, standard output, standard error, files.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::operation;
use quantloom::registry::{self, Format, Numerics};
use serde_json::Value as Json;
use support::{Writer, files, kind, sample, testdata};
use tempfile::TempDir;

fn quantloom(args: &[&str]) -> Output {
    support::quantloom().args(args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// Runs a command that must succeed, and gives its standard output.
fn done(args: &[&str]) -> String {
    let output = quantloom(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command that must refuse its input, and gives its message: one line.
fn refused(args: &[&str]) -> String {
    let output = quantloom(args);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
    assert!(message.starts_with("error: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(output.stdout.is_empty(), "{args:?} printed something");
    message
}

/// A folder for the files of one test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> String {
        name_of(&self.0.path().join(name))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("the file is written");
        path
    }
}

fn name_of(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()
}

/// The golden files whose format has a card, as paths.
fn golden() -> Vec<PathBuf> {
    let known = |path: &PathBuf| {
        let file = Gguf::open(path).unwrap();
        registry::format_by_gguf(file.tensor("quantized").unwrap().kind).is_some()
    };
    let known: Vec<_> = files("golden").into_iter().filter(known).collect();
    assert!(!known.is_empty(), "no golden file has a card");
    known
}

/// The values of an f32 tensor.
fn plain(file: &Gguf, name: &str) -> Vec<f32> {
    floats(file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap())
}

#[test]
fn decode_gives_the_golden_bits() {
    let folder = Folder::new();
    let out = folder.path("out.f32");
    for path in golden() {
        let file = Gguf::open(&path).unwrap();
        for (stored, expected) in [("source", "source"), ("quantized", "quantized.f32"), ("random", "random.f32")] {
            done(&["decode", &name_of(&path), stored, "-o", &out]);
            let expected = file.bytes(file.tensor(expected).unwrap(), BlockShape::F32).unwrap();
            assert!(fs::read(&out).unwrap() == expected, "{}: {stored}", path.display());
        }
    }
}

#[test]
fn matmul_is_as_accurate_as_ggml() {
    let folder = Folder::new();
    let out = folder.path("y.f32");
    for path in golden() {
        let file = Gguf::open(&path).unwrap();
        let kind = file.tensor("quantized").unwrap().kind;
        if registry::format_by_gguf(kind).is_none_or(|format| format.packed.is_none()) {
            continue;
        }
        let activations = file.bytes(file.tensor("activations").unwrap(), BlockShape::F32).unwrap();
        let input = folder.file("x.f32", activations);
        let path = name_of(&path);
        done(&["matmul", &path, "quantized", "--input", &input, "--batch", "5", "-o", &out]);
        let found = nmse(&floats(&fs::read(&out).unwrap()), &plain(&file, "matmul.exact"));
        let ggml = file.value("golden.ggml_matmul_nmse").unwrap().as_f64().unwrap();
        assert!(found <= 1.05 * ggml.max(1e-12), "{path}: {found:e}, ggml {ggml:e}");
    }
}

fn nmse(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let sum = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let mut errors = found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b));
    sum(&mut errors) / sum(&mut expected.iter().copied().map(f64::from))
}

#[test]
fn damaged_models_are_refused() {
    let folder = Folder::new();
    let out = folder.path("out.f32");
    let decode = |name: &str, tensor: &str| {
        assert!(!Path::new(&out).exists(), "an output was left behind");
        refused(&["decode", name, tensor, "-o", &out])
    };
    let whole = sample();
    let short = folder.file("short.gguf", &whole[..100]);
    assert!(decode(&short, "plain").contains("cut short"));
    let tail = folder.file("tail.gguf", &whole[..whole.len() - 1]);
    assert!(decode(&tail, "scalar").contains(r#"tensor "scalar": 4 bytes from byte"#));
    let greedy = Writer::default().listed("huge", &[32, 1 << 40], kind::Q8_0, 0);
    let greedy = folder.file("greedy.gguf", &greedy.build());
    assert!(decode(&greedy, "huge").contains("the file ends at"));
    assert!(refused(&["inspect", &greedy]).contains("the file ends at"));
    let ragged = Writer::default().tensor("ragged", &[33], kind::Q8_0, &[0; 68]);
    let ragged = folder.file("ragged.gguf", &ragged.build());
    assert!(decode(&ragged, "ragged").contains("not whole blocks of 32"));
    let foreign = Writer::default().tensor("foreign", &[32], kind::NONE, &[0; 32]);
    let foreign = folder.file("foreign.gguf", &foreign.build());
    assert!(decode(&foreign, "foreign").contains("type number 4242"));
    let other = folder.file("other.gguf", b"PK\x03\x04");
    assert!(decode(&other, "any").contains("not a GGUF file"));
    assert!(decode(&folder.path("none.gguf"), "any").contains("none.gguf: "));
    assert!(decode(&name_of(folder.0.path()), "any").contains("no safetensors file is in this folder; name a model file"));
    let sample = folder.file("sample.gguf", &whole);
    assert!(decode(&sample, "plian").contains(r#"did you mean "plain"?"#));
    assert!(decode(&sample, "nothing like it").contains("`quantloom inspect` lists"));
}

#[test]
fn wrong_matmuls_are_refused() {
    let folder = Folder::new();
    let out = folder.path("y.f32");
    let model = Writer::default().tensor("weights", &[64, 2], kind::Q4_0, &[0; 72]).floats("plain", &[64], &[0.0; 64]);
    let model = folder.file("model.gguf", &model.build());
    let matmul = |tensor: &str, values: &[f32], more: &[&str]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let input = folder.file("x.f32", &bytes);
        let args = ["matmul", &model, tensor, "--input", &input, "--batch", "2", "-o", &out];
        refused(&[&args, more].concat())
    };
    assert!(matmul("weights", &[0.0; 192], &[]).ends_with("it is a batch of 3\n"));
    assert!(matmul("weights", &[0.0; 65], &[]).contains("must be a multiple of 64"));
    assert!(matmul("weights", &[], &[]).contains("must be a multiple of 64"));
    assert!(matmul("plain", &[0.0; 128], &[]).contains("plain f32"));
    let mut infinite = [0.0; 128];
    infinite[70] = f32::INFINITY;
    assert!(matmul("weights", &infinite, &[]).contains("activation 70 "));
    assert!(matmul("weights", &[0.0; 128], &["--isa", "z80"]).contains("z80"));
    assert!(matmul("weights", &[0.0; 128], &["--kernel", "none"]).contains("there is "));
    let ragged = folder.file("ragged.f32", &[0; 7]);
    let args = ["matmul", &model, "weights", "--input", &ragged, "--batch", "2", "-o", &out];
    assert!(refused(&args).contains("7 bytes are not whole f32"));
    let args = ["matmul", &model, "weights", "--input", "no.f32", "--batch", "2", "-o", &out];
    assert!(refused(&args).starts_with("error: no.f32: "));
    assert!(!Path::new(&out).exists(), "an output was left behind");
}

#[test]
fn a_format_without_int8_names_the_other_class() {
    let folder = Folder::new();
    let has = |format: &registry::Format, class| registry::kernels(format).iter().any(|kernel| kernel.numerics == class);
    for format in registry::formats().filter(|format| has(format, Numerics::Exact) && !has(format, Numerics::Int8)) {
        let Some(kind) = format.gguf else { continue };
        let k = format.block_weights;
        let model = Writer::default().tensor("weights", &[k as u64], kind, &vec![0; format.stored_bytes(1, k).unwrap()]);
        let model = folder.file("model.gguf", &model.build());
        let input = folder.file("x.f32", &vec![0; 4 * k]);
        let out = folder.path("y.f32");
        let args = ["matmul", &model, "weights", "--input", &input, "--batch", "1", "-o", &out];
        let message = refused(&[&args[..], &["--numerics", "int8"]].concat());
        assert!(message.contains("exact"), "{message}");
        done(&args);
    }
}

#[test]
fn the_input_is_not_overwritten() {
    let folder = Folder::new();
    let model = folder.file("model.gguf", &sample());
    assert!(refused(&["decode", &model, "plain", "-o", &model]).contains("overwrite the input"));
    assert_eq!(fs::read(&model).unwrap(), sample());
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        &["no-such-command"][..],
        &["inspect"],
        &["decode", "a.gguf", "tensor"],
        &["decode", "a.gguf", "tensor", "-o"],
        &["matmul", "a.gguf", "t", "--input", "x", "--batch", "0", "-o", "y"],
        &["matmul", "a.gguf", "t", "--input", "x", "--batch", "-1", "-o", "y"],
        &["matmul", "a.gguf", "t", "--input", "x", "--batch", "1", "-o", "y", "--numerics", "fast"],
        &["matmul", "a.gguf", "t", "--input", "x", "--batch", "1", "-o", "y", "--threads", "0"],
        &["bench", "--shape", "4096"],
        &["bench", "--batch", "1,0"],
        &["tune", "a.gguf", "--budget", "-3"],
        &["cache", "no-such-action"],
        &["check"],
        &["formats", "--jsno"],
    ] {
        let output = quantloom(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands =
        ["formats", "inspect", "decode", "matmul", "bench", "tune", "cache", "check", "explain", "pack", "doctor", "report"];
    let general = done(&["--help"]);
    for command in commands {
        assert!(general.contains(&format!("\n  {command} ")), "{command} is not listed");
        let help = done(&[command, "--help"]);
        assert!(help.contains(&format!(": quantloom {command}")), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 108), "{help}");
    }
    assert!(done(&["--version"]).starts_with("quantloom "));
}

#[test]
fn packed_copies_multiply_like_their_models() {
    let folder = Folder::new();
    let (copy, out) = (folder.path("model.packed"), folder.path("y.f32"));
    for path in golden() {
        let file = Gguf::open(&path).unwrap();
        let kind = file.tensor("quantized").unwrap().kind;
        if registry::format_by_gguf(kind).is_none_or(|format| format.packed.is_none()) {
            continue;
        }
        let activations = file.bytes(file.tensor("activations").unwrap(), BlockShape::F32).unwrap();
        let (path, input) = (name_of(&path), folder.file("x.f32", activations));
        let product = |file: &str, more: &[&str]| {
            let args = ["matmul", file, "quantized", "--input", &input, "--batch", "5", "-o", &out];
            done(&[&args[..], more].concat());
            fs::read(&out).unwrap()
        };
        assert!(done(&["pack", &path, "-o", &copy]).contains(" tensors packed"));
        let wanted = product(&path, &[]);
        assert!(product(&copy, &[]) == wanted, "{path}");
        assert!(product(&path, &["--layout", "stored"]) == wanted, "{path}");
    }
    assert!(done(&["inspect", &copy]).contains(", packed"));
    let packed: Json = serde_json::from_str(&done(&["inspect", &copy, "--json"])).unwrap();
    assert_eq!(packed["packed"], true);
    assert!(done(&["tune", &copy, "--budget", "0", "--json"]).contains("choices"));
    assert!(refused(&["pack", &copy, "-o", &folder.path("again")]).contains("packed already"));
    assert!(refused(&["pack", &copy, "-o", &copy]).contains("the output would overwrite the input"));
    assert!(refused(&["decode", &copy, "quantized", "-o", &out]).contains("decode the model that it was packed from"));
    assert!(refused(&["quantize", &copy, "--to", "Q8_0", "-o", &out]).contains("this is a packed copy"));
    let stored = ["matmul", &copy, "quantized", "--layout", "stored", "--input", &out, "--batch", "1", "-o", &out];
    assert!(refused(&stored).starts_with("error: "));
}

#[test]
fn json_is_one_document() {
    let parse = |args: &[&str]| serde_json::from_str::<Json>(&done(args)).expect("one document");
    let formats = parse(&["formats", "--json"]);
    let formats = formats["formats"].as_array().unwrap();
    assert_eq!(formats.len(), registry::formats().count());
    assert!(formats.iter().all(|format| format["bits_per_weight"].as_f64().unwrap() > 0.0));

    let folder = Folder::new();
    let model = folder.file("model.gguf", &sample());
    let listing = parse(&["inspect", &model, "--json"]);
    assert_eq!(listing["metadata"]["sample.words"][1], "two");
    assert_eq!(listing["tensors"][0]["name"], "plain");
    assert_eq!(listing["tensors"][0]["type"], "F32");
    assert_eq!(listing["tensors"][0]["bytes"], 24);
}

#[test]
fn inspect_lists_what_there_is() {
    let folder = Folder::new();
    let model = Writer::default().text("some.key", "a\nb").floats("plain", &[3, 2], &[0.0; 6]).tensor(
        "foreign",
        &[32],
        kind::NONE,
        &[0; 32],
    );
    let model = folder.file("model.gguf", &model.build());
    let text = done(&["inspect", &model]);
    let lines: Vec<_> = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in ["some.key a\\nb", "plain F32 2x3 24", "foreign type 4242 32 ?", "F32 1 6 24"] {
        assert!(lines.iter().any(|l| l == line), "no {line:?} in {text}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let model = name_of(&files("models")[0]);
    let mut child = support::quantloom()
        .args(["inspect", &model, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn explain_takes_names_in_any_case() {
    for format in registry::formats() {
        let text = done(&["explain", &format.name.to_uppercase()]);
        assert!(text.starts_with(&format!("{}: {}\n", format.name, format.doc)), "{text}");
        assert_eq!(text, done(&["explain", &format.name.to_lowercase()]));
    }
    assert!(refused(&["explain", "no such format"]).contains("no format is called"));
}

#[test]
fn explain_takes_operations() {
    for operation in operation::all() {
        let text = done(&["explain", &operation.name.to_uppercase()]);
        assert!(text.starts_with(&format!("{}: ", operation.name)), "{text}");
        assert!(text.contains(&operation.projections.to_string()), "{text}");
        assert_eq!(operation.epilogue.bias, text.contains("plus a bias"), "{text}");
        assert!(operation.epilogue.activation.is_none_or(|function| text.contains(function.name)), "{text}");
    }
}

#[test]
fn check_tells_right_cards_from_wrong_ones() {
    let cards = testdata("../kernel-spec");
    let card = |name: &str| name_of(&cards.join(name));
    let right = card("formats/q4_0.toml");
    for card in [&right, &card("formats/iq2_s.toml"), &card("formats/tensors/nf4.toml"), &card("formats"), &name_of(&cards)] {
        assert!(done(&["check", card]).ends_with(": right\n"), "{card}");
    }
    for folder in ["isa", "gpu", "kernels", "operations", "processors"] {
        for entry in fs::read_dir(cards.join(folder)).unwrap() {
            done(&["check", &name_of(&entry.unwrap().path())]);
        }
    }

    let folder = Folder::new();
    let wrong = fs::read_to_string(&right).unwrap().replace("weights", "wieghts");
    let wrong = folder.file("wrong.toml", wrong.as_bytes());
    let output = quantloom(&["check", &wrong, &right, "none.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("wrong.toml") && message.contains("did you mean"), "{message}");
    assert!(message.contains("error: none.toml: "), "{message}");
    assert!(text(&output.stdout).contains(": right\n"), "the right card is checked too");
}

/// Blocks of 48: no kernel takes those.
const ODD: &str = r#"
name    = "Odd"
doc     = "48 weights of 8 bits under an f16."
weights = 48
bytes   = 50
index   = { lane = 1 }

[fields]
d = { at = 0, type = "f16" }
q = { at = 2, type = "i8[48]" }

[code]
from = "q"
item = { lane = 1 }

[scale]
from = "d"
"#;

/// What `check` and `explain` say of it.
const NO_KERNEL: &str = "no kernel covers blocks of 48 weights: they divide 512, or are multiples of 32";

#[test]
fn check_warns_of_a_card_without_kernels() {
    let folder = Folder::new();
    let odd = folder.file("odd.toml", ODD.as_bytes());
    for path in [&odd, &name_of(folder.0.path())] {
        let output = quantloom(&["check", path]);
        assert!(output.status.success());
        assert_eq!(text(&output.stdout), format!("{path}: right\n"));
        assert_eq!(text(&output.stderr), format!("warning: Odd can be decoded only: {NO_KERNEL}\n"));
    }
    let covered = ODD.replace("48 weights", "64 weights").replace("i8[48]", "i8[64]");
    let covered = covered.replace("= 48", "= 64").replace("= 50", "= 66");
    let output = quantloom(&["check", &folder.file("even.toml", covered.as_bytes())]);
    assert_eq!((output.status.success(), text(&output.stderr)), (true, String::new()));
}

#[test]
fn explain_takes_cards_of_ones_own() {
    let folder = Folder::new();
    let odd = done(&["explain", &folder.file("odd.toml", ODD.as_bytes())]);
    assert!(odd.starts_with("Odd: 48 weights of 8 bits under an f16.\nNot in GGUF files.\n"), "{odd}");
    assert!(
        odd.contains("value  = scale * code\n") && odd.ends_with(&format!("kernels           none: {NO_KERNEL}\n")),
        "{odd}"
    );

    // What a build made of it is what is shown before there is a build.
    let built_in = |format: &&'static Format| format.gguf.is_some() && format.packed.is_some() && format.tables.is_empty();
    let built_in = registry::formats().find(built_in).unwrap();
    let card = done(&["explain", &folder.file("card.toml", built_in.card.as_bytes())]);
    assert!(card.contains("packed as ") && done(&["explain", built_in.name]).starts_with(&card), "{card}");

    let wrong = quantloom(&["explain", &folder.file("wrong.toml", ODD.replace("weights =", "wieghts =").as_bytes())]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("did you mean `weights`?"), "{}", text(&wrong.stderr));
    assert!(refused(&["explain", "none.toml"]).contains("none.toml: "));
}

#[test]
fn build_scripts_print_what_check_prints() {
    let folder = Folder::new();
    let card = include_str!("../../../examples/own-format/cards/tree3.toml").replace("lane = 3", "lane = 4");
    let path = folder.file("wrong.toml", card.as_bytes());
    let printed = text(&quantloom(&["check", &path]).stderr);
    let error = quantloom_codegen::Config::new().formats(folder.0.path()).plan().unwrap_err();
    assert_eq!(printed, format!("{error}\n"));
    assert!(printed.contains("wrong.toml:13:") && printed.contains('^'), "{printed}");
}
