//! Generates the decoders, packers and kernels of the cards in `cards/`.

fn main() {
    if let Err(error) = quantloom_codegen::Config::new().formats("cards").compile() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
