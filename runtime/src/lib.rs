//! Fused kernels for quantised language models, generated from cards.
//!
//! ```standalone_crate
//! use quantloom::{gguf::{BlockShape, Gguf}, matmul::{Request, matmul}, pool::Pool, registry, weights::Weights};
//!
//! # // A file of one tensor in each format that GGUF files may have: of both classes, of one, and without kernels.
//! # use quantloom::{gguf::{GgufWriter, NewTensor}, measure::synthetic};
//! # let folder = tempfile::tempdir().unwrap();
//! # std::env::set_current_dir(&folder).unwrap();
//! # for format in registry::formats().filter(|format| format.gguf.is_some()) {
//! #     let bytes = synthetic(format, 3, 512).unwrap();
//! #     let dims = vec![512, 3];
//! #     let tensor = NewTensor { name: "output.weight".to_owned(), dims, kind: format.gguf.unwrap(), bytes: bytes.len() };
//! #     let mut file = GgufWriter::create("model.gguf", &[], &[tensor]).unwrap();
//! #     file.write(&bytes).unwrap();
//! #     file.finish().unwrap();
//! #     assert_eq!(example().is_ok(), format.packed.is_some(), "{}", format.name);
//! # }
//! # fn example() -> quantloom::Result<()> {
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

pub mod attention;
mod buffer;
pub mod defaults;
pub mod encode;
mod error;
pub mod files;
pub mod gguf;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub mod gpu;
pub mod imatrix;
pub mod limits;
pub mod machine;
pub mod matmul;
pub mod measure;
pub mod model;
mod numbered;
pub mod operation;
pub mod pool;
pub mod recipes;
pub mod registry;
#[cfg(feature = "safetensors")]
pub mod safetensors;
mod storage;
pub mod stored;
pub mod testing;
pub mod tune;
pub mod weights;

pub use error::{Error, Result};
pub mod kernels;
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
///
/// The rows of the kernels say in `unsafe` blocks which instruction set each needs: a crate that has `#![forbid(unsafe_code)]` needs `deny`
/// instead.
#[macro_export]
macro_rules! include_formats {
    () => {
        #[allow(missing_docs, unsafe_code, unused, clippy::all, clippy::pedantic)]
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
