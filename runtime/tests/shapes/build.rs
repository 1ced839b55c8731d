//! Generates the decoders, packers and kernels of the cards in `cards/`, of which a few variants are enough. It warns of the one card
//! that no kernel covers, which is a shape to test as well.

fn main() {
    if let Err(error) = quantloom_codegen::Config::new().formats("cards").kernels("kernels").compile() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
