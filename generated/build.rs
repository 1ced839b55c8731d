//! Generates the kernels from the cards.

fn main() {
    if let Err(error) = quantloom_codegen::Config::new().compile() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
