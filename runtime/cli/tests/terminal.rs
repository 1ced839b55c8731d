//! What files, caches and paths say never reaches a terminal, or the report, as more than text: every command that repeats it.

#![cfg(unix)]

mod support;

#[path = "../../tests/tune/support.rs"]
#[allow(dead_code, reason = "this file uses its part of it")]
mod made;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use made::entries;
use quantloom::tune::{CacheFile, Digest, Entry, Key, Record, State, Variant, VariantId};
use quantloom_spec::text::is_unseen;
use support::sandbox::Sandbox;
use support::{Writer, array, kind, string, value};

/// What a terminal obeys, of every kind: escapes, the bell, one byte that begins a sequence, another direction, ends of lines.
const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\r\nFORGED";
/// What is left of it where it is shown.
const SHOWN: &str = "]0;title";

/// Runs a command that repeats what is hostile: it is seen, obeyed by nobody, and makes no line of its own.
fn repeats(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.run(args);
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{args:?}: {code:?} {}", String::from_utf8_lossy(&output.stderr));
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let text = out + &err;
    is_tame(&text, args);
    assert!(text.contains(SHOWN), "{args:?}: {text}");
    text
}

fn is_tame(text: &str, args: &[&str]) {
    let unseen = text.chars().find(|&c| c != '\n' && is_unseen(c));
    assert!(unseen.is_none(), "{args:?}: {unseen:?} in {text}");
    assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{args:?}: {text}");
}

#[test]
fn gguf_files() {
    let sandbox = Sandbox::new();
    let words = array(value::STRING, 1, &string(HOSTILE));
    let file = Writer::default()
        .text("general.architecture", HOSTILE)
        .text(HOSTILE, HOSTILE)
        .entry("words", value::ARRAY, &words)
        .entry("bytes", value::STRING, &[&(HOSTILE.len() as u64 + 1).to_le_bytes()[..], HOSTILE.as_bytes(), &[0xff]].concat())
        .tensor(HOSTILE, &[64, 2], kind::Q4_0, &[0x5a; 72])
        .tensor(&format!("{HOSTILE}?"), &[64, 2], kind::NONE, &[0; 32]);
    let (model, packed, y) = (sandbox.path("model.gguf"), sandbox.path("model.packed"), sandbox.path("y.f32"));
    fs::write(&model, file.build()).unwrap();
    sandbox.done(&["pack", &model, "-o", &packed]);
    for file in [&model, &packed] {
        for args in [
            &["inspect", file][..],
            &["inspect", file, "--json"],
            &["decode", file, &format!("{HOSTILE}x"), "-o", &y],
            &["decode", file, &format!("{HOSTILE}?"), "-o", &y],
            &["matmul", file, &format!("{HOSTILE}?"), "--input", &model, "--batch", "1", "-o", &y],
        ] {
            repeats(&sandbox, args);
        }
    }
    repeats(&sandbox, &["quantize", &model, "--to", "Q8_0", "-o", &y]);
    let json: serde_json::Value = serde_json::from_str(&repeats(&sandbox, &["inspect", &model, "--json"])).unwrap();
    assert_eq!(json["metadata"][HOSTILE], HOSTILE);
    // What is wrong with a file.
    let twice = Writer::default().text(HOSTILE, "").text(HOSTILE, "").build();
    fs::write(&model, twice).unwrap();
    repeats(&sandbox, &["inspect", &model]);
    let within = Writer::default().tensor(HOSTILE, &[64, 2], kind::Q4_0, &[0; 72]).listed("other", &[64, 2], kind::Q4_0, 32);
    fs::write(&model, within.build()).unwrap();
    repeats(&sandbox, &["inspect", &model]);
}

#[test]
fn safetensors_files() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("model.safetensors");
    let name = serde_json::to_string(HOSTILE).unwrap();
    let info = |kind: &str| format!("{{\"dtype\":{kind},\"shape\":[4],\"data_offsets\":[0,4]}}");
    for header in [
        format!("{{{name}:{},\"__metadata__\":{{{name}:{name}}}}}", info("\"U8\"")),
        format!("{{\"a\":{}}}", info(&name)),
        format!("{{{name}:{{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[1,5]}}}}"),
        format!("{{\"a\":{name}}}"),
    ] {
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
        fs::write(&path, file).unwrap();
        repeats(&sandbox, &["inspect", &path]);
    }
}

/// The text of a cache file with an entry of any names, with the right digest.
fn forged(environment: &str, entry: &Entry) -> String {
    let header = format!("schema = 3\nenvironment = {}\n", toml::Value::from(environment));
    format!("{header}\n{}\n{}", Entry::MARK, entry.to_toml(environment).unwrap())
}

