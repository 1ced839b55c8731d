//! Attention on one thread: a key head that eight query heads share, 4096 positions, one query and a batch of them. Elements are pairs of
//! a query head and a key.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use quantloom::attention::{Attention, Heads, KvCache, KvType, Preparation};
use quantloom::measure::activations;
use quantloom::pool::Pool;

/// Positions that are cached.
const POSITIONS: usize = 4096;

/// A cache of as many positions.
fn cache(heads: Heads, keys: KvType, values: KvType, pool: &Pool) -> KvCache {
    let mut cache = KvCache::new(heads, keys, values).unwrap();
    let row = activations(1, POSITIONS * heads.key * heads.size).unwrap();
    let mut queries = vec![0.0; POSITIONS * heads.query * heads.size];
    cache.append(&mut queries, &row, &row, &Preparation::default(), pool).unwrap();
    cache
}

/// Queries at the last positions.
fn attention(criterion: &mut Criterion) {
    let pool = Pool::new(1);
    for size in [64, 128] {
        let heads = Heads { query: 8, key: 1, size };
        for (keys, values) in
            [(KvType::F16, KvType::F16), (KvType::Bf16, KvType::Bf16), (KvType::F32, KvType::F32), (KvType::Q8, KvType::F16)]
        {
            let cache = cache(heads, keys, values, &pool);
            for count in [1, 512] {
                let queries = activations(1, count * heads.query * size).unwrap();
                let mut out = vec![0.0; queries.len()];
                let first = POSITIONS - count;
                let seen = (first..POSITIONS).map(|position| heads.query * (position + 1)).sum::<usize>();
                let mut group = criterion.benchmark_group(format!("attention/{size}/{count}"));
                group.throughput(Throughput::Elements(seen as u64));
                group.bench_function(BenchmarkId::from_parameter(format!("{keys}-{values}")), |bencher| {
                    let attention = Attention::new(size);
                    bencher.iter(|| attention.attend(&cache, black_box(&queries), first, &mut out, &pool).unwrap());
                });
            }
        }
    }
}

/// Positions that are appended one by one.
fn appending(criterion: &mut Criterion) {
    let pool = Pool::new(1);
    let heads = Heads { query: 32, key: 8, size: 128 };
    let mut queries = vec![0.25; heads.query * heads.size];
    let keys = activations(1, heads.key * heads.size).unwrap();
    for kv_type in [KvType::F16, KvType::Q8] {
        let mut group = criterion.benchmark_group("append");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(kv_type), |bencher| {
            let mut cache = KvCache::new(heads, kv_type, KvType::F16).unwrap();
            bencher.iter(|| {
                if cache.len() == POSITIONS {
                    cache.clear();
                }
                cache.append(&mut queries, &keys, &keys, &Preparation::default(), &pool).unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    targets = attention, appending
}

/// Not with the peers: then they alone are measured, and options are theirs.
fn main() {
    if cfg!(not(feature = "peers")) {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
