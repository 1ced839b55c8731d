//! `quantloom quantize`: whole models.

mod support;

use std::fs;
use std::process::Output;

use quantloom::gguf::{BlockShape, Gguf, Value};
use quantloom::registry;
use serde_json::Value as Json;
use support::{Writer, array, kind, string, value};
use tempfile::TempDir;

const F16: u32 = 1;
const Q5_0: u32 = 6;
const Q3_K: u32 = 11;
const Q4_K: u32 = 12;
const Q6_K: u32 = 14;

fn quantize(args: &[&str]) -> Output {
    support::quantloom().arg("quantize").args(args).output().expect("the binary runs")
}

fn done(args: &[&str]) -> String {
    let output = quantize(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(args: &[&str]) -> String {
    let output = quantize(args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
    message
}

/// Numbers that repeat from run to run.
fn noise(count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * at) as f32 * 0.37).sin() * 0.1).collect()
}

/// A model of one layer whose rows are `k` long; `spoil` changes the weights of `ffn_down`.
fn model(k: u64, spoil: impl Fn(&mut [f32])) -> Writer {
    let matrix = |rows: u64| noise((rows * k) as usize);
    let mut down = matrix(8);
    spoil(&mut down);
    let half =
        |values: Vec<f32>| -> Vec<u8> { values.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect() };
    Writer::default()
        .text("general.architecture", "llama")
        .entry("llama.block_count", value::U32, &1_u32.to_le_bytes())
        .entry("general.file_type", value::U32, &32_u32.to_le_bytes())
        .entry("tokenizer.words", value::ARRAY, &array(value::STRING, 2, &[string("a"), string("b\u{e9}")].concat()))
        .floats("token_embd.weight", &[k, 16], &matrix(16))
        .floats("output_norm.weight", &[k], &matrix(1))
        .tensor("blk.0.attn_v.weight", &[k, 8], 30, &half(matrix(8)))
        .floats("blk.0.ffn_gate_inp.weight", &[k, 4], &matrix(4))
        .floats("blk.0.ffn_down.weight", &[k, 8], &down)
        .floats("blk.0.ffn_up_exps.weight", &[k, 4, 3], &matrix(12))
        .floats("output.weight", &[k, 16], &matrix(16))
}

/// A folder with a model in it.
struct Scene(TempDir);

impl Scene {
    fn new(model: Writer) -> Self {
        let scene = Self(TempDir::new().unwrap());
        fs::write(scene.path("in.gguf"), model.build()).unwrap();
        scene
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, more: &[&str]) -> Gguf {
        done(&[&[&self.path("in.gguf"), "-o", &self.path("out.gguf")], more].concat());
        Gguf::open(self.path("out.gguf")).unwrap()
    }

    /// Runs what must fail, and checks that nothing is left behind.
    fn fail(&self, more: &[&str]) -> String {
        let message = refused(&[&[&self.path("in.gguf"), "-o", &self.path("out.gguf")], more].concat());
        let files = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert!(files.iter().all(|name| name != "out.gguf" && !name.to_string_lossy().ends_with(".tmp")), "{files:?}");
        message
    }
}

fn kinds(file: &Gguf) -> Vec<(&str, u32)> {
    file.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor.kind)).collect()
}

fn decoded(file: &Gguf, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    let mut values = vec![0.0; tensor.k() * tensor.rows()];
    match registry::format_by_gguf(tensor.kind) {
        Some(format) => {
            let shape = BlockShape::of(format).unwrap();
            quantloom::decode(format, tensor.rows(), tensor.k(), file.bytes(tensor, shape).unwrap(), &mut values).unwrap();
        }
        None => {
            let bytes = file.bytes(tensor, BlockShape::F32).unwrap();
            values = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        }
    }
    values
}

#[test]
fn a_model_is_quantised() {
    let scene = Scene::new(model(256, |_| ()));
    let input = Gguf::open(scene.path("in.gguf")).unwrap();
    let output = scene.run(&["--to", "q3_k_s", "--threads", "2"]);
    assert_eq!(
        kinds(&output),
        [
            ("token_embd.weight", Q3_K),
            ("output_norm.weight", kind::F32),
            ("blk.0.attn_v.weight", Q3_K),
            ("blk.0.ffn_gate_inp.weight", kind::F32),
            ("blk.0.ffn_down.weight", Q3_K),
            ("blk.0.ffn_up_exps.weight", Q3_K),
            ("output.weight", Q6_K),
        ]
    );
    let mut wanted = input.metadata().to_vec();
    wanted[2].1 = Value::U32(11);
    wanted.push(("general.quantization_version".to_owned(), Value::U32(2)));
    assert_eq!(output.metadata(), wanted);
    for tensor in output.tensors() {
        let (x, y) = (decoded(&input, &tensor.name), decoded(&output, &tensor.name));
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
        let error = squares(&mut x.iter().zip(&y).map(|(x, y)| x - y)) / squares(&mut x.iter().copied());
        assert!(error < if tensor.kind == kind::F32 { 1e-30 } else { 0.04 }, "{}: {error}", tensor.name);
    }
}