#[test]
fn caches() {
    let sandbox = Sandbox::new();
    let [right] = &entries(1, 1)[..] else { panic!("one entry") };
    let hostile = || HOSTILE.to_owned();
    let (path, out) = (sandbox.path("cache.toml"), sandbox.path("out"));
    let commands: [&[&str]; 8] = [
        &["cache", "show", "--cache", &path],
        &["cache", "show", "--cache", &path, "--json"],
        &["cache", "diff", &path, &path],
        &["cache", "diff", &path, &path, "--json"],
        &["cache", "verify", "--cache", &path, "--budget", "0"],
        &["cache", "export", &out, "--all", "--cache", &path],
        &["cache", "merge", &out, &path],
        &["report", "--no-measure", "--cache", &path, "-"],
    ];
    // Such names are none: their entries count for nothing.
    for entry in [
        Entry { kernel: hostile(), ..right.clone() },
        Entry { default: hostile(), ..right.clone() },
        Entry { system: hostile(), ..right.clone() },
        Entry { key: Key { format: hostile().into(), ..right.key.clone() }, ..right.clone() },
        Entry { key: Key { isa: hostile().into(), ..right.key.clone() }, ..right.clone() },
    ] {
        fs::write(&path, forged("anywhere", &entry)).unwrap();
        for args in &commands {
            let output = sandbox.run(args);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}");
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            is_tame(&text, args);
            assert!(!text.contains(SHOWN), "{args:?}: {text}");
        }
        let _ = fs::remove_file(&out);
    }
    // The environment has no such limits: it is looked at, not followed.
    fs::write(&path, forged(HOSTILE, right)).unwrap();
    for args in [2, 3, 7].map(|place| commands[place]) {
        repeats(&sandbox, args);
    }
    let other = sandbox.foreign("other.toml", "somewhere", &entries(1, 1));
    repeats(&sandbox, &["cache", "merge", &out, &other, &path]);
}

#[test]
fn what_is_known_of_kernels() {
    let sandbox = Sandbox::new();
    let id = VariantId { kernel: HOSTILE.into(), hash: Digest(7) };
    let variant = Variant { id, state: State::Crashed, detail: HOSTILE.to_owned() };
    sandbox.file().beside::<Variant>().merge(&[variant], Default::default()).unwrap();
    let model = support::testdata("golden").join("q4_0.gguf");
    for args in
        [&["cache", "show"][..], &["cache", "show", "--json"], &["doctor", "--budget", "0"], &["report", "--no-measure", "-"]]
    {
        repeats(&sandbox, args);
    }
    // A journal that somebody else wrote.
    let sandbox = Sandbox::new();
    let probe = sandbox.file().folder().join("probe");
    fs::create_dir_all(&probe).unwrap();
    let name = HOSTILE.replace('\n', "");
    fs::write(probe.join(Digest(7).to_string()), format!("{name}\n{}\n", Digest(7))).unwrap();
    sandbox.done(&["tune", model.to_str().unwrap(), "--budget", "0"]);
    repeats(&sandbox, &["cache", "show"]);
}

#[test]
fn paths_lists_and_cards() {
    let sandbox = Sandbox::new();
    let at = |name: &str| sandbox.path(&format!("{name}{HOSTILE}"));
    let (none, list, card, floats) = (at("none"), at("list") + ".toml", at("card") + ".toml", at("x"));
    fs::write(&list, format!("[[problem]]\nformat = {}\nn = 1\nk = 1\nbatches = [1]\n", toml::Value::from(HOSTILE))).unwrap();
    fs::write(&card, format!("name = {}\n{HOSTILE}", toml::Value::from(HOSTILE))).unwrap();
    fs::write(&floats, [0; 3]).unwrap();
    let model = at("model") + ".gguf";
    symlink(support::testdata("golden").join("q4_0.gguf"), &model).unwrap();
    let (out, packed) = (at("out"), at("packed"));
    for args in [
        &["inspect", &none][..],
        &["inspect", &model],
        &["decode", &none, "any", "-o", &out],
        &["matmul", &model, "any", "--input", &floats, "--batch", "1", "-o", &out],
        &["quantize", &none, "--to", "Q8_0", "-o", &out],
        &["quantize", &model, "--to", "Q8_0", "--imatrix", &none, "-o", &out],
        &["quantize", &model, "--recipe", &none, "--to", "Q8_0", "-o", &out],
        &["pack", &none, "-o", &out],
        &["tune", &none],
        &["tune", &list],
        &["tune", "--from", &none],
        &["check", &none],
        &["check", &card],
        &["cache", "show", "--cache", &none],
        &["cache", "export", &out, "--cache", &list],
        &["report", "--no-measure", &out, "--cache", &none],
    ] {
        repeats(&sandbox, args);
    }
    sandbox.done(&["pack", &model, "-o", &packed]);
    repeats(&sandbox, &["inspect", &packed, "--verify"]);
    // A cache in such a folder.
    let mut command = support::quantloom();
    CacheFile::new(Path::new(&none), quantloom::tune::environment()).merge(&entries(1, 1), Default::default()).unwrap();
    let output = command.args(["cache", "clear"]).env("QUANTLOOM_CACHE", &none).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    is_tame(&text, &["cache", "clear"]);
    assert!(text.contains(SHOWN), "{text}");
}
