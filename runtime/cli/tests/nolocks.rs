//! Commands on a file system that has no locks, as some network and user file systems have none.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod support;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use support::sandbox::Sandbox;

/// A library that takes the place of the system's call: there are no locks.
const NO_LOCKS: &str = r#"
    unsafe extern "C" { fn __errno_location() -> *mut i32; }
    #[unsafe(no_mangle)]
    pub extern "C" fn flock(_: i32, _: i32) -> i32 { unsafe { *__errno_location() = 37 }; -1 }
"#;

/// A sandbox with the library.
fn without_locks() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let [source, library] = ["nolock.rs", "nolock.so"].map(|name| PathBuf::from(sandbox.path(name)));
    fs::write(&source, NO_LOCKS).unwrap();
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let flags = ["--edition=2024", "--crate-type=cdylib", "-Cpanic=abort", "-o"];
    assert!(Command::new(compiler).args(flags).arg(&library).arg(&source).status().unwrap().success());
    (sandbox, library)
}

fn run(sandbox: &Sandbox, library: &PathBuf, args: &[&str]) -> Output {
    support::quantloom().args(args).env("QUANTLOOM_CACHE", sandbox.cache()).env("LD_PRELOAD", library).output().unwrap()
}

#[test]
fn nobody_is_blamed_for_locks_that_there_are_not() {
    let (sandbox, library) = without_locks();
    let list = sandbox.path("list.toml");
    fs::write(&list, "[[problem]]\nformat = \"Q4_0\"\nn = 64\nk = 256\nbatches = [1]\nthreads = 1\n").unwrap();
    sandbox.done(&["tune", &list, "--budget", "0.05"]);
    let folder = sandbox.file().path().parent().unwrap().to_owned();
    assert!(folder.is_dir());

    let doctor = run(&sandbox, &library, &["doctor"]);
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert!(text.contains("none here: No locks available"), "{text}");
    let clear = run(&sandbox, &library, &["cache", "clear"]);
    assert!(clear.status.success(), "{}", String::from_utf8_lossy(&clear.stderr));
    assert!(!folder.exists());

    // What is measured is not kept, and that is said.
    let tune = run(&sandbox, &library, &["tune", &list, "--budget", "0.05"]);
    let told = String::from_utf8(tune.stderr).unwrap();
    assert!(tune.status.success() && told.contains("(no locks here: No locks available (os error 37))"), "{told}");
    assert!(told.contains("; set QUANTLOOM_CACHE to a folder on a file system that has them"), "{told}");
}
