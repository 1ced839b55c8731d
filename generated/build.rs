//! Generates the kernels from the cards.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use quantloom_codegen::{Config, cards_dir, hash};

/// The environment variable that names a list of the only kernels to build, as `quantloom cache prune` writes it. A relative path
/// begins at the root of the repository.
const VARIANTS: &str = "QUANTLOOM_VARIANTS";

/// The environment variable that names formats to build kernels of, where not every build, or no list, has them: separated by commas.
const FORMATS: &str = "QUANTLOOM_FORMATS";

fn main() {
    println!("cargo::rerun-if-env-changed={VARIANTS}");
    println!("cargo::rerun-if-env-changed={FORMATS}");
    let asked = env::var(FORMATS).unwrap_or_default();
    let asked = asked.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut config = Config::new().cards(cards_dir()).support("crate").kernels_of(asked);
    if let Some(list) = env::var_os(VARIANTS).filter(|list| !list.is_empty()) {
        config = config.variants_from(Path::new("..").join(list));
    }
    if let Err(error) = config.compile() {
        eprintln!("{error}");
        std::process::exit(1);
    }
    let vocabulary = vocabulary().expect("the sources of this crate can be read");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=QUANTLOOM_VOCABULARY={:x}", hash(&vocabulary));
}

/// The sources of this crate, in the order of their names: the words that generated kernels are written in.
fn vocabulary() -> io::Result<String> {
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
