//! The commands that measure, as scripts see them. Nothing here depends on how fast the machine is.

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use quantloom::registry;
use quantloom::tune::{State, Variant, VariantId};
use support::sandbox::Sandbox;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook-Q4_K_M.gguf");

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
        assert!(["default", "model"].contains(&result["source"].as_str().unwrap()), "{result}");
        assert_eq!(result["numerics"], "int8");
        assert!(result["min_us"].as_f64().unwrap() <= result["median_us"].as_f64().unwrap());
        assert!(result["kernel"].as_str().unwrap().starts_with(result["format"].as_str().unwrap()));
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
    let pinned = with(&["--kernel", name]);
    assert_eq!((&pinned["kernel"], &pinned["source"], &pinned["numerics"]), (&name.into(), &"pin".into(), &"exact".into()));
}

#[test]
fn bench_refuses_what_does_not_exist() {
    let sandbox = Sandbox::new();
    for wrong in
        [&["--format", "q4_kk"][..], &["--format", "Q4_K", "--shape", "64x100"], &["--isa", "avx9"], &["--kernel", "none"]]
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
    assert!(Path::new(path.trim()).starts_with(sandbox.cache()), "{path}");
    assert_eq!(sandbox.done(&["cache", "show"]).lines().count(), 1, "an empty cache is a heading");

    let choices = sandbox.json(&["tune", MODEL, "--budget", "3", "--json"])["choices"].as_array().unwrap().clone();
    assert!(choices.len() >= 12, "{}", choices.len());
    for choice in &choices {
        assert!(choice["quarantined"].as_array().unwrap().is_empty(), "{choice}");
        assert!(choice["kernel"].as_str().unwrap().starts_with(choice["format"].as_str().unwrap()), "{choice}");
    }
    let tuned = choices.iter().filter(|choice| choice["source"] == "tuned").count();
    let shown = sandbox.done(&["cache", "show"]);
    assert_eq!(shown.lines().filter(|line| line.ends_with("ready")).count(), tuned, "{shown}");

    let again = sandbox.json(&["tune", MODEL, "--budget", "0", "--json"])["choices"].as_array().unwrap().clone();
    assert_eq!(again.iter().filter(|choice| choice["source"] == "cache").count(), tuned);
}

