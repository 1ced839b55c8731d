//! Weights that a format holds exactly, weights about as small as the least that it holds, and codes that are not written.

use super::*;
use crate::measure::synthetic;
use crate::stored::Stored;

/// Encodes and decodes again.
fn there_and_back(format: &'static Format, x: &[f32], k: usize) -> Vec<f32> {
    let (encoder, n) = (Encoder::new(format).unwrap(), x.len() / k);
    let mut y = vec![0.0; x.len()];
    if BlockShape::of(format).is_some() {
        let bytes = encoder.encode(x, k, None, Pool::global()).unwrap();
        crate::decode(format, n, k, &bytes, &mut y).unwrap();
    } else {
        let tensors = encoder.encode_tensors(x, n, k, None, Pool::global()).unwrap();
        let parts = tensors.iter().map(|tensor| tensor.bytes.as_slice()).take(format.shapes(n, k).unwrap().len());
        Stored::from_tensors(format, n, k, &parts.collect::<Vec<_>>()).unwrap().decode(0..n, &mut y).unwrap();
    }
    y
}

fn nmse(x: &[f32], y: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
    squares(&mut x.iter().zip(y).map(|(x, y)| x - y)) / squares(&mut x.iter().copied())
}

/// The formats that can be encoded, and rows that suit them.
fn encodable() -> impl Iterator<Item = (&'static Format, usize, usize)> {
    let all = registry::formats().filter(|format| Encoder::new(format).is_ok());
    all.map(|format| (format, format.row_multiple(), format.block_weights.max(64)))
}

/// What a format decodes to it can hold, whatever bits that was stored in.
#[test]
fn what_was_decoded_comes_back() {
    for (format, n, k) in encodable() {
        let stored = synthetic(format, n, k).unwrap();
        let mut x = vec![0.0; n * k];
        crate::decode(format, n, k, &stored, &mut x).unwrap();
        // A least code without a negative is left out.
        let least = Encoder::new(format).unwrap().symmetric.is_some();
        let error = nmse(&x, &there_and_back(format, &x, k));
        assert!(error <= if least { 1e-5 } else { 0.0 }, "{}: {error:e}", format.name);
    }
}

#[test]
fn constants_and_single_weights_are_held() {
    for (format, n, k) in encodable() {
        let encoder = Encoder::new(format).unwrap();
        let constant = vec![-0.75; n * k];
        assert_eq!(nmse(&constant, &there_and_back(format, &constant, k)), 0.0, "{}", format.name);
        let levels = encoder.coder.lone_levels().unwrap_or_default();
        if encoder.coder.unit == 1 && levels.contains(&0.0) {
            let single = (0..n * k).map(|at| if at % k == 3 { 1.0 } else { 0.0 }).collect::<Vec<_>>();
            assert_eq!(nmse(&single, &there_and_back(format, &single, k)), 0.0, "{}", format.name);
        }
    }
}

/// The least root of 16 bits is 6e-8: under it, groups of such weights have but few scales, which still are better than none.
#[test]
fn small_weights_do_not_become_zeros() {
    let mut tested = 0;
    for format in in_blocks() {
        let encoder = Encoder::new(format).unwrap();
        let has_root = encoder.scale.as_ref().is_some_and(|scale| scale.root.is_some());
        if !has_root || encoder.coder.is_slow() {
            continue;
        }
        let noise = noise(256);
        let error = |size: f32| {
            let x = noise.iter().map(|x| x * size).collect::<Vec<_>>();
            nmse(&x, &there_and_back(format, &x, 256))
        };
        let usual = error(0.01);
        for (size, more) in [(4e-5, 0.0003), (1e-5, 0.003), (1.5e-6, 0.05)] {
            let error = error(size);
            assert!(error < 1.3 * usual + more, "{} at {size:e}: {error:e} over {usual:e}", format.name);
        }
        tested += 1;
    }
    assert!(tested > 4);
}

/// Programs that read magnitudes of signed bytes take the least one for its own negative.
#[test]
fn the_code_without_a_negative_is_not_written() {
    let mut tested = 0;
    for format in in_blocks() {
        let encoder = Encoder::new(format).unwrap();
        let Some(symmetric) = &encoder.symmetric else { continue };
        let (least, greatest) = symmetric.ends();
        assert_eq!(-least, greatest, "{}", format.name);
        for (name, x) in patterns(4096) {
            let mut work = Work::default();
            for x in x.chunks(format.block_weights) {
                encoder.decide(x, None, &mut work);
                assert!(work.levels.iter().all(|level| *level >= least), "{} {name}", format.name);
            }
        }
        tested += 1;
    }
    assert!(tested > 0);
}
