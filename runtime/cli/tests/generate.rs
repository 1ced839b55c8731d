//! `generate` and `tokenize` as scripts see them.

#![cfg(feature = "models")]

mod support;

use std::process::Stdio;

use quantloom::gguf::{Gguf, GgufWriter, Value};
use quantloom::tune;
use serde_json::Value as Json;
use support::sandbox::Sandbox;
use support::{quantloom, testdata};

const PROMPT: &str = "In Rust, ownership is";

fn model() -> String {
    testdata("models/rustbook-Q4_K_M.gguf").to_str().unwrap().to_owned()
}

/// The metadata of the model alone, changed.
fn changed(sandbox: &Sandbox, change: impl FnOnce(&mut Vec<(String, Value)>)) -> String {
    let mut metadata = Gguf::open(model()).unwrap().metadata().to_vec();
    change(&mut metadata);
    let path = sandbox.path("changed.gguf");
    GgufWriter::create(&path, &metadata, &[]).unwrap().finish().unwrap();
    path
}

#[test]
fn tokens_of_a_text_are_shown() {
    let sandbox = Sandbox::new();
    let printed = sandbox.json(&["tokenize", &model(), "-p", PROMPT, "--json"]);
    assert_eq!(printed, serde_json::json!({ "tokens": [724, 474, 13, 1135, 1794, 310] }));
    let lines = sandbox.path("lines.txt");
    std::fs::write(&lines, format!("{PROMPT}\n\na\r\n")).unwrap();
    let printed = sandbox.json(&["tokenize", &model(), "--lines", &lines, "--json"]);
    assert_eq!(printed, serde_json::json!({ "lines": [[724, 474, 13, 1135, 1794, 310], [], [66, 203]] }));
    assert_eq!(sandbox.done(&["tokenize", &model(), "--lines", &lines]), "724 474 13 1135 1794 310\n\n66 203\n");
    std::fs::write(&lines, b"\xff\n").unwrap();
    assert!(sandbox.refused(&["tokenize", &model(), "--lines", &lines]).contains("no text in UTF-8"));
    let table = sandbox.done(&["tokenize", &model(), "-p", "a\n-🙂"]);
    let rows: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(rows[..4], [vec!["token", "text"], vec!["66", "\"a\""], vec!["200", "\"\\n\""], vec!["14", "\"-\""]]);
    assert!(rows[4..].iter().all(|row| row[1].contains("\\x")), "{table}");
}

#[test]
fn text_comes_on_standard_output_and_speed_beside_it() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["generate", &model(), "-p", PROMPT, "-n", "12"]);
    assert!(output.status.success(), "{output:?}");
    let [text, speed] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(
        speed.contains("prompt: 6 tokens, ") && speed.contains("; generation: 12 tokens, ") && speed.contains(" tokens/s"),
        "{speed}"
    );
    for threads in ["1", "2"] {
        let printed = sandbox.json(&["generate", &model(), "-p", PROMPT, "-n", "12", "--threads", threads, "--json"]);
        assert_eq!(text.trim_end_matches('\n'), printed["text"].as_str().unwrap().trim_end_matches('\n'));
        assert_eq!([&printed["ended"], &printed["prompt_tokens"][0]], [&Json::from("limit"), &Json::from(724)]);
        assert_eq!(printed["tokens"].as_array().unwrap().len(), 12);
    }
}

#[test]
fn the_first_use_chooses_kernels_and_says_so_in_a_line() {
    let args = ["generate", &model(), "-p", PROMPT, "-n", "12", "--threads", "1"];
    // The text, how many problems were measured, and of how many of these the answer was not kept.
    let generate = |sandbox: &Sandbox, mode: &str| {
        let output = sandbox.run_tuning(&args, mode);
        assert!(output.status.success(), "{output:?}");
        let [text, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let lines = said.lines().filter_map(|line| line.strip_prefix("note: new here: chose the fastest kernels for "));
        let lines = lines.collect::<Vec<_>>();
        assert!(lines.len() <= 1, "{said}");
        let number = |text: &str| text.split(' ').next().unwrap().parse::<usize>().unwrap();
        let measured = lines.first().map_or(0, |line| number(line));
        let restless = lines.first().and_then(|line| line.split_once("; of ")).map_or(0, |(_, rest)| number(rest));
        (text, measured, restless)
    };
    let sandbox = Sandbox::new();
    let (text, measured, _) = generate(&sandbox, "off");
    assert_eq!(measured, 0);
    assert_eq!(generate(&sandbox, "cache-only"), (text.clone(), 0, 0));
    let (tuned, measured, restless) = generate(&sandbox, "on-miss:600");
    assert!(tuned == text && measured > restless, "{measured} measured, {restless} not kept");
    // What was kept is not measured again.
    let (again, measured, _) = generate(&sandbox, "on-miss:600");
    assert_eq!((again, measured), (text, restless));
    let output = sandbox.run_tuning(&args, "sometimes");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && message.lines().count() == 1 && message.contains(tune::MODE), "{message}");
}

