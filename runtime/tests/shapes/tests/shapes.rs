//! Every shape is decoded, packed and multiplied as its card says; those that no kernel covers say why.

use std::collections::BTreeMap;
use std::thread;

use quantloom::encode::Encoder;
use quantloom::pool::Pool;
use quantloom::registry::Format;
use quantloom::testing::{self, Report, Untested};
use quantloom::weights::Weights;
use quantloom_shapes::FORMATS;

fn format(name: &str) -> &'static Format {
    FORMATS.iter().find(|format| format.name == name).unwrap()
}

fn check(name: &str) -> Report {
    testing::check(format(name)).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The class that kernels are shared by; `None` for a format without kernels.
fn class(format: &Format) -> Option<&'static str> {
    format.packed.as_ref().map(|packed| packed.class.name)
}

#[test]
fn shapes_with_kernels_are_right() {
    let is_right = |name: &str| {
        let report = check(name);
        assert!(report.untested.is_none() && report.products >= 3 * 26 * report.kernels, "{report}");
    };
    thread::scope(|scope| {
        for format in FORMATS.iter().filter(|format| format.packed.is_some()) {
            scope.spawn(|| is_right(format.name));
        }
    });
}

#[test]
fn each_shape_has_its_class() {
    let classes = FORMATS.iter().map(|format| (format.name, class(format))).collect::<BTreeMap<_, _>>();
    let wanted = [
        ("Blocks-of-48", None),
        ("Blocks-of-96", Some("linear4_g8u_h32_minu_a32_u32")),
        ("Blocks-of-192", Some("linear4_g32_h64_min_a32_u64")),
        ("Blocks-of-768", Some("linear8z128_g16i_h256_a256_u256")),
        ("Float-parts", Some("linear4_g16_f16_min_a32_u32")),
        ("Joined-floats", Some("palette4z64_g16_f16_a32_u32")),
        ("Levels-from-1", Some("linear4zn1_g32_h32_a32_u64")),
        ("Many-levels", Some("linear8z128_g32e3_p127_32_a32_u128")),
        ("Periods-of-1024", Some("linear4_z128_g128_h128_a256_u256")),
        ("Row-scale", Some("linear8z128_g32_f256_a32_u256")),
        ("Row-scale-in-runs", Some("linear8z128_g32_f256_a32_u256")),
        ("Rows-of-words", Some("linear4_z256_g32_h256_a32_u256")),
        ("Scale-levels", Some("linear4z8_g16_f16_a256_u256")),
        ("Small-roots", Some("linear4_g8_f8_min_a32_u32")),
    ];
    assert_eq!(classes, BTreeMap::from(wanted));
}

/// Nothing but the number of weights in a block differs.
#[test]
fn a_scale_for_the_row_is_summed_alike_whatever_the_block() {
    assert_eq!(class(format("Row-scale")), class(format("Row-scale-in-runs")));
    assert_eq!(check("Row-scale").products, check("Row-scale-in-runs").products);
}

#[test]
fn a_shape_without_kernels_is_said_to_be_one() {
    let report = check("Blocks-of-48");
    let what = "blocks of 48 weights: they divide 512, or are multiples of 32";
    assert_eq!((report.untested, report.products, report.kernels), (Some(Untested::Uncovered(what)), 0, 0));
    assert!(report.decoded > 1000 && report.encoded >= 256, "{report}");
    let bytes = vec![0; 26];
    let refused = Weights::pack(format("Blocks-of-48"), 1, 48, &bytes, Pool::global()).unwrap_err().to_string();
    assert_eq!(refused, format!("Blocks-of-48 can be decoded only: no kernel covers {what}"));
    let text = report.to_string();
    assert!(text.ends_with(&format!(": right, and not one product was tested: no kernel covers {what}")), "{text}");
}

#[test]
fn a_zero_of_a_whole_row_is_not_encoded_for_what_it_is() {
    let refused = Encoder::new(format("Rows-of-words")).unwrap_err().to_string();
    assert!(refused.contains("shared by more neighbouring weights than the search takes"), "{refused}");
}
