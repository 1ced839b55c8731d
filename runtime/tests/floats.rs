//! Results do not depend on the floating-point mode of the thread that asks for them, which keeps it.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

#[path = "support/mode.rs"]
mod mode;
mod support;

use mode::in_other_mode;
use quantloom::attention::{Pairs, Rope, Yarn};
use quantloom::encode::Encoder;
use quantloom::gguf::{BlockShape, Gguf};
use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Numerics};
use quantloom::stored::Stored;
use quantloom::weights::Weights;
use support::files;
use support::products::{bits, numerics_of};

/// Activations of such magnitudes: their products, their scales or they themselves are subnormal.
const MAGNITUDES: [f32; 4] = [1.0, 1e-34, 1e-37, 1e-39];

#[test]
fn a_caller_that_flushes_subnormals_gets_the_same_bits() {
    let pools = [Pool::new(1), Pool::new(2)];
    let mut compared = 0;
    for path in files("golden") {
        let file = Gguf::open(&path).unwrap();
        let tensor = file.tensor("quantized").unwrap();
        let format = registry::format_by_gguf(tensor.kind).unwrap();
        let shape = BlockShape::of(format).unwrap();
        let bytes = file.bytes(tensor, shape).unwrap();
        let (n, k) = (tensor.rows(), tensor.k());
        let stored = Stored::new(format, n, k, bytes).unwrap();
        let decode = || {
            let mut out = vec![0.0; n * k];
            stored.decode(0..n, &mut out).unwrap();
            out
        };
        let weights = decode();
        assert_eq!(bits(&weights), bits(&in_other_mode(decode)), "{}", path.display());
        if format.packed.is_none() {
            continue;
        }
        let packed = Weights::pack_stored(&stored, &pools[0]).unwrap();
        for (numerics, magnitude) in numerics_of(format).flat_map(|numerics| MAGNITUDES.map(|magnitude| (numerics, magnitude)))
        {
            let x = (0..3 * k).map(|at| magnitude * ((at * 7919 % 1009) as f32 / 504.5 - 1.0)).collect::<Vec<_>>();
            for pool in &pools {
                let product = || {
                    let mut y = vec![0.0; 3 * n];
                    matmul(&packed, &x, 3, &mut y, &Request::default().numerics(numerics), pool).unwrap();
                    y
                };
                let (usual, other) = (bits(&product()), bits(&in_other_mode(product)));
                assert_eq!(usual, other, "{}, {numerics:?}, {magnitude:e}, {} threads", format.name, pool.threads());
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn an_encoder_decides_the_same() {
    let pool = Pool::new(2);
    let weights = (0..4096).map(|at| 1e-38 * ((at * 7919 % 1009) as f32 / 504.5 - 1.0)).collect::<Vec<_>>();
    let (importance, mut compared) = (weights.iter().map(|w| w.abs() * 1e30).collect::<Vec<_>>(), 0);
    for format in registry::formats().filter(|format| registry::default_numerics(format) == Numerics::Int8) {
        let Ok(encoder) = Encoder::new(format) else { continue };
        let encode = || encoder.encode(&weights, 4096, Some(&importance), &pool);
        let Ok(usual) = encode() else { continue };
        assert!(usual == in_other_mode(encode).unwrap(), "{}", format.name);
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn angles_are_the_same() {
    let yarn = Yarn { factor: 3.0, original: 100.0, fast: 7.0, slow: 1.0 };
    // Frequencies, cosines and sines of all magnitudes: of the last base and factors some are subnormal.
    for (base, factor, magnitude) in [(1e4, 1.0, 1.0), (5e5, 3.7, 1.1), (1e300, 1e38, 1e-38)] {
        let angles = || {
            let rope = Rope::new(64, base, Pairs::Halves).unwrap().factors(&[factor; 32]).unwrap();
            let angles = [rope.clone(), rope.yarn(&yarn).unwrap()].map(|rope| rope.magnitude(magnitude).angles(0..50));
            angles
                .iter()
                .flat_map(|angles| (0..50).flat_map(move |at| [angles.of(at).0, angles.of(at).1].concat()))
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&angles()), bits(&in_other_mode(angles)), "{base}");
    }
    let subnormal = Rope::new(64, 1e4, Pairs::Halves).unwrap().magnitude(1e-39);
    let sines = || subnormal.angles(1..9).of(3).1.to_vec();
    assert!(sines().iter().all(|sine| sine.is_subnormal()));
    assert_eq!(bits(&sines()), bits(&in_other_mode(sines)));
}
