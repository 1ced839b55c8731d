//! Tests that run again in processes of their own: such a process knows from its environment which part of the test it is.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use quantloom::tune;

use crate::program::program;

/// Tells a child process which part of a test it is.
const PART: &str = "QUANTLOOM_TEST_PART";

/// A process that does a part of a test, with this cache folder.
pub fn child(test: &str, cache: &Path, part: usize) -> Command {
    let mut child = program(env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env(tune::VARIABLE, cache).env(PART, part.to_string());
    child
}

/// The part that this process is to do, if it is a child.
pub fn part() -> Option<usize> {
    env::var(PART).ok().map(|part| part.parse().unwrap())
}

/// Runs parts of a test in order, each in a process of its own with this cache folder; in such a process, runs its part.
pub fn parts(test: &str, cache: &Path, parts: &[fn()]) {
    parts_with(test, cache, &[], parts);
}

/// As [`parts`], with environment variables.
pub fn parts_with(test: &str, cache: &Path, variables: &[(&str, &str)], parts: &[fn()]) {
    if let Some(part) = part() {
        return parts[part]();
    }
    for part in 0..parts.len() {
        done(&child(test, cache, part).envs(variables.iter().copied()).output().unwrap(), part);
    }
}

/// What a child printed that must have ended well.
pub fn done(output: &Output, part: usize) -> String {
    assert!(output.status.success(), "part {part}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
