//! Fused kernels for quantised language models, generated from cards.
//!
//! ```no_run
//! use quantloom::{gguf::{BlockShape, Gguf}, matmul::{Request, matmul}, pool::Pool, registry, weights::Weights};
//!
//! # fn main() -> quantloom::Result<()> {
//! let file = Gguf::open("model.gguf")?;
//! let tensor = file.tensor("output.weight")?;
//! let format = registry::format_by_gguf(tensor.kind).expect("a format with a card");
//! let bytes = file.bytes(tensor, BlockShape::of(format).expect("GGUF stores blocks"))?;
//! let weights = Weights::pack(format, tensor.rows(), tensor.k(), bytes, Pool::global())?;
//!
//! let x = vec![0.5; weights.k()];
//! let mut y = vec![0.0; weights.n()];
//! let used = matmul(&weights, &x, 1, &mut y, &Request::default(), Pool::global())?;
//! println!("{} ({})", used.launch, used.source);
//! # Ok(())
//! # }
//! ```

mod buffer;
pub mod defaults;
pub mod encode;
mod error;
pub mod files;
pub mod gguf;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub mod gpu;
pub mod imatrix;
pub mod machine;
pub mod matmul;
pub mod measure;
pub mod model;
mod numbered;
pub mod pool;
pub mod recipes;
pub mod registry;
pub mod safetensors;
mod storage;
pub mod stored;
pub mod testing;
pub mod tune;
pub mod weights;

pub use error::{Error, Result};
/// What generated code refers to: the types of the registry, and the words that kernels are written in.
#[doc(inline)]
pub use quantloom_kernels as kernels;
use registry::Format;

/// Brings in the formats that `quantloom_codegen::Config` generated in the build script of the crate: `FORMATS`, for
/// [`registry::register`].
///
/// ```ignore
/// quantloom::include_formats!();
///
/// pub fn register() -> quantloom::Result<()> {
///     quantloom::registry::register(FORMATS)
/// }
/// ```
#[macro_export]
macro_rules! include_formats {
    () => {
        #[allow(missing_docs, unused, clippy::all, clippy::pedantic)]
        mod generated_formats {
            include!(concat!(env!("OUT_DIR"), "/root.rs"));
        }

        pub use generated_formats::registry::FORMATS;
    };
}

/// Decodes `n` rows of `k` weights to f32; `bytes` are as [`stored::Stored::new`] takes them.
///
/// # Errors
/// As [`stored::Stored::new`], and [`Error::Shape`] if `out` does not have one place per weight.
pub fn decode(format: &'static Format, n: usize, k: usize, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    stored::Stored::new(format, n, k, bytes)?.decode(0..n, out)
}
