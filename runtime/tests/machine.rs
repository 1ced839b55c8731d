//! Facts and ceilings: that they are there and make sense. How fast a machine is cannot be tested.

#![cfg(not(miri))]

use std::time::Duration;

use quantloom::machine::{Caches, Ceilings, Facts, Gauge, ceilings};

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn facts_are_found_and_stay_the_same() {
    let facts = Facts::detect();
    assert_eq!(facts, Facts::detect());
    assert!(!facts.processor.is_empty() && !facts.vendor.is_empty());
    assert!(facts.logical_cores > 0);
    let Caches { l1d, l3_sharers, .. } = facts.caches;
    assert!(l1d > 0 && l3_sharers > 0);
    assert!(facts.caches.last_level() >= l1d);
}

#[test]
fn fingerprints_are_one_word_that_does_not_depend_on_order() {
    let facts = Facts::detect();
    let print = facts.fingerprint(&["scalar", "avx2"]);
    assert_eq!(print, facts.fingerprint(&["avx2", "scalar", "avx2"]));
    assert_ne!(print, facts.fingerprint(&["scalar"]));
    assert!(!print.contains(char::is_whitespace));
}

#[test]
fn fingerprints_tell_processors_apart() {
    let facts = Facts {
        processor: "Some Processor".into(),
        vendor: "Some Maker".into(),
        family: 6,
        model: 207,
        stepping: 2,
        caches: Caches { l1d: 48 << 10, l2: 2 << 20, l3: 260 << 20, l3_sharers: 2 },
        logical_cores: 2,
    };
    assert_eq!(facts.fingerprint(&["scalar", "avx2"]), "SomeMaker-6-207-2;48K-2048K-266240K;avx2+scalar");
    let renamed = Facts { processor: "Another Name".into(), logical_cores: 64, ..facts.clone() };
    assert_eq!(renamed.fingerprint(&[]), facts.fingerprint(&[]));
    let stepped = Facts { stepping: 3, ..facts.clone() };
    assert_ne!(stepped.fingerprint(&[]), facts.fingerprint(&[]));
}

#[test]
fn every_round_adds_to_the_ceilings_of_its_instruction_set() {
    let isas = ceilings::isas();
    assert_eq!(isas[0], "scalar");
    for threads in [1, 2] {
        let mut gauge = Gauge::new(threads);
        for isa in &isas {
            gauge.round(isa);
            let first = gauge.ceilings(isa);
            assert!([first.read_gbps, first.int8_gops, first.f32_gflops].iter().all(|speed| speed.is_finite() && *speed > 0.0));
            let from = gauge.rounds();
            gauge.round(isa);
            let (second, all) = (gauge.ceilings_since(from, isa), gauge.ceilings(isa));
            assert_eq!(all.int8_gops, first.int8_gops.max(second.int8_gops), "the best pass of both");
            assert_eq!(all.f32_gflops, first.f32_gflops.max(second.f32_gflops));
            let spread = gauge.steadiness(isa).int8_gops;
            let [low, high] = [first.int8_gops.min(second.int8_gops), all.int8_gops];
            assert_eq!((spread.low, spread.high), (low, high));
        }
        assert_eq!(gauge.rounds(), 2 * isas.len());
        assert_eq!(gauge.steadiness("scalar").rounds, gauge.rounds());
    }
}

#[test]
fn a_measurement_says_what_was_measured() {
    let all = Ceilings::measure("no such instruction set", usize::MAX, SHORT);
    assert_eq!((all.isa, all.threads), ("scalar", Facts::detect().logical_cores));
    for speed in [all.read_gbps, all.int8_gops, all.f32_gflops] {
        assert!(speed.is_finite() && speed > 0.0, "{all:?}");
    }
    let widest = ceilings::isas().pop().unwrap();
    assert_eq!(Ceilings::measure(widest, 1, SHORT).isa, widest);
}
