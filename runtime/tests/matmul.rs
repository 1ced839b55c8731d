//! Decoders and kernels against the golden files.

use std::path::{Path, PathBuf};

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::stored::Stored;
use quantloom::testing;
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

fn floats(file: &Gguf, name: &str) -> Vec<f32> {
    let bytes = file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn stored<'a>(file: &'a Gguf, format: &Format, name: &str) -> (usize, usize, &'a [u8]) {
    let tensor = file.tensor(name).unwrap();
    let shape = BlockShape::of(format).unwrap();
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
            let (n, k, bytes) = stored(&file, format, name);
            let stored = Stored::new(format, n, k, bytes).unwrap();
            let decoded = testing::decodes_to(&stored, &floats(&file, &format!("{name}.f32")));
            decoded.unwrap_or_else(|failure| panic!("{}: {name}: {failure}", path.display()));
        }
    }
}

/// A request that says nothing is for every format that has kernels; one that names a kernel is for the kernel's class.
#[test]
fn what_a_request_leaves_out_follows_the_format_and_the_kernel() {
    let mut classes = Vec::new();
    for format in registry::formats().filter(|format| !registry::kernels(format).is_empty()) {
        let (n, k) = (format.row_multiple(), format.block_weights);
        let weights = Weights::pack(format, n, k, &synthetic(format, n, k).unwrap(), Pool::global()).unwrap();
        let used = |request: Request| {
            let used = matmul(&weights, &activations(1, k).unwrap(), 1, &mut vec![0.0; n], &request, Pool::global());
            used.unwrap_or_else(|error| panic!("{}: {error}", format.name)).launch.kernel
        };
        let class = if registry::numerics(format).contains(&Numerics::Int8) { Numerics::Int8 } else { Numerics::Exact };
        assert_eq!(used(Request::default()).numerics, class, "{}", format.name);
        classes.push(class);
        for kernel in registry::kernels(format).iter().filter(|kernel| kernel.isa().is_available()) {
            assert_eq!(used(Request::default().launch(kernel)).name, kernel.name);
        }
    }
    assert!(Numerics::ALL.iter().all(|class| classes.contains(class)), "formats of both kinds were tried");
}

#[test]
fn errors_stay_within_those_of_ggml() {
    let mut tested = 0;
    for (path, file, format) in golden().into_iter().filter(|(_, _, format)| format.packed.is_some()) {
        let (n, k, bytes) = stored(&file, format, "quantized");
        let weights = Weights::pack(format, n, k, bytes, Pool::global()).unwrap();
        let (x, wanted) = (floats(&file, "activations"), floats(&file, "matmul.exact"));
        let ggml = file.value("golden.ggml_matmul_nmse").unwrap().as_f64().unwrap();
        for numerics in registry::numerics(format) {
            let limit = if numerics == Numerics::Exact { 1e-11 } else { 1.05 * ggml };
            let mut y = vec![0.0; wanted.len()];
            let request = Request::default().numerics(numerics);
            matmul(&weights, &x, x.len() / k, &mut y, &request, Pool::global()).unwrap();
            let error = nmse(&y, &wanted);
            assert!(error <= limit, "{}: {numerics}: {error:e} over {limit:e}", path.display());
            tested += 1;
        }
    }
    assert!(tested >= 8, "{tested}");
}