/// The kernels of the file about kernels, with their states.
fn states(sandbox: &Sandbox) -> Vec<(String, State)> {
    assert_eq!(sandbox.file().path(), Path::new(sandbox.done(&["cache", "path"]).trim()));
    let records = sandbox.file().beside::<Variant>().read();
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
    let kernel = kernels.rfind(|kernel| kernel.isa().name == isa.name && kernel.numerics.name() == "int8").unwrap();
    let id = VariantId::of(kernel);
    let folder = sandbox.file().folder().join("probe");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(id.hash.to_string()), format!("{}\n{}\n", id.kernel, id.hash)).unwrap();

    let output = sandbox.run(&["tune", MODEL, "--budget", "0"]);
    if support::program::is_emulated() {
        // An emulator does not emulate the processes that a program starts.
        assert!(output.status.success());
        return;
    }
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.lines().all(|line| line.starts_with("note: there was no time")), "{told}");
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
    let mut command = support::quantloom();
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
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/golden/q6_K.gguf");
    let (x, y) = (sandbox.path("x.f32"), sandbox.path("y.f32"));
    let values = (0..32 * 512).map(|index| (index * 7919 % 1009) as f32 / 500.0 - 1.0).collect::<Vec<f32>>();
    let run = |batch: usize, more: &[&str]| {
        let bytes = values[..batch * 512].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        fs::write(&x, bytes).unwrap();
        let batch = batch.to_string();
        sandbox.done(&[&["matmul", file, "random", "--input", &x, "--batch", &batch, "-o", &y], more].concat());
        fs::read(&y).unwrap()
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

/// A list of problems that take no time, of two instruction sets.
fn list(sandbox: &Sandbox) -> String {
    let path = sandbox.path("list.toml");
    let problem = |n: usize, more: &str| format!("[[problem]]\nformat = 'Q4_K'\nn = {n}\nk = 512\nbatches = [1, 8]\n{more}\n");
    fs::write(&path, problem(96, "isa = 'scalar'\nnumerics = 'exact'") + &problem(1000, "threads = 1")).unwrap();
    path
}

/// Where the choices came from.
fn sources(document: &serde_json::Value) -> Vec<&str> {
    document["choices"].as_array().unwrap().iter().map(|choice| choice["source"].as_str().unwrap()).collect()
}

#[test]
fn a_list_is_tuned_without_a_model() {
    let sandbox = Sandbox::new();
    let list = list(&sandbox);
    let document = sandbox.json(&["tune", &list, "--budget", "1000", "--json"]);
    let choices = document["choices"].as_array().unwrap();
    let shapes = choices.iter().map(|choice| (choice["n"].as_u64().unwrap(), choice["numerics"].as_str().unwrap()));
    assert_eq!(shapes.collect::<Vec<_>>(), [(1000, "int8"), (1000, "int8"), (96, "exact"), (96, "exact")]);
    assert_eq!((&choices[0]["threads"], &choices[2]["isa"]), (&1.into(), &"scalar".into()));
    assert!(sources(&document).iter().all(|source| ["tuned", "unsteady"].contains(source)), "{document}");
    // What was measured is known from then on, unless it is to be measured again.
    let kept = sources(&document).iter().filter(|source| **source == "tuned").count();
    let again = sandbox.json(&["tune", &list, "--budget", "0", "--json"]);
    assert_eq!(sources(&again).iter().filter(|source| **source == "cache").count(), kept);
    let forced = sandbox.json(&["tune", &list, "--budget", "1000", "--force", "--effort", "quick", "--json"]);
    assert!(sources(&forced).iter().all(|source| ["tuned", "unsteady"].contains(source)), "{forced}");
    let most = forced["choices"].as_array().unwrap().iter().flat_map(|choice| choice["timings"].as_array().unwrap());
    assert!(most.map(|timing| timing["rounds"].as_u64().unwrap()).max() <= Some(4), "{forced}");
}

#[test]
fn arguments_go_before_what_a_list_says() {
    let sandbox = Sandbox::new();
    let with = ["--budget", "0", "--batch", "3", "--isa", "scalar", "--numerics", "exact", "--threads", "2", "--json"];
    let document = sandbox.json(&[&["tune", &list(&sandbox)], &with[..]].concat());
    for choice in document["choices"].as_array().unwrap() {
        let found = ["batch", "isa", "numerics", "threads"].map(|key| choice[key].to_string());
        assert_eq!(found, ["\"2-4\"", "\"scalar\"", "\"exact\"", "2"], "{choice}");
    }
}

#[test]
fn what_there_was_no_time_for_is_left_as_a_list() {
    let sandbox = Sandbox::new();
    let left = sandbox.file().path().with_file_name("untuned.toml");
    let output = sandbox.run(&["tune", &list(&sandbox), "--budget", "0"]);
    let note = String::from_utf8(output.stderr).unwrap();
    let command = format!("quantloom tune --from '{}'", left.display());
    assert!(output.status.success() && note.contains("no time for 4 problems") && note.contains(&command), "{note}");
    assert!(left.exists());
    // A model adds to it.
    sandbox.run(&["tune", MODEL, "--budget", "0", "--batch", "1"]);
    let text = fs::read_to_string(&left).unwrap();
    assert!(text.matches("[[problem]]").count() > 2, "{text}");
    let document = sandbox.json(&["tune", "--from", left.to_str().unwrap(), "--budget", "1000", "--json"]);
    assert!(sources(&document).len() > 4);
    assert!(!left.exists(), "all is known, in memory at least");
}

#[test]
fn a_wrong_list_is_refused_with_its_line() {
    let sandbox = Sandbox::new();
    let path = list(&sandbox);
    let text = fs::read_to_string(&path).unwrap().replace("threads = 1", "thread = 1");
    fs::write(&path, text).unwrap();
    let message = sandbox.refused(&["tune", &path]);
    assert!(message.contains("list.toml: line 13: unknown field `thread`"), "{message}");
    assert!(sandbox.refused(&["tune", &sandbox.path("none.toml")]).contains("none.toml"));
    assert_eq!(sandbox.run(&["tune"]).status.code(), Some(2));
    assert_eq!(sandbox.run(&["tune", &path, "--from", &path]).status.code(), Some(2));
}

#[test]
fn absurd_numbers_are_refused_by_what_they_may_be() {
    let sandbox = Sandbox::new();
    let path = list(&sandbox);
    let text = fs::read_to_string(&path).unwrap();
    let batches = text.lines().find(|line| line.starts_with("batches")).unwrap();
    for (from, to, why) in [
        (batches, "batches = [9223372036854775807]", "batches: a batch is from 1 to 131072, not 9223372036854775807"),
        ("k = ", "k = 1073741824 # ", "k: a number of columns is from 1 to 1048576, not 1073741824"),
        ("n = ", "n = 9223372036854775807 # ", "n: a number of rows is from 1 to 1073741824"),
        ("threads = 1", "threads = 1000000", "threads: a number of threads is from 1 to 4096, not 1000000"),
    ] {
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let message = sandbox.refused(&["tune", &path, "--budget", "0"]);
        assert!(message.contains(why), "{message}");
    }
    let file = sandbox.path("x.f32");
    for args in [
        &["tune", MODEL, "--batch", "9223372036854775807"][..],
        &["tune", MODEL, "--threads", "1000000"],
        &["bench", "--shape", "256x256", "--batch", "9223372036854775807"],
        &["bench", "--shape", "9223372036854775807x256"],
        &["bench", "--shape", "256x9223372036854775807"],
        &["bench", "--shape", "256x256", "--threads", "1000000"],
        &["matmul", MODEL, "any", "--input", &file, "--batch", "9223372036854775807", "-o", &file],
        &["cache", "explain", "any", "256x256", "--batch", "9223372036854775807"],
        &["cache", "explain", "any", "0x256"],
        &["pack", MODEL, "-o", &file, "--threads", "1000000"],
        &["quantize", MODEL, "--to", "any", "-o", &file, "--threads", "1000000"],
    ] {
        let output = sandbox.run(args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && message.starts_with("error: invalid value"), "{args:?}: {message}");
    }
    // What memory does not hold is an error, not an end.
    let message = sandbox.refused(&["bench", "--shape", "1073741824x1048576", "--batch", "1"]);
    assert!(message.contains("bytes of memory are not to be had"), "{message}");
}

#[test]
fn ten_thousand_problems_are_told_apart_at_once() {
    let sandbox = Sandbox::new();
    let (path, one) = (sandbox.path("many.toml"), fs::read_to_string(list(&sandbox)).unwrap());
    let first = one.split("[[problem]]").nth(1).unwrap();
    let n = first.lines().find(|line| line.starts_with("n ")).unwrap();
    let many = (1..=10_000).map(|number| format!("[[problem]]{}", first.replace(n, &format!("n = {}", 32 * number))));
    fs::write(&path, many.collect::<String>()).unwrap();
    let document = sandbox.json(&["tune", &path, "--budget", "0", "--json"]);
    assert!(sources(&document).len() >= 10_000);
}

#[test]
fn the_list_of_the_8b_model_is_right() {
    let sandbox = Sandbox::new();
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/shapes/llama-3.1-8b-q4_k_m.toml");
    let document = sandbox.json(&["tune", list, "--budget", "0", "--json"]);
    let sources = sources(&document);
    assert_eq!(sources.len(), 7 * 4);
    // Some processors have a table.
    assert!(sources.iter().all(|source| ["untuned", "shipped", "relative"].contains(source)), "{sources:?}");
}
