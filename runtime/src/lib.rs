//! Fused kernels for quantised language models, generated from cards.
//!
//! ```no_run
//! use quantloom::{gguf::{BlockShape, Gguf}, matmul::{Request, matmul}, pool::Pool, registry, weights::Weights};
//!
//! # fn main() -> quantloom::Result<()> {
//! let file = Gguf::open("model.gguf")?;
//! let tensor = file.tensor("output.weight")?;
//! let format = registry::format_by_gguf(tensor.kind).expect("a format with a card");
//! let bytes = file.bytes(tensor, BlockShape { weights: format.block_weights, bytes: format.block_bytes })?;
//! let weights = Weights::pack(format, tensor.rows(), tensor.k(), bytes, Pool::global())?;
//!
//! let x = vec![0.5; weights.k()];
//! let mut y = vec![0.0; weights.n()];
//! let used = matmul(&weights, &x, 1, &mut y, &Request::default(), Pool::global())?;
//! println!("{} ({})", used.kernel.name, used.source);
//! # Ok(())
//! # }
//! ```

mod buffer;
pub mod defaults;
pub mod encode;
mod error;
pub mod gguf;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub mod gpu;
pub mod imatrix;
pub mod machine;
pub mod matmul;
pub mod measure;
pub mod pool;
pub mod recipes;
pub mod registry;
pub mod tune;
pub mod weights;

pub use error::{Error, Result};
use registry::Format;

/// Decodes whole blocks of a format to f32.
///
/// # Errors
/// [`Error::Shape`] if `bytes` is not whole blocks or `out` does not have one place per weight.
pub fn decode(format: &'static Format, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let blocks = bytes.len() / format.block_bytes;
    if !bytes.len().is_multiple_of(format.block_bytes) {
        let wanted = (blocks + 1) * format.block_bytes;
        return Err(Error::Shape { what: "stored weights", unit: "bytes", found: bytes.len(), wanted });
    }
    if out.len() != blocks * format.block_weights {
        let wanted = blocks * format.block_weights;
        return Err(Error::Shape { what: "the decoded weights", unit: "values", found: out.len(), wanted });
    }
    (format.decode)(bytes, out);
    Ok(())
}
