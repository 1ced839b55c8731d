//! Attention has the bits of its definition, whatever computes it, and is near what it would be without rounding.

use quantloom::Error;
use quantloom::attention::{Angles, Attention, Heads, KvCache, KvType, Pairs, Preparation, Rope, SPAN};
use quantloom::pool::Pool;
use quantloom::registry::{self, Isa};
use quantloom::testing::{PlainAttention, prepared};

/// Numbers that repeat from run to run, of either sign below 1.
fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 23) as f32) - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Queries, keys and values of some positions.
struct Inputs {
    heads: Heads,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Inputs {
    fn new(heads: Heads, positions: usize) -> Self {
        let of = |seed, count: usize| random(seed, positions * count * heads.size);
        let queries = of(1, heads.query).into_iter().map(|value| 3.0 * value).collect();
        Self { heads, queries, keys: of(2, heads.key), values: of(3, heads.key) }
    }

    /// A cache of all positions, appended in such parts.
    fn cache(&self, types: (KvType, KvType), parts: &[usize]) -> KvCache {
        let mut cache = KvCache::new(self.heads, types.0, types.1).unwrap();
        let all = self.keys.len() / (self.heads.key * self.heads.size);
        for part in parts.iter().copied().cycle() {
            let range = cache.len()..all.min(cache.len() + part);
            if range.is_empty() {
                break;
            }
            let of = |values: &[f32], count: usize| {
                values[range.start * count * self.heads.size..range.end * count * self.heads.size].to_vec()
            };
            let mut queries = of(&self.queries, self.heads.query);
            let (keys, values) = (of(&self.keys, self.heads.key), of(&self.values, self.heads.key));
            cache.append(&mut queries, &keys, &values, &Preparation::default(), Pool::global()).unwrap();
            assert_eq!(queries, of(&self.queries, self.heads.query));
        }
        assert_eq!(cache.len(), all);
        cache
    }

    /// The queries of a position.
    fn position(&self, position: usize) -> &[f32] {
        let count = self.heads.query * self.heads.size;
        &self.queries[position * count..][..count]
    }

    fn plain<'a>(&'a self, types: (KvType, KvType), attention: Attention<'a>) -> PlainAttention<'a> {
        PlainAttention { heads: self.heads, types, keys: &self.keys, values: &self.values, attention }
    }

    /// The results of the last `count` positions, `batch` at a time.
    fn results(&self, cache: &KvCache, attention: &Attention<'_>, count: usize, batch: usize) -> Vec<u32> {
        let values = self.heads.query * self.heads.size;
        let first = cache.len() - count;
        let mut out = vec![f32::NAN; count * values];
        for (index, out) in out.chunks_mut(batch * values).enumerate() {
            let position = first + index * batch;
            let queries = &self.queries[position * values..][..out.len()];
            attention.attend(cache, queries, position, out, two_threads()).unwrap();
        }
        out.into_iter().map(f32::to_bits).collect()
    }
}

fn two_threads() -> &'static Pool {
    static POOL: std::sync::LazyLock<Pool> = std::sync::LazyLock::new(|| Pool::new(2));
    &POOL
}

fn available() -> impl Iterator<Item = &'static Isa> {
    registry::isas().iter().copied().filter(|isa| isa.is_available())
}

const F32: (KvType, KvType) = (KvType::F32, KvType::F32);
const TYPES: [(KvType, KvType); 4] = [F32, (KvType::F16, KvType::F16), (KvType::Bf16, KvType::Bf16), (KvType::Q8, KvType::F16)];

