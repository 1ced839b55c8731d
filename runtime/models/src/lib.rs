//! Language models from GGUF files: cards describe their architectures, the kernels of quantloom run them.

pub mod text;
