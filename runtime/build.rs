//! Puts the tables of `tables/` where the library can include them.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    println!("cargo::rerun-if-changed=tables");
    fs::write(out.join("tables.rs"), tables(Path::new("tables"))?)?;
    Ok(())
}

/// Rust source of a list of the texts in a folder, in the order of their names.
fn tables(folder: &Path) -> io::Result<String> {
    let mut paths = fs::read_dir(folder)?.map(|entry| entry?.path().canonicalize()).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let texts = paths.iter().map(|path| format!("include_str!({:?}), ", path.display().to_string()));
    Ok(format!("&[{}]", texts.collect::<String>()))
}