/// Some of the queries of some positions against the definition.
fn has_the_bits_of_its_definition(inputs: &Inputs, types: (KvType, KvType), attention: Attention<'_>, positions: &[usize]) {
    let (cache, plain) = (inputs.cache(types, &[300]), inputs.plain(types, attention));
    let size = inputs.heads.size;
    for &position in positions {
        let queries = inputs.position(position);
        let mut wanted = Vec::new();
        for (head, query) in queries.chunks(size).enumerate() {
            wanted.extend(plain.result(query, head, position).into_iter().map(f32::to_bits));
        }
        for isa in available() {
            let mut out = vec![f32::NAN; queries.len()];
            attention.isa(isa).attend(&cache, queries, position, &mut out, two_threads()).unwrap();
            let found = out.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert!(found == wanted, "{types:?}, {:?}, position {position} on {}", inputs.heads, isa.name);
        }
    }
}

#[test]
fn every_type_and_head_size_has_the_bits_of_its_definition() {
    for (size, group) in [(8, 8), (64, 3), (72, 1), (80, 3), (96, 1), (128, 1), (256, 1)] {
        let inputs = Inputs::new(Heads { query: 2 * group, key: 2, size }, 40);
        for types in TYPES {
            has_the_bits_of_its_definition(&inputs, types, Attention::new(size), &[0, 39]);
        }
    }
}

#[test]
fn spans_windows_caps_and_sinks_have_the_bits_of_their_definition() {
    let inputs = Inputs::new(Heads { query: 6, key: 2, size: 16 }, 1100);
    let sinks = [0.5, -1.0, 3.0, 8.0, -20.0, 0.0];
    let plain = Attention::new(16);
    for attention in [
        plain,
        plain.softcap(2.0),
        plain.window(100),
        plain.window(SPAN + 70).sinks(&sinks[..]),
        plain.scale(-0.7).softcap(5.0).window(1).sinks(&sinks[..]),
    ] {
        has_the_bits_of_its_definition(&inputs, (KvType::F16, KvType::Bf16), attention, &[511, 512, 1099]);
    }
    has_the_bits_of_its_definition(&inputs, (KvType::Q8, KvType::F32), plain.window(600), &[1099]);
    // Spans are merged one by one, whoever computes them.
    let long = Inputs::new(Heads { query: 1, key: 1, size: 8 }, 2100);
    has_the_bits_of_its_definition(&long, F32, Attention::new(8), &[2099]);
}

#[test]
fn batches_threads_and_parts_change_no_bit() {
    let inputs = Inputs::new(Heads { query: 3, key: 1, size: 32 }, 1060);
    for types in [(KvType::F16, KvType::F16), (KvType::Q8, KvType::F16)] {
        let cache = inputs.cache(types, &[1060]);
        for attention in [Attention::new(32), Attention::new(32).window(70)] {
            let wanted = inputs.results(&cache, &attention.threads(1), 512, 512);
            let same = |attention: Attention<'_>, batch: usize| {
                let found = inputs.results(&cache, &attention, 512, batch);
                assert!(found == wanted, "{types:?}, {attention:?}, batches of {batch}");
            };
            for (index, batch) in [1, 2, 7, 64, 200, 512].into_iter().enumerate() {
                same(attention.threads(2 - index % 2), batch);
            }
            for (index, isa) in available().enumerate() {
                same(attention.isa(isa).threads(1 + index % 2), [100, 7][index % 2]);
            }
            for parts in [&[1][..], &[513, 5, 17], &[16, 1, 31, 200]] {
                let found = inputs.results(&inputs.cache(types, parts), &attention, 512, 512);
                assert!(found == wanted, "{types:?}, appended in parts of {parts:?}");
            }
        }
    }
}

/// The mean squared error, in parts of the mean square of what is right.
fn nmse(found: &[f32], wanted: &[f64]) -> f64 {
    let error = found.iter().zip(wanted).map(|(found, wanted)| (f64::from(*found) - wanted).powi(2)).sum::<f64>();
    error / wanted.iter().map(|wanted| wanted * wanted).sum::<f64>()
}

