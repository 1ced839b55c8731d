//! Language models from GGUF files: cards describe their architectures, the kernels of quantloom run them.
//!
//! The logits of a position are a function of the model, of the tokens up to it and of the options alone, to the last bit: whatever the
//! batch, the threads and the instruction set, and whoever else is in a call.

mod cards;
mod embedding;
mod error;
mod experts;
mod forward;
mod generation;
mod metadata;
mod model;
mod outline;
mod plan;
mod prefixes;
mod ropes;
mod saved;
mod sequence;
mod settings;
mod step;
mod tensors;
pub mod text;

pub use cards::architectures;
pub use error::{Error, Result};
pub use forward::{Logits, Part, Wanted};
pub use generation::{End, Generated, Generation};
pub use model::{LanguageModel, Options};
pub use outline::{Line, Outline};
pub use prefixes::Prefixes;
pub use sequence::Sequence;
