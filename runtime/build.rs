//! Puts the demo's model, which `defaults.toml` names, where the program can include it.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=defaults.toml");
    let defaults: toml::Table = fs::read_to_string("defaults.toml")?.parse()?;
    let model = defaults["demo"]["model"].as_str().ok_or("defaults.toml: demo.model is not a path")?;
    println!("cargo::rerun-if-changed={model}");
    let to = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("model.gguf");
    fs::copy(model, to).map_err(|error| format!("{model}: {error}"))?;
    Ok(())
}
