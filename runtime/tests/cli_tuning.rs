//! The commands that measure, as scripts see them. Nothing here depends on how fast the machine is.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use quantloom::registry;
use quantloom::tune::{self, CacheFile, State, Variant, VariantId};
use serde_json::Value as Json;
use tempfile::TempDir;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/models/rustbook-Q4_K_M.gguf");

/// A cache of its own for each test.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = support::program::quantloom();
        command.args(args).env("QUANTLOOM_CACHE", self.0.path()).output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Json {
        serde_json::from_str(&self.done(args)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn bench_prints_one_result_per_format_shape_and_batch() {
    let document = Sandbox::new().json(&[
        "bench",
        "--format",
        "q4_k",
        "--format",
        "Q8_0",
        "--shape",
        "64x256",
        "--shape",
        "32x512",
        "--batch",
        "1,3",
        "--threads",
        "1",
        "--json",
    ]);
    let machine = &document["machine"];
    for key in ["read_gbps", "int8_gops", "f32_gflops"] {
        assert!(machine[key].as_f64().unwrap() > 0.0, "{machine}");
    }
    assert_eq!(machine["threads"], 1);
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 2 * 2 * 2);
    for result in results {
        assert_eq!(result["source"], "default");
        assert_eq!(result["numerics"], "int8");
        assert!(result["min_us"].as_f64().unwrap() <= result["median_us"].as_f64().unwrap());
        assert!(result["variant"].as_str().unwrap().starts_with(result["format"].as_str().unwrap()));
    }
    let first = &results[0];
    assert_eq!((&first["n"], &first["k"], &first["batch"]), (&64.into(), &256.into(), &1.into()));
}

#[test]
fn bench_takes_a_variant_an_isa_and_a_class() {
    let sandbox = Sandbox::new();
    let common = ["bench", "--format", "Q4_K", "--shape", "64x256", "--batch", "2", "--threads", "1", "--json"];
    let with = |more: &[&str]| sandbox.json(&[&common, more].concat())["results"][0].clone();
    let scalar = with(&["--isa", "scalar"]);
    assert_eq!(scalar["isa"], "scalar");
    let name = "Q4_K.panel.exact.scalar.r16c4";
    let pinned = with(&["--variant", name]);
    assert_eq!((&pinned["variant"], &pinned["source"], &pinned["numerics"]), (&name.into(), &"pin".into(), &"exact".into()));
}

#[test]
fn bench_refuses_what_does_not_exist() {
    let sandbox = Sandbox::new();
    for wrong in
        [&["--format", "q4_kk"][..], &["--format", "Q4_K", "--shape", "64x100"], &["--isa", "avx9"], &["--variant", "none"]]
    {
        let output = sandbox.run(&[&["bench"], wrong].concat());
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{wrong:?}");
    }
}

#[test]
fn tuning_covers_every_matrix_and_the_cache_shows_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.done(&["cache", "path"]);
    assert!(Path::new(path.trim()).starts_with(sandbox.0.path()), "{path}");
    assert_eq!(sandbox.done(&["cache", "show"]).lines().count(), 1, "an empty cache is a heading");

    let choices = sandbox.json(&["tune", MODEL, "--budget", "3", "--json"])["choices"].as_array().unwrap().clone();
    assert!(choices.len() >= 12, "{}", choices.len());
    for choice in &choices {
        assert!(choice["quarantined"].as_array().unwrap().is_empty(), "{choice}");
        assert!(choice["variant"].as_str().unwrap().starts_with(choice["format"].as_str().unwrap()), "{choice}");
    }
    let tuned = choices.iter().filter(|choice| choice["source"] == "tuned").count();
    let shown = sandbox.done(&["cache", "show"]);
    assert_eq!(shown.lines().filter(|line| line.ends_with("ready")).count(), tuned, "{shown}");

    let again = sandbox.json(&["tune", MODEL, "--budget", "0", "--json"])["choices"].as_array().unwrap().clone();
    assert_eq!(again.iter().filter(|choice| choice["source"] == "cache").count(), tuned);
}

