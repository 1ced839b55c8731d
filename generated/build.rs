//! Generates the kernels from the cards.

use std::env;
use std::path::Path;

use quantloom_codegen::{Config, cards_dir};

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
}
