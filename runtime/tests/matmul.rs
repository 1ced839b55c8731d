//! Results of the kernels: against the golden files, and bit for bit against each other.

mod support;

use std::path::{Path, PathBuf};

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::weights::Weights;
use support::products::{Random, every_kernel_agrees, nmse, numerics_of};

/// Every golden file whose format has kernels.
fn golden() -> Vec<(PathBuf, Gguf, &'static Format)> {
    let folder = std::env::var_os("QUANTLOOM_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden"), PathBuf::from);
    let mut paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    paths.sort();
    let files = paths.into_iter().map(|path| {
        let file = Gguf::open(&path).unwrap();
        let kind = file.tensor("quantized").unwrap().kind;
        let format = registry::format_by_gguf(kind).unwrap();
        (path, file, format)
    });
    files.collect()
}

fn floats(file: &Gguf, name: &str) -> Vec<f32> {
    let bytes = file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn stored<'a>(file: &'a Gguf, format: &Format, name: &str) -> (usize, usize, &'a [u8]) {
    let tensor = file.tensor(name).unwrap();
    let shape = BlockShape::of(format).unwrap();
    (tensor.rows(), tensor.k(), file.bytes(tensor, shape).unwrap())
}

#[test]
fn decoding_matches_the_golden_files_bit_for_bit() {
    for (path, file, format) in golden() {
        for name in ["quantized", "random"] {
            let (n, k, bytes) = stored(&file, format, name);
            let wanted = floats(&file, &format!("{name}.f32"));
            let mut found = vec![0.0; wanted.len()];
            quantloom::decode(format, n, k, bytes, &mut found).unwrap();
            let differ = found.iter().zip(&wanted).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            assert_eq!(differ, 0, "{}: {name}", path.display());
        }
    }
}

#[test]
fn errors_stay_within_those_of_ggml() {
    let mut tested = 0;
    for (path, file, format) in golden().into_iter().filter(|(_, _, format)| format.packed.is_some()) {
        let (n, k, bytes) = stored(&file, format, "quantized");
        let weights = Weights::pack(format, n, k, bytes, Pool::global()).unwrap();
        let (x, wanted) = (floats(&file, "activations"), floats(&file, "matmul.exact"));
        let ggml = file.value("golden.ggml_matmul_nmse").unwrap().as_f64().unwrap();
        for numerics in numerics_of(format) {
            let limit = if numerics == Numerics::Exact { 1e-11 } else { 1.05 * ggml };
            let mut y = vec![0.0; wanted.len()];
            let request = Request { numerics, ..Request::default() };
            matmul(&weights, &x, x.len() / k, &mut y, &request, Pool::global()).unwrap();
            let error = nmse(&y, &wanted);
            assert!(error <= limit, "{}: {numerics}: {error:e} over {limit:e}", path.display());
            tested += 1;
        }
    }
    assert!(tested >= 8, "{tested}");
}

/// `n` rows of `k` weights: the golden blocks, in an order of our own; half are random bytes, and some are zeros, scales included.
fn rows(file: &Gguf, format: &Format, n: usize, k: usize) -> Vec<u8> {
    let block_bytes = BlockShape::of(format).unwrap().bytes;
    let zeros = vec![0; block_bytes];
    let [quantized, arbitrary] = ["quantized", "random"].map(|name| stored(file, format, name).2);
    let pools = [quantized, arbitrary, arbitrary, &zeros];
    let mut random = Random(k as u64);
    let blocks = (0..n * k / format.block_weights).flat_map(|_| {
        let pool = pools[random.next() as usize % pools.len()];
        let block = random.next() as usize % (pool.len() / block_bytes);
        pool[block * block_bytes..][..block_bytes].to_vec()
    });
    blocks.collect()
}

/// Every kernel, batch size and thread count gives the bits of the scalar kernel, one row at a time.
#[test]
fn every_kernel_gives_the_same_bits() {
    let pool = Pool::new(2);
    for (path, file, format) in golden().into_iter().filter(|(_, _, format)| format.packed.is_some()) {
        for (n, blocks) in [(37, 1), (16, 3), (34, 1280 / format.block_weights)] {
            let k = blocks * format.block_weights;
            let weights = Weights::pack(format, n, k, &rows(&file, format, n, k), &pool).unwrap();
            every_kernel_agrees(&path.display().to_string(), &weights, &pool);
        }
    }
}
