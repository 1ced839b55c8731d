//! Devices, generated texts and golden files.

#[path = "../../../codegen/tests/gpu/support.rs"]
mod shared;

#[cfg(feature = "wgpu")]
use std::path::{Path, PathBuf};

use quantloom::gguf::BlockShape;
#[cfg(feature = "wgpu")]
use quantloom::gguf::Gguf;
use quantloom::gpu::Kernels;
use quantloom_codegen::lower::class::SEGMENT;
use quantloom_codegen::plan::PlannedFormat;
use quantloom_spec::gpu::Dialect;

pub use shared::*;

/// A generated text with its sizes.
pub fn kernels<'a>(format: &PlannedFormat, dialect: &Dialect, source: &'a str, tables: &'a [u32]) -> Kernels<'a> {
    Kernels { source, tables, block: block(format), workgroup: dialect.workgroup, segment: SEGMENT }
}

fn block(format: &PlannedFormat) -> BlockShape {
    BlockShape { header: 0, weights: format.decoder.weights, bytes: block_bytes(format) }
}

/// Both stored tensors of every golden file.
#[cfg(feature = "wgpu")]
pub fn golden(formats: &[PlannedFormat]) -> Vec<Sample<'_>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden");
    let entries = folder.read_dir().unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    assert!(!files.is_empty(), "there are golden files");
    files.iter().flat_map(|path| ["quantized", "random"].map(|tensor| read_golden(path, tensor, formats))).collect()
}

#[cfg(feature = "wgpu")]
fn read_golden<'a>(path: &Path, tensor: &str, formats: &'a [PlannedFormat]) -> Sample<'a> {
    let file = Gguf::open(path).unwrap();
    let (stored, decoded) = (file.tensor(tensor).unwrap(), file.tensor(&format!("{tensor}.f32")).unwrap());
    let format = formats.iter().find(|format| format.card.format.gguf == Some(stored.kind)).expect("a card for the file");
    Sample {
        what: format!("{}, {tensor}", path.display()),
        format,
        rows: stored.rows(),
        k: stored.k(),
        bytes: file.bytes(stored, block(format)).unwrap().to_vec(),
        weights: bytemuck::pod_collect_to_vec(file.bytes(decoded, BlockShape::F32).unwrap()),
    }
}
