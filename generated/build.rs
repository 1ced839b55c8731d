//! Generates the kernels from the cards.

use quantloom_codegen::{Config, cards_dir};

fn main() {
    if let Err(error) = Config::new().cards(cards_dir()).support("crate").compile() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
