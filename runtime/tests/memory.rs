//! Loading a model takes little more memory than its packed weights.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use quantloom::gguf::{GgufWriter, NewTensor};
use quantloom::measure::synthetic;
use quantloom::model::Model;
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::weights::Layout;
use tempfile::TempDir;

/// Tells the child which model to load, and how.
const MODEL: &str = "QUANTLOOM_TEST_MODEL";
const LAYOUT: &str = "QUANTLOOM_TEST_LAYOUT";
/// What the child's answer begins with.
const ANSWER: &str = "held and peak: ";
/// Type numbers of the tensors' formats.
const KINDS: [u32; 4] = [2, 8, 12, 14];

/// The most memory that this process has had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Writes some 200 MB of tensors; the bytes of the largest.
fn write(path: &Path) -> usize {
    let (n, k, copies) = (2048, 4096, 7);
    let formats = KINDS.map(|kind| registry::format_by_gguf(kind).unwrap());
    let stored = formats.map(|format| synthetic(format, n, k).unwrap());
    let tensors = (0..copies).flat_map(|copy| KINDS.iter().zip(&stored).map(move |(kind, stored)| (copy, *kind, stored.len())));
    let tensors = tensors.map(|(copy, kind, bytes)| NewTensor {
        name: format!("{kind}.{copy}"),
        dims: vec![k as u64, n as u64],
        kind,
        bytes,
    });
    let mut file = GgufWriter::create(path, &[], &tensors.collect::<Vec<_>>()).unwrap();
    for _ in 0..copies {
        stored.iter().for_each(|bytes| file.write(bytes).unwrap());
    }
    file.finish().unwrap();
    stored.iter().map(Vec::len).max().unwrap()
}

/// Loads a model in a process of its own: the bytes of the weights, and the most memory that the process had.
fn load(path: &Path, layout: Layout) -> (usize, usize) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["child_loads_a_model", "--exact", "--nocapture", "--include-ignored"]);
    let output = child.env(MODEL, path).env(LAYOUT, layout.name()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = text.lines().find_map(|line| Some(line.split_once(ANSWER)?.1)).unwrap_or_else(|| panic!("{text}"));
    let (held, peak) = answer.split_once(' ').unwrap();
    (held.parse().unwrap(), peak.parse().unwrap())
}

#[test]
#[ignore = "the other test runs it in a process of its own"]
fn child_loads_a_model() {
    let Some(path) = env::var_os(MODEL) else { return };
    let layout = Layout::ALL.into_iter().find(|layout| env::var(LAYOUT).is_ok_and(|name| name == layout.name())).unwrap();
    let matrices = Model::open(path).unwrap().matrices(layout, &Pool::new(2)).unwrap();
    let held: usize = matrices.iter().map(|matrix| matrix.weights.held_bytes()).sum();
    println!("{ANSWER}{held} {}", peak());
}

#[test]
fn loading_takes_the_packed_weights_and_little_more() {
    let folder = TempDir::new().unwrap();
    let (path, copy) = (folder.path().join("model.gguf"), folder.path().join("model.packed"));
    let largest = write(&path);
    let (held, peak) = load(&path, Layout::Packed);
    assert!(held > 150 << 20, "{held}");
    assert!(peak <= held + held / 10 + largest, "{peak} bytes for {held} of weights and tensors of up to {largest}");
    assert!(peak >= held, "{peak} bytes cannot hold {held}");

    // What stays in the file is read when it is needed.
    Model::open(&path).unwrap().pack(&copy, &Pool::new(2), &mut |_| {}).unwrap();
    for (path, layout) in [(&copy, Layout::Packed), (&path, Layout::Stored)] {
        let (held, peak) = load(path, layout);
        assert!(held > 150 << 20 && peak < held / 4, "{peak} bytes for {held} in the file");
    }
}