#[test]
fn results_are_near_those_without_rounding() {
    for (size, group) in [(64, 8), (128, 1)] {
        let inputs = Inputs::new(Heads { query: group, key: 1, size }, 700);
        let sinks = vec![0.25; group];
        let plain = Attention::new(size);
        for attention in [plain, plain.softcap(20.0), plain.window(90).sinks(&sinks[..])] {
            let bounds = [(F32, 1e-12), ((KvType::F16, KvType::F16), 1e-6), ((KvType::Q8, KvType::F32), 1e-3)];
            for (types, most) in bounds {
                let (cache, position) = (inputs.cache(types, &[512]), 699);
                let queries = inputs.position(position);
                let wanted = queries
                    .chunks(size)
                    .enumerate()
                    .flat_map(|(head, query)| inputs.plain(types, attention).unrounded(query, head, position));
                let mut out = vec![f32::NAN; queries.len()];
                attention.attend(&cache, queries, position, &mut out, Pool::global()).unwrap();
                let error = nmse(&out, &wanted.collect::<Vec<_>>());
                assert!(error <= most, "{types:?}, heads of {size}: {error:e}");
            }
        }
    }
}

#[test]
fn queries_and_keys_are_normed_and_rotated_in_one_pass() {
    let heads = Heads { query: 4, key: 2, size: 32 };
    let inputs = Inputs::new(heads, 20);
    let (of_queries, of_keys) = (random(8, 32), random(9, 32));
    for (pairs, dims) in [(Pairs::Halves, 32), (Pairs::Neighbours, 24)] {
        let angles = Rope::new(dims, 10_000.0, pairs).unwrap().angles(0..20);
        let plain = |values: &[f32], count: usize, norm: &[f32]| {
            let heads = values.chunks(32).enumerate().flat_map(|(index, head)| {
                let (cos, sin) = angles.of(index / count);
                prepared(head, Some((norm, 1e-6)), cos, sin, pairs == Pairs::Neighbours)
            });
            heads.collect::<Vec<_>>()
        };
        let wanted = Inputs {
            heads,
            queries: plain(&inputs.queries, 4, &of_queries),
            keys: plain(&inputs.keys, 2, &of_keys),
            values: inputs.values.clone(),
        };
        let mut queries = inputs.queries.clone();
        let mut cache = KvCache::new(heads, KvType::F16, KvType::F16).unwrap();
        let preparation = Preparation::default().query_norm(&of_queries, 1e-6).key_norm(&of_keys, 1e-6).rotation(&angles);
        for range in [0..7, 7..20] {
            let (of_query, of_key) = (range.start * 128..range.end * 128, range.start * 64..range.end * 64);
            let (keys, values) = (&inputs.keys[of_key.clone()], &inputs.values[of_key]);
            cache.append(&mut queries[of_query], keys, values, &preparation, two_threads()).unwrap();
        }
        assert!(queries.iter().zip(&wanted.queries).all(|(found, wanted)| found.to_bits() == wanted.to_bits()), "{pairs:?}");
        let attention = Attention::new(32);
        let found = wanted.results(&cache, &attention, 20, 20);
        assert!(found == wanted.results(&wanted.cache(cache.types(), &[20]), &attention, 20, 20), "{pairs:?}");
    }
}

/// What a query must not see changes nothing, however large it is.
#[test]
fn what_is_not_seen_does_not_count() {
    let heads = Heads { query: 2, key: 1, size: 8 };
    let mut inputs = Inputs::new(heads, 30);
    let attention = Attention::new(8).window(5);
    let wanted = inputs.results(&inputs.cache(F32, &[30]), &attention, 10, 10);
    inputs.keys[..15 * 8].fill(f32::MAX);
    inputs.values[..15 * 8].fill(f32::MAX);
    assert!(inputs.results(&inputs.cache(F32, &[30]), &attention, 10, 10) == wanted);
    // Of a batch, the queries before one that is no number keep their results.
    let cache = inputs.cache(F32, &[30]);
    inputs.queries[29 * 16..].fill(f32::NAN);
    let found = inputs.results(&cache, &attention, 10, 10);
    assert_eq!(found[..9 * 16], wanted[..9 * 16]);
    assert!(found[9 * 16..].iter().all(|bits| f32::from_bits(*bits).is_nan()));
}

