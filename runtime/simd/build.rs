//! Names the sources of this crate by one number.

use std::path::{Path, PathBuf};
use std::{fs, io};

use quantloom_abi::fnv;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=QUANTLOOM_VOCABULARY={:x}", fnv::of_text(&sources()?));
    Ok(())
}

/// The sources in the order of their names.
fn sources() -> io::Result<String> {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files)?;
    files.sort();
    files.iter().map(fs::read_to_string).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
