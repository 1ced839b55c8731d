//! The tests find what is wrong.

use std::sync::OnceLock;

use super::*;
use crate::registry::{Kernel, Packed};
use crate::tune::fake;

/// The first format with kernels.
fn right() -> &'static Format {
    registry::formats().find(|format| !kernels(format).is_empty()).unwrap()
}

/// That format with another packed form.
fn repacked(change: impl FnOnce(&'static Packed) -> Packed) -> &'static Format {
    let packed = right().packed.as_ref().map(change);
    Box::leak(Box::new(Format { packed, ..*right() }))
}

fn message(format: &'static Format) -> String {
    check(format).unwrap_err().to_string()
}

#[test]
fn a_wrong_decoder_is_found() {
    static RIGHT: OnceLock<fn(&[u8], &mut [f32])> = OnceLock::new();
    fn decode(bytes: &[u8], out: &mut [f32]) {
        (RIGHT.get().unwrap())(bytes, out);
        let last = out.len() - 1;
        out[last] = f32::from_bits(out[last].to_bits() ^ 1);
    }
    RIGHT.get_or_init(|| right().decode);
    let wrong = Box::leak(Box::new(Format { decode, packed: None, ..*right() }));
    let message = message(wrong);
    assert!(message.starts_with(right().name) && message.contains(" is decoded as "), "{message}");
}

#[test]
fn a_wrong_packer_is_found() {
    static RIGHT: OnceLock<fn(&[&[u8]], &mut [u8])> = OnceLock::new();
    fn pack(rows: &[&[u8]], panel: &mut [u8]) {
        (RIGHT.get().unwrap())(rows, panel);
        if rows.len() == 16 {
            let last = panel.len() - 1;
            panel[last] ^= 1;
        }
    }
    RIGHT.get_or_init(|| right().packed.as_ref().unwrap().pack);
    let message = message(repacked(|packed| Packed { pack, ..*packed }));
    assert!(message.contains("row 15 of 16") && message.contains(" is packed as "), "{message}");
}

#[test]
fn a_wrong_kernel_is_found() {
    let culprit = fake::wrong_kernel(&fake::weights(16, 1));
    let kernels = Box::leak(Box::new([Kernel { ..*culprit }]));
    let message = message(repacked(|packed| Packed { kernels, ..*packed }));
    assert!(message.contains("wrong with N 37") && message.contains("row 0 of column 0"), "{message}");
}

#[test]
fn a_card_that_is_no_longer_right_is_shown() {
    let wrong = Box::leak(Box::new(Format { card: "name = 1", packed: None, ..*right() }));
    assert!(message(wrong).contains("`name` must be a text"), "{}", message(wrong));
}

#[test]
fn a_report_counts_what_was_compared() {
    let report = check(right()).unwrap();
    let available = kernels(right()).iter().filter(|kernel| (kernel.isa.available)()).count();
    assert!(report.decoded > 1000 && report.packed > 1000, "{report}");
    assert_eq!((report.kernels, report.products), (available, 3 * 26 * available));
}
