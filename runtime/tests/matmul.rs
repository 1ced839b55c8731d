//! Results of the kernels: against the golden files, and bit for bit against each other.

use std::path::{Path, PathBuf};

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, candidates, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::weights::Weights;

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

/// The numerics classes that a format has kernels for.
fn numerics_of(format: &Format) -> impl Iterator<Item = Numerics> {
    let has = |numerics| registry::kernels(format).iter().any(move |kernel| kernel.numerics == numerics);
    Numerics::ALL.into_iter().filter(move |&numerics| has(numerics))
}

fn floats(file: &Gguf, name: &str) -> Vec<f32> {
    let bytes = file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn stored<'a>(file: &'a Gguf, format: &Format, name: &str) -> (usize, usize, &'a [u8]) {
    let tensor = file.tensor(name).unwrap();
    let shape = BlockShape { weights: format.block_weights, bytes: format.block_bytes };
    (tensor.rows(), tensor.k(), file.bytes(tensor, shape).unwrap())
}

fn nmse(found: &[f32], wanted: &[f32]) -> f64 {
    let error: f64 = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    error / wanted.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>()
}

#[test]
fn decoding_matches_the_golden_files_bit_for_bit() {
    for (path, file, format) in golden() {
        for name in ["quantized", "random"] {
            let (_, _, bytes) = stored(&file, format, name);
            let wanted = floats(&file, &format!("{name}.f32"));
            let mut found = vec![0.0; wanted.len()];
            quantloom::decode(format, bytes, &mut found).unwrap();
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

/// Numbers that repeat from run to run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn unit(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 30) as f32 - 1.0
    }
}

/// `n` rows of `k` weights: the golden blocks, in an order of our own; half are random bytes, and some are zeros, scales included.
fn rows(file: &Gguf, format: &Format, n: usize, k: usize) -> Vec<u8> {
    let zeros = vec![0; format.block_bytes];
    let [quantized, arbitrary] = ["quantized", "random"].map(|name| stored(file, format, name).2);
    let pools = [quantized, arbitrary, arbitrary, &zeros];
    let mut random = Random(k as u64);
    let blocks = (0..n * k / format.block_weights).flat_map(|_| {
        let pool = pools[random.next() as usize % pools.len()];
        let block = random.next() as usize % (pool.len() / format.block_bytes);
        pool[block * format.block_bytes..][..format.block_bytes].to_vec()
    });
    blocks.collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The largest batch that is compared.
const BATCH: usize = 256;

/// Every kernel, batch size and thread count gives the bits of the scalar kernel, one row at a time.
#[test]
fn every_kernel_gives_the_same_bits() {
    let pool = Pool::new(2);
    for (path, file, format) in golden().into_iter().filter(|(_, _, format)| format.packed.is_some()) {
        for (n, blocks) in [(37, 1), (16, 3), (34, 1280 / format.block_weights)] {
            let k = blocks * format.block_weights;
            let weights = Weights::pack(format, n, k, &rows(&file, format, n, k), &pool).unwrap();
            let mut random = Random(7);
            let mut x = (0..BATCH * k).map(|_| random.unit()).collect::<Vec<_>>();
            adversarial(&mut x, k);
            for numerics in numerics_of(format) {
                let scalar = registry::isas()[0];
                let one = Request { numerics, isa: Some(scalar), kernel: None, threads: 1 };
                let mut wanted = vec![0.0; BATCH * n];
                for (x, y) in x.chunks(k).zip(wanted.chunks_mut(n)) {
                    matmul(&weights, x, 1, y, &one, &pool).unwrap();
                }
                for isa in registry::isas().iter().filter(|isa| (isa.available)()) {
                    for kernel in candidates(&weights, numerics, isa).unwrap() {
                        for batch in [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, BATCH] {
                            for threads in [1, 2] {
                                let request = Request { numerics, isa: None, kernel: Some(kernel), threads };
                                let mut y = vec![f32::NAN; batch * n];
                                matmul(&weights, &x[..batch * k], batch, &mut y, &request, &pool).unwrap();
                                let same = bits(&y) == bits(&wanted[..batch * n]);
                                assert!(
                                    same,
                                    "{}: {} n {n} k {k} batch {batch} threads {threads}",
                                    path.display(),
                                    kernel.name
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Rows that are zero, tiny, huge or all at the limit of the quantised range.
fn adversarial(x: &mut [f32], k: usize) {
    let patterns: [&dyn Fn(usize) -> f32; 6] = [
        &|_| 0.0,
        &|_| 1e-42,
        &|index| if index % 2 == 0 { 1.0 } else { -1.0 },
        &|index| if index == 3 { 1e30 } else { 1e-30 },
        &|_| -1.0,
        &|index| if index % 32 < 16 { 0.0 } else { 3.0 },
    ];
    for (row, pattern) in x.chunks_mut(k).zip(patterns) {
        row.iter_mut().enumerate().for_each(|(index, value)| *value = pattern(index));
    }
}
