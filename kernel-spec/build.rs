//! Embeds the tables, so that a program can read its cards without the source tree.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new("tables").canonicalize()?;
    println!("cargo::rerun-if-changed=tables");
    let mut paths = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut rows = String::new();
    for path in &paths {
        let name = path.file_stem().unwrap_or_default();
        rows += &format!("({name:?}, include_str!({path:?})),\n");
    }
    let to = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("tables.rs");
    fs::write(to, format!("[\n{rows}]\n"))
}
