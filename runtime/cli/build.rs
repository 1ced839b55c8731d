//! Says where the demo's model is, which `demo.toml` names, so that the program can include it.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=demo.toml");
    let demo: toml::Table = fs::read_to_string("demo.toml")?.parse()?;
    let model = demo["model"].as_str().ok_or("demo.toml: model is not a path")?;
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?);
    println!("cargo::rustc-env=QUANTLOOM_DEMO_MODEL={}", folder.join(model).display());
    Ok(())
}