#[test]
fn the_result_is_told() {
    let scene = Scene::new(model(256, |_| ()));
    let [input, output] = ["in.gguf", "out.gguf"].map(|name| scene.path(name));
    let text = done(&[&input, "--to", "Q4_K", "-o", &output]);
    assert!(text.contains("blk.0.attn_v.weight") && text.ends_with("bits per weight\n"), "{text}");
    let json: Json = serde_json::from_str(&done(&[&input, "--to", "Q4_K", "-o", &output, "--json"])).unwrap();
    assert_eq!(json["recipe"], "Q4_K");
    assert_eq!(json["tensors"][0]["to"], "Q4_K");
    assert!(json["tensors"][0]["nmse"].as_f64().unwrap() < 0.01);
    assert_eq!(json["tensors"][1]["nmse"], Json::Null);
}

#[test]
fn a_format_is_for_all_matrices() {
    let scene = Scene::new(model(256, |_| ()));
    let output = scene.run(&["--to", "Q6_K", "--pure"]);
    let matrices = output.tensors().iter().filter(|tensor| tensor.kind != kind::F32);
    assert!(matrices.clone().count() == 5 && matrices.clone().all(|tensor| tensor.kind == Q6_K));
}

#[test]
fn rows_that_are_not_whole_blocks_get_another_format() {
    let scene = Scene::new(model(96, |_| ()));
    let output = scene.run(&["--to", "Q4_K_S"]);
    assert_eq!(output.tensor("token_embd.weight").unwrap().kind, Q5_0);
    assert_eq!(output.tensor("output.weight").unwrap().kind, kind::Q8_0);
    let output = scene.run(&["--to", "Q4_K", "--pure"]);
    assert!(output.tensors().iter().filter(|tensor| tensor.kind != kind::F32).all(|tensor| tensor.kind == Q5_0));
    // Nor are they whole blocks of that.
    fs::write(scene.path("in.gguf"), model(20, |_| ()).build()).unwrap();
    let output = scene.run(&["--to", "Q4_K", "--pure"]);
    assert!(output.tensors().iter().filter(|tensor| tensor.kind != kind::F32).all(|tensor| tensor.kind == F16));
    fs::remove_file(scene.path("out.gguf")).unwrap();
    fs::write(scene.path("own.toml"), "unusual = 'Q8_0'").unwrap();
    let message = scene.fail(&["--to", "Q4_K", "--pure", "--recipe", &scene.path("own.toml")]);
    assert!(
        message.contains(
            "own.toml: rows of 20 weights in tensor \"token_embd.weight\" are whole blocks neither of Q4_K nor of what stands in for it; give \
             `unusual` a format for rows of any length"
        ),
        "{message}"
    );
}

/// An importance matrix that says that every fourth column of `blk.0.ffn_up_exps` matters, others in each of the experts.
fn imatrix(k: u64, counts: u64) -> Vec<u8> {
    let sums = (0..k * 3).map(|at| if at % 4 == at / k { 8.0 } else { 1e-3 }).collect::<Vec<_>>();
    let counts = vec![4.0; counts as usize];
    Writer::default()
        .text("general.type", "imatrix")
        .floats("blk.0.ffn_up_exps.weight.in_sum2", &[k, 3], &sums)
        .floats("blk.0.ffn_up_exps.weight.counts", &[1, counts.len() as u64], &counts)
        .build()
}

#[test]
fn columns_that_matter_come_out_better() {
    const NAME: &str = "blk.0.ffn_up_exps.weight";
    let scene = Scene::new(model(256, |_| ()));
    let input = decoded(&Gguf::open(scene.path("in.gguf")).unwrap(), NAME);
    fs::write(scene.path("imatrix.gguf"), imatrix(256, 3)).unwrap();
    let plain = decoded(&scene.run(&["--to", "Q2_K"]), NAME);
    let output = scene.run(&["--to", "Q2_K", "--imatrix", &scene.path("imatrix.gguf")]);
    let weighted = decoded(&output, NAME);
    for expert in 0..3 {
        let error = |found: &[f32]| {
            let weights = (expert * 4 * 256..(expert + 1) * 4 * 256).filter(|at| at % 4 == expert);
            weights.map(|at| (found[at] - input[at]).powi(2)).sum::<f32>()
        };
        assert!(error(&weighted) < 0.8 * error(&plain), "expert {expert}: {} {}", error(&weighted), error(&plain));
    }
    fs::remove_file(scene.path("out.gguf")).unwrap();
    fs::write(scene.path("imatrix.gguf"), imatrix(256, 2)).unwrap();
    let message = scene.fail(&["--to", "Q2_K", "--imatrix", &scene.path("imatrix.gguf")]);
    assert!(message.contains("768 sums and 2 counts") && message.contains("another model"), "{message}");
    let message = scene.fail(&["--to", "Q2_K", "--imatrix", &scene.path("in.gguf")]);
    assert!(message.contains("no importance matrix"), "{message}");
}