#[test]
fn a_model_is_measured_whole_beside_its_matrices() {
    let sandbox = Sandbox::new();
    let printed = sandbox.json(&["bench", "--model", &model(), "--threads", "1", "--json"]);
    let run = &printed["run"];
    let rows = run["rows"].as_array().unwrap().iter().map(|row| (row["what"].as_str().unwrap(), &row["tokens"]));
    // The context is shorter than the prompt that others get.
    assert_eq!(rows.collect::<Vec<_>>(), [("prompt", &Json::from(256)), ("generation", &Json::from(128))]);
    for row in run["rows"].as_array().unwrap() {
        for key in ["tokens_per_s", "matrices_tokens_per_s", "fraction_of_matrices"] {
            assert!(row[key].as_f64().unwrap() > 0.0, "{row}");
        }
    }
    assert_eq!(run["contexts_left_out"], serde_json::json!([4096, 16384]));
    assert!(run["first_token_s"].as_f64().unwrap() > 0.0 && run["open_s"].as_f64().unwrap() > 0.0);
    assert!(run["kv_bytes"].as_u64().unwrap() > 0 && run["file_bytes"] == std::fs::metadata(model()).unwrap().len());
    // What it ran in is what the matrices were measured in.
    assert!(printed["results"].as_array().unwrap().iter().all(|result| result["numerics"] == "exact"));
    let output = sandbox.run(&["bench", "--model", &model(), "--batch", "8"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_seed_draws_the_same_text_again() {
    let sandbox = Sandbox::new();
    let model = model();
    let text = |more: &[&str]| {
        let args = ["generate", &model, "-p", PROMPT, "-n", "16", "--numerics", "exact", "--kv", "f32"];
        sandbox.done(&[&args[..], more].concat())
    };
    let hot = text(&["--temperature", "0.9", "--seed", "1"]);
    assert_eq!(text(&["--temperature", "0.9", "--seed", "1", "--threads", "1"]), hot);
    assert_ne!(text(&["--temperature", "0.9", "--seed", "2"]), hot);
    assert_eq!(text(&["--temperature", "0.9", "--seed", "1", "--lookup", "8"]), hot);
    assert_eq!(text(&["--seed", "2"]), text(&[]), "without a temperature nothing is drawn");
    assert_eq!(text(&["--temperature", "0.9", "--top-k", "1"]), text(&[]));
    assert_ne!(text(&["--repeat-penalty", "2"]), text(&[]));
}

#[test]
fn what_cannot_be_generated_is_refused_in_one_line() {
    let sandbox = Sandbox::new();
    let generate = |file: &str, more: &[&str]| sandbox.refused(&[&["generate", file, "-p", "x"][..], more].concat());
    let long = "fn main() ".repeat(200);
    let why = sandbox.refused(&["generate", &model(), "-p", &long]);
    assert!(why.contains("positions are beyond the model's context of 256; give it fewer tokens"), "{why}");
    let output = sandbox.run_tuning(&["generate", &model(), "-p", &long], "on-miss");
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1, "nothing is measured for it");
    let why = generate(&model(), &["--chat", "--system", "Be brief."]);
    assert!(why.contains("it has no chat template"), "{why}");
    let without = changed(&sandbox, |metadata| metadata.retain(|(key, _)| !key.starts_with("tokenizer.")));
    assert!(generate(&without, &[]).contains("it has no tokenizer"));
    let unknown = changed(&sandbox, |metadata| {
        metadata.retain(|(key, _)| key != "tokenizer.ggml.pre");
        metadata.push(("tokenizer.ggml.pre".to_owned(), Value::String("gpt-7\u{1b}".to_owned())));
    });
    for command in ["generate", "tokenize"] {
        let why = sandbox.refused(&[command, &unknown, "-p", "x"]);
        assert!(
            why.contains("no pre-tokenizer is called \"gpt-7\\u{1b}\"; take a model with one that is: ")
                && why.contains("gpt-2"),
            "{why}"
        );
    }
    assert!(sandbox.refused(&["generate", &sandbox.path("none.gguf"), "-p", "x"]).contains("none.gguf"));
    for wrong in [["--temperature", "-1"], ["--top-p", "2"], ["--min-p", "x"], ["--repeat-penalty", "0"], ["--kv", "q1"]] {
        let output = sandbox.run(&[&["generate", &model(), "-p", "x"][..], &wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

/// The program ends by the signal that a terminal sends, and what was said before stands.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_it_and_what_was_said_stands() {
    use std::io::{Read, Write, pipe};
    use std::os::fd::AsRawFd;
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    /// What a pipe holds.
    const ROOM: usize = 1 << 16;
    /// Fewer bytes than will be said: it waits for a reader in the middle of its text.
    const LEFT: usize = 6;
    let (mut reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'.'; ROOM - LEFT]).unwrap();
    let mut command = quantloom();
    command.args(["generate", &model(), "-p", PROMPT]).env(tune::MODE, "off").stdout(writer).stderr(Stdio::null());
    let heard = || {
        // SAFETY: it takes two numbers, and may be called between fork and exec.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        Ok(())
    };
    // What a shell starts in the background ignores interrupts, and so do its children.
    // SAFETY: `heard` allocates nothing, and takes no lock.
    let mut child = unsafe { command.pre_exec(heard) }.spawn().unwrap();
    drop(command);
    let mut held = 0;
    while held <= (ROOM - LEFT) as libc::c_int {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was read");
        // SAFETY: the request writes an integer where there is one.
        assert_eq!(unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut held) }, 0);
        std::thread::yield_now();
    }
    // SAFETY: it sends a signal to a process of this test, which has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) }, 0);
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("whole characters");
    assert!(said.len() > ROOM - LEFT, "{}", said.len());
}
