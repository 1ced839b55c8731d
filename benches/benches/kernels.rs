//! Every kernel of the default formats on one thread, and what surrounds it: packing, decoding and encoding.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use quantloom::defaults::Defaults;
use quantloom::encode::Encoder;
use quantloom::matmul::{Request, candidates, matmul};
use quantloom::measure::{Cold, activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics};
use quantloom::stored::Storage;
use quantloom::weights::Weights;

fn formats() -> Vec<&'static Format> {
    Defaults::get().bench.formats.iter().map(|name| registry::format_by_name(name).unwrap()).collect()
}

/// Every kernel of the best instruction set, by format, shape and batch.
fn kernels(criterion: &mut Criterion) {
    let defaults = Defaults::get().bench;
    let pool = Pool::new(1);
    for format in formats() {
        for &(n, k) in &defaults.shapes {
            let stored = synthetic(format, n, k).unwrap();
            for &batch in &defaults.batches {
                let cold = Cold::new(Weights::pack(format, n, k, &stored, &pool).unwrap(), batch).unwrap();
                let x = activations(batch, k).unwrap();
                let mut y = vec![0.0; batch * n];
                let mut group = criterion.benchmark_group(format!("{}/{n}x{k}/{batch}", format.name));
                group.throughput(Throughput::Elements((2 * n * k * batch) as u64));
                for numerics in Numerics::ALL {
                    for kernel in candidates(cold.weights(0), numerics, registry::best_isa()).unwrap() {
                        let request = Request::default().launch(kernel).threads(1);
                        let mut call = 0;
                        group.bench_function(BenchmarkId::from_parameter(kernel.name), |bencher| {
                            bencher.iter(|| {
                                call += 1;
                                matmul(cold.weights(call), black_box(&x), batch, &mut y, &request, &pool).unwrap();
                            });
                        });
                    }
                }
            }
        }
    }
}

/// Stored bytes per second through the packer and through the decoder.
fn storage(criterion: &mut Criterion) {
    let pool = Pool::new(1);
    let (n, k) = (512, 4096);
    for format in formats() {
        let stored = synthetic(format, n, k).unwrap();
        let mut group = criterion.benchmark_group(format!("{}/storage", format.name));
        group.throughput(Throughput::Bytes(stored.len() as u64));
        group
            .bench_function("pack", |bencher| bencher.iter(|| Weights::pack(format, n, k, black_box(&stored), &pool).unwrap()));
        let mut weights = vec![0.0; n * k];
        group.bench_function("decode", |bencher| {
            bencher.iter(|| quantloom::decode(format, n, k, black_box(&stored), &mut weights))
        });
    }
}

/// Bytes of f32 per second through the encoder of every format that has one, and kernels.
fn encoding(criterion: &mut Criterion) {
    let pool = Pool::new(1);
    let (n, k) = (16, 512);
    let x = activations(n, k).unwrap();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Bytes(size_of_val(x.as_slice()) as u64));
    for format in registry::formats().filter(|format| !format.on_demand) {
        let Ok(encoder) = Encoder::new(format) else { continue };
        group.bench_function(BenchmarkId::from_parameter(format.name), |bencher| {
            bencher.iter(|| match format.storage {
                Storage::Rows { .. } => encoder.encode(black_box(&x), k, None, &pool).map(drop).unwrap(),
                Storage::Tensors { .. } => encoder.encode_tensors(black_box(&x), n, k, None, &pool).map(drop).unwrap(),
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = kernels, storage, encoding
}

/// As `criterion_main!` has it, but nothing with the peers: then they alone are measured, and options are theirs.
fn main() {
    if cfg!(not(feature = "peers")) {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