#[test]
fn recipes_of_ones_own() {
    let scene = Scene::new(model(256, |_| ()));
    let recipe = "[[recipe]]
name = 'mine'
file_type = 1024
format = 'Q4_K'
rules = [{ class = ['output', 'ffn_down'], to = 'F16' }, { class = ['attn_v'], first_part = 2, to = 'Q6_K' }]
";
    fs::write(scene.path("mine.toml"), recipe).unwrap();
    let output = scene.run(&["--recipe", &scene.path("mine.toml")]);
    let kind = |name: &str| output.tensor(name).unwrap().kind;
    assert_eq!(["output.weight", "blk.0.ffn_down.weight"].map(kind), [F16; 2]);
    assert_eq!(["blk.0.attn_v.weight", "token_embd.weight"].map(kind), [Q4_K; 2]);
    fs::remove_file(scene.path("out.gguf")).unwrap();
    fs::write(scene.path("mine.toml"), recipe.replace("'F16'", "'F61'")).unwrap();
    assert!(scene.fail(&["--recipe", &scene.path("mine.toml")]).contains("no format is called \"F61\""));
}

#[test]
fn wrong_inputs_are_refused() {
    let scene = Scene::new(model(256, |down| down[5 * 256 + 7] = f32::INFINITY));
    let message = scene.fail(&["--to", "Q4_K_M"]);
    assert!(message.contains("tensor \"blk.0.ffn_down.weight\": value 1287 (counted from 0) must be finite"), "{message}");
    assert!(scene.fail(&["--to", "Q4_K_N"]).contains("did you mean \"Q4_K_"));
    assert!(scene.fail(&["--to", "Q8_K_XL"]).contains("did you mean"));

    let scene = Scene::new(model(256, |_| ()));
    let message = refused(&[&scene.path("in.gguf"), "--to", "Q4_0", "-o", &scene.path("in.gguf")]);
    assert!(message.contains("would overwrite the input"), "{message}");
    assert!(refused(&[&scene.path("in.gguf"), "--to", "Q4_0", "-o", "/no/such/folder/x"]).contains("/no/such/folder/x"));
}

#[test]
fn quantised_tensors_are_quantised_again_on_request_only() {
    let scene = Scene::new(model(256, |_| ()));
    scene.run(&["--to", "Q6_K"]);
    fs::rename(scene.path("out.gguf"), scene.path("in.gguf")).unwrap();
    let message = scene.fail(&["--to", "Q8_0"]);
    assert!(message.contains("quantised already, as Q6_K") && message.contains("--allow-requantize"), "{message}");
    let output = scene.run(&["--to", "Q8_0", "--allow-requantize"]);
    assert!(output.tensors().iter().all(|tensor| [kind::F32, kind::Q8_0].contains(&tensor.kind)));
}

/// What is in the right format already stays as it is, to the bit.
#[test]
fn what_is_right_already_is_copied() {
    let scene = Scene::new(model(256, |_| ()));
    scene.run(&["--to", "Q4_K_M"]);
    let first = fs::read(scene.path("out.gguf")).unwrap();
    fs::rename(scene.path("out.gguf"), scene.path("in.gguf")).unwrap();
    scene.run(&["--to", "Q4_K_M"]);
    assert_eq!(fs::read(scene.path("out.gguf")).unwrap(), first);
}

/// Formats whose rows have headers go both ways.
#[test]
fn rows_with_headers_are_written_whole() {
    let scene = Scene::new(model(256, |_| ()));
    let input = Gguf::open(scene.path("in.gguf")).unwrap();
    let same = |output: &Gguf, kind: u32| {
        let tensors = output.tensors().iter().filter(|tensor| tensor.kind == kind).collect::<Vec<_>>();
        assert!(!tensors.is_empty());
        for tensor in tensors {
            let (x, y) = (decoded(&input, &tensor.name), decoded(output, &tensor.name));
            let error = x.iter().zip(&y).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
            assert!(error < 0.02 * x.iter().map(|x| x * x).sum::<f32>(), "{}", tensor.name);
        }
    };
    let kind = registry::format_by_name("IQ4_KS").unwrap().gguf.unwrap();
    same(&scene.run(&["--to", "IQ4_KS"]), kind);
    fs::rename(scene.path("out.gguf"), scene.path("in.gguf")).unwrap();
    same(&scene.run(&["--to", "Q8_0", "--allow-requantize"]), kind::Q8_0);
}
