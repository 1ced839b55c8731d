//! The tests find what is wrong.

use std::ops::Range;
use std::sync::OnceLock;

use super::*;
use crate::registry::{Kernel, Numerics, Packed};
use crate::stored::{Stored, Tensor};
use crate::tune::fake;

/// The first format in blocks with kernels of both classes.
fn right() -> &'static Format {
    let has = |format: &Format, numerics| kernels(format).iter().any(|kernel| kernel.numerics == numerics);
    registry::formats()
        .find(|format| format.gguf.is_some() && Numerics::ALL.into_iter().all(|numerics| has(format, numerics)))
        .unwrap()
}

/// A format with another packed form.
fn repacked(format: &'static Format, change: impl FnOnce(&'static Packed) -> Packed) -> &'static Format {
    let packed = format.packed.as_ref().map(change);
    Box::leak(Box::new(Format { packed, ..*format }))
}

fn message(format: &'static Format) -> String {
    check(format).unwrap_err().to_string()
}

#[test]
fn a_wrong_decoder_is_found() {
    type Decode = fn(&[Tensor<'_>], usize, &mut [f32]);
    static RIGHT: OnceLock<Decode> = OnceLock::new();
    fn decode(tensors: &[Tensor<'_>], row: usize, out: &mut [f32]) {
        (RIGHT.get().unwrap())(tensors, row, out);
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
    type Pack = fn(&[Tensor<'_>], Range<usize>, Range<usize>, &mut [u8]);
    static RIGHT: OnceLock<Pack> = OnceLock::new();
    fn pack(tensors: &[Tensor<'_>], rows: Range<usize>, blocks: Range<usize>, panel: &mut [u8]) {
        // Of a whole panel the last row is forgotten.
        let rows = if rows.len() == 16 { rows.start..rows.end - 1 } else { rows };
        (RIGHT.get().unwrap())(tensors, rows, blocks, panel);
    }
    RIGHT.get_or_init(|| right().packed.as_ref().unwrap().pack);
    let message = message(repacked(right(), |packed| Packed { pack, ..*packed }));
    assert!(message.contains("of 16: the ") && message.contains(" is packed as "), "{message}");
}

#[test]
fn a_wrong_kernel_is_found() {
    let culprit = fake::wrong_kernel(&fake::weights(16, 1));
    let format = registry::format_by_name(culprit.format).unwrap();
    let kernels = Box::leak(Box::new([Kernel { ..*culprit }]));
    let message = message(repacked(format, |packed| Packed { kernels, ..*packed }));
    assert!(message.contains("wrong with N 37") && message.contains("row 0 of column 0"), "{message}");
}

#[test]
fn a_card_that_is_no_longer_right_is_shown() {
    let wrong = Box::leak(Box::new(Format { card: "name = 1", packed: None, ..*right() }));
    assert!(message(wrong).contains("`name` must be a text"), "{}", message(wrong));
}

/// Of a decoder alone there is no product to test, and a report says so.
#[test]
fn a_format_without_kernels_is_said_to_be_one() {
    let untested = |uncovered| {
        let report = check(Box::leak(Box::new(Format { packed: None, uncovered, ..*right() }))).unwrap();
        assert_eq!((report.packed, report.products, report.kernels), (0, 0, 0));
        assert!(report.decoded > 1000 && report.encoded > 100, "{report}");
        let text = report.to_string();
        assert!(text.contains("not one product was tested") && !text.contains("all right"), "{text}");
        report.untested.unwrap()
    };
    assert_eq!(untested(Some("its blocks")), Untested::Uncovered("its blocks"));
    assert_eq!(untested(None), Untested::LeftOut);
}

#[test]
fn a_wrong_value_is_shown_with_its_place_and_its_numbers() {
    let (format, k) = (right(), 2 * right().block_weights);
    let bytes = vec![0; format.stored_bytes(3, k).unwrap()];
    let stored = Stored::new(format, 3, k, &bytes).unwrap();
    let mut wanted = vec![0.0; 3 * k];
    stored.decode(0..3, &mut wanted).unwrap();
    assert_eq!(decodes_to(&stored, &wanted).unwrap(), 3 * k);
    wanted[2 * k + 1] = 7.5;
    let message = decodes_to(&stored, &wanted).unwrap_err().to_string();
    let place = format!("{}: row 2, weight 1 is decoded as ", format.name);
    assert!(message.starts_with(&place) && message.contains(" and should be 7.5e0; the card reads code "), "{message}");
    assert!(decodes_to(&stored, &wanted[1..]).is_err());
}

#[test]
fn a_report_counts_what_was_compared() {
    let report = check(right()).unwrap();
    let available = kernels(right()).iter().filter(|kernel| kernel.isa().is_available()).count();
    assert!(report.decoded > 1000 && report.packed > 1000, "{report}");
    assert_eq!((report.kernels, report.products), (available, 3 * 26 * available));
}