#[test]
fn what_cannot_be_cached_changes_nothing() {
    let heads = Heads { query: 2, key: 1, size: 8 };
    let inputs = Inputs::new(heads, 20);
    let angles = |positions| Rope::new(8, 1e4, Pairs::Halves).unwrap().angles(positions);
    let wide = Rope::new(16, 1e4, Pairs::Halves).unwrap().angles(0..30);
    let mut cache = inputs.cache((KvType::F16, KvType::F16), &[20]);
    let before = inputs.results(&cache, &Attention::new(8), 20, 20);
    let fails = |cache: &mut KvCache, keys: &[f32], values: &[f32], angles: Option<&Angles>| {
        let mut queries = inputs.queries[..32].to_vec();
        let preparation = angles.map_or_else(Preparation::default, |angles| Preparation::default().rotation(angles));
        let error = cache.append(&mut queries, keys, values, &preparation, two_threads()).unwrap_err();
        assert_eq!((queries, cache.len()), (inputs.queries[..32].to_vec(), 20));
        error
    };
    let (ones, mut large) = (vec![1.0; 16], vec![1.0; 16]);
    large[11] = 70_000.0;
    for (keys, values) in [(&large, &ones), (&ones, &large)] {
        assert!(matches!(fails(&mut cache, keys, values, None), Error::BadValue { index: 11, .. }));
    }
    assert!(matches!(fails(&mut cache, &ones[..15], &ones, None), Error::Shape { .. }));
    assert!(matches!(fails(&mut cache, &ones, &ones[..8], None), Error::Shape { .. }));
    assert!(matches!(fails(&mut cache, &ones[..8], &ones[..8], None), Error::Shape { .. }));
    assert!(matches!(fails(&mut cache, &ones, &ones, Some(&angles(0..21))), Error::Attention { .. }));
    assert!(matches!(fails(&mut cache, &ones, &ones, Some(&wide)), Error::Attention { .. }));
    assert!(inputs.results(&cache, &Attention::new(8), 20, 20) == before);
    // Nothing is left of what was not appended.
    let mut queries = inputs.queries[..16].to_vec();
    cache.append(&mut queries, &ones[..8], &ones[..8], &Preparation::default(), two_threads()).unwrap();
    assert_eq!(cache.len(), 21);
}

#[test]
fn what_cannot_be_attended_is_refused() {
    let inputs = Inputs::new(Heads { query: 2, key: 1, size: 8 }, 20);
    let cache = inputs.cache((KvType::Q8, KvType::F16), &[20]);
    let fails = |attention: Attention<'_>, first: usize, count: usize| {
        let mut out = vec![0.0; count];
        attention.attend(&cache, &inputs.queries[..32], first, &mut out, two_threads()).unwrap_err()
    };
    let plain = Attention::new(8);
    assert!(matches!(fails(plain, 19, 32), Error::Shape { .. }));
    assert!(matches!(fails(plain, usize::MAX, 32), Error::Shape { .. }));
    assert!(matches!(fails(plain, 0, 31), Error::Shape { .. }));
    assert!(matches!(fails(plain.window(0), 0, 32), Error::Attention { .. }));
    assert!(matches!(fails(plain.scale(f32::NAN), 0, 32), Error::Attention { .. }));
    for cap in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(fails(plain.softcap(cap), 0, 32), Error::Attention { .. }));
    }
    assert!(matches!(fails(plain.sinks(&[0.0][..]), 0, 32), Error::Shape { .. }));
    assert!(matches!(fails(plain.sinks(&[0.0, f32::NAN][..]), 0, 32), Error::BadValue { index: 1, .. }));
    let mut queries = inputs.queries[..32].to_vec();
    queries[5] = f32::INFINITY;
    let error = plain.attend(&cache, &queries, 0, &mut [0.0; 32], two_threads()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { index: 5 }));
    plain.attend(&cache, &[], 0, &mut [], two_threads()).unwrap();
}
