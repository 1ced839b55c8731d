//! Puts the demo's model, which `defaults.toml` names, and the tables of `tables/` where the program can include them.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=defaults.toml");
    let defaults: toml::Table = fs::read_to_string("defaults.toml")?.parse()?;
    let model = defaults["demo"]["model"].as_str().ok_or("defaults.toml: demo.model is not a path")?;
    println!("cargo::rerun-if-changed={model}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    fs::copy(model, out.join("model.gguf")).map_err(|error| format!("{model}: {error}"))?;
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