/// The kernels of the file about kernels, with their states.
fn states(sandbox: &Sandbox) -> Vec<(String, State)> {
    let entries = PathBuf::from(sandbox.done(&["cache", "path"]).trim());
    let file = CacheFile::new(sandbox.0.path(), tune::environment());
    assert_eq!(file.path(), entries);
    let records = file.beside::<Variant>().read();
    assert_eq!(records.unreadable, 0);
    records.entries.into_iter().map(|variant| (variant.id.kernel.into_owned(), variant.state)).collect()
}

#[test]
fn kernels_are_tried_in_a_process_of_their_own_before_anything_is_measured() {
    let sandbox = Sandbox::new();
    // A process was killed while it ran this kernel: here it is tried again.
    let format = registry::format_by_name("Q4_K").unwrap();
    let isa = registry::kernel_isa(format, registry::default_numerics(format), registry::best_isa());
    let mut kernels = registry::kernels(format).iter();
    let kernel = kernels.rfind(|kernel| kernel.isa.name == isa.name && kernel.numerics.name() == "int8").unwrap();
    let id = VariantId::of(kernel);
    let folder = CacheFile::new(sandbox.0.path(), tune::environment()).folder().join("probe");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("any"), format!("{}\n{}\n", id.kernel, id.hash)).unwrap();

    let output = sandbox.run(&["tune", MODEL, "--budget", "0"]);
    if support::program::is_emulated() {
        // An emulator does not emulate the processes that a program starts.
        assert!(output.status.success());
        return;
    }
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("quarantined"));
    let states = states(&sandbox);
    assert!(states.len() > 5 && states.iter().any(|(name, _)| name == kernel.name), "{states:?}");
    assert!(states.iter().all(|(_, state)| *state == State::Passed), "{states:?}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    assert_eq!(sandbox.done(&["cache", "show"]).lines().count(), 1);
}

#[test]
fn what_is_probed_is_a_kernel_of_this_build() {
    let sandbox = Sandbox::new();
    assert!(!sandbox.done(&["--help"]).contains("probe"), "it is for the program itself");
    let mut command = support::program::quantloom();
    let mut child = command.arg("probe").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"none 0123456789abcdef\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.lines().count() == 1 && told.contains("none 0123456789abcdef"), "{told}");
}

/// What `matmul` writes does not depend on the instruction set, the variant or the threads, nor a row on its batch.
#[test]
fn matmul_writes_the_same_bits_however_it_is_done() {
    let sandbox = Sandbox::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/golden/q6_K.gguf");
    let (x, y) = (sandbox.path("x.f32"), sandbox.path("y.f32"));
    let values = (0..32 * 512).map(|index| (index * 7919 % 1009) as f32 / 500.0 - 1.0).collect::<Vec<f32>>();
    let run = |batch: usize, more: &[&str]| {
        let bytes = values[..batch * 512].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        std::fs::write(&x, bytes).unwrap();
        let batch = batch.to_string();
        let (x, y_name) = (x.to_str().unwrap(), y.to_str().unwrap());
        sandbox.done(&[&["matmul", file, "random", "--input", x, "--batch", &batch, "-o", y_name], more].concat());
        std::fs::read(&y).unwrap()
    };
    for numerics in ["exact", "int8"] {
        let wanted = run(32, &["--numerics", numerics, "--isa", "scalar", "--threads", "1"]);
        assert_eq!(wanted.len(), 32 * 4 * 4);
        for threads in ["1", "2"] {
            assert!(run(32, &["--numerics", numerics, "--threads", threads]) == wanted, "{numerics} {threads}");
        }
        for batch in [1, 7] {
            assert!(run(batch, &["--numerics", numerics]) == wanted[..batch * 16], "{numerics} {batch}");
        }
    }
}
