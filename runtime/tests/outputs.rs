//! Products against those of other machines: `testdata/outputs.txt` has a hash of the bits of each, and every processor, whatever its
//! architecture, must come to the same.
//!
//! `BLESS=1 cargo test -p quantloom --test outputs` rewrites the file.

mod support;

use std::fmt::Write;
use std::{env, fs};

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::kernels::abi::fnv;
use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry;
use quantloom::safetensors::SafeTensors;
use quantloom::stored::Stored;
use quantloom::weights::Weights;
use support::products::numerics_of;
use support::tensors::{FILES, PREFIX, floats};
use support::{files, testdata};

/// Batch sizes: one column, a few, and many column groups of every tile.
const BATCHES: [usize; 4] = [1, 2, 7, 40];

/// A stored row is taken so many times over: products of several segments.
const REPEATS: usize = 3;

/// Weights of every file of the test data, with activations of the same file: nothing is computed, so that all machines have the same.
fn samples() -> Vec<(Weights, Vec<f32>)> {
    let blocks = ["golden", "tensors"].into_iter().flat_map(files).filter_map(|path| {
        let file = Gguf::open(&path).unwrap();
        let tensor = file.tensor("quantized").unwrap();
        let format = registry::format_by_gguf(tensor.kind).unwrap();
        format.packed.as_ref()?;
        let shape = BlockShape::of(format).unwrap();
        let bytes = file.bytes(tensor, shape).unwrap();
        let rows = bytes.chunks_exact(bytes.len() / tensor.rows());
        // The header of a row is not repeated.
        let rows =
            rows.flat_map(|row| [&row[..shape.header], &row[shape.header..].repeat(REPEATS)].concat()).collect::<Vec<_>>();
        let stored = Stored::new(format, tensor.rows(), REPEATS * tensor.k(), &rows).unwrap();
        let activations = file.bytes(file.tensor("activations").unwrap(), BlockShape::F32).unwrap();
        Some((Weights::pack_stored(&stored, Pool::global()).unwrap(), floats(activations)))
    });
    let tensors = FILES.into_iter().map(|(name, format, shape)| {
        let file = SafeTensors::open(testdata("tensors").join(format!("{name}.safetensors"))).unwrap();
        let stored = file.matrix(registry::format_by_name(format).unwrap(), PREFIX, shape).unwrap();
        let activations = floats(file.tensor("activations").unwrap().bytes);
        (Weights::pack_stored(&stored, Pool::global()).unwrap(), activations)
    });
    blocks.chain(tensors).collect()
}

/// The bits of all values in one number.
fn hash(values: &[f32]) -> u64 {
    fnv::of_bytes(values.iter().flat_map(|value| value.to_bits().to_le_bytes()))
}

/// One line per format, numerics class and batch size, computed by the kernels that `isa` uses.
fn outputs(samples: &[(Weights, Vec<f32>)], isa: &'static registry::Isa) -> String {
    let mut text = String::new();
    for (weights, activations) in samples {
        let (n, k) = (weights.n(), weights.k());
        let x = activations.iter().copied().cycle().take(BATCHES[BATCHES.len() - 1] * k).collect::<Vec<_>>();
        for numerics in numerics_of(weights.format()) {
            for batch in BATCHES {
                let mut y = vec![f32::NAN; batch * n];
                let request = Request::default().numerics(numerics).isa(isa);
                matmul(weights, &x[..batch * k], batch, &mut y, &request, Pool::global()).unwrap();
                writeln!(text, "{} {numerics} {batch} {:016x}", weights.format().name, hash(&y)).unwrap();
            }
        }
    }
    text
}

#[test]
fn products_have_the_bits_that_they_have_elsewhere() {
    let (samples, path) = (samples(), testdata("outputs.txt"));
    if env::var_os("BLESS").is_some() {
        return fs::write(path, outputs(&samples, registry::best_isa())).unwrap();
    }
    let wanted = fs::read_to_string(path).unwrap();
    for isa in registry::isas().iter().filter(|isa| isa.is_available()) {
        let found = outputs(&samples, isa);
        let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
        assert_eq!(differs, None, "{}", isa.name);
        assert_eq!(found.lines().count(), wanted.lines().count(), "{}", isa.name);
    }
}
