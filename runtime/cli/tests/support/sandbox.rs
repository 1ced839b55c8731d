//! The command line with a cache of its own.

use std::path::{Path, PathBuf};
use std::process::Output;

use quantloom::tune::{self, CacheFile, Entry};
use serde_json::Value as Json;
use tempfile::TempDir;

use super::quantloom;

/// A cache of its own for each test.
pub struct Sandbox(TempDir);

impl Sandbox {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn run(&self, args: &[&str]) -> Output {
        // Models are not measured in every test that runs one.
        self.run_tuning(args, "cache-only")
    }

    /// Runs a command that measures when that mode says so.
    pub fn run_tuning(&self, args: &[&str], mode: &str) -> Output {
        let mut command = quantloom();
        command.args(args).env("QUANTLOOM_CACHE", self.cache()).env(tune::MODE, mode).output().unwrap()
    }

    pub fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must refuse its input, and gives its message: one line.
    pub fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
        assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
        message
    }

    pub fn json(&self, args: &[&str]) -> Json {
        serde_json::from_str(&self.done(args)).unwrap()
    }

    /// The folder of the cache.
    pub fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// A place for a file.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// The cache file of this machine.
    pub fn file(&self) -> CacheFile {
        CacheFile::new(&self.cache(), tune::environment())
    }

    /// Adds entries to it.
    pub fn remember(&self, entries: &[Entry]) {
        self.file().merge(entries, Default::default()).unwrap();
    }

    /// Writes a cache file from elsewhere; its path.
    pub fn foreign(&self, name: &str, environment: &str, entries: &[Entry]) -> String {
        let path = self.path(name);
        CacheFile::at(Path::new(&path), environment).write("", &[], entries).unwrap();
        path
    }
}
