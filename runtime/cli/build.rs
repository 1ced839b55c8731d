//! Puts the demo's model, which `demo.toml` names, where the program can include it.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=demo.toml");
    let demo: toml::Table = fs::read_to_string("demo.toml")?.parse()?;
    let model = demo["model"].as_str().ok_or("demo.toml: model is not a path")?;
    println!("cargo::rerun-if-changed={model}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    fs::copy(model, out.join("model.gguf")).map_err(|error| format!("{model}: {error}"))?;
    Ok(())
}
