//! The facts that a generator derives, for every card.

mod common;

/// Class, levels, unit, group of the scale and of the min; one line per format.
const DERIVED: &str = "
AWQ-4bit-g128  linear5s  31 of 1, max 15, group 128
BF16           float
F16            float
F32            float
FP8-E4M3       float
FP8-E4M3-tensor float
GPTQ-3bit-g128 linear4s  15 of 1, max 8, group 128
GPTQ-4bit-g128 linear5s  31 of 1, max 16, group 128
IQ1_M          palette3s 6 of 0.125, max 9, group 16
IQ1_S          palette3s 6 of 0.125, max 9, group 32
IQ2_S          palette3s 6 of 1, max 43, group 16
IQ2_XS         palette3s 6 of 1, max 43, group 16
IQ2_XXS        palette3s 6 of 1, max 43, group 32
IQ3_S          palette4s 16 of 1, max 15, group 32
IQ3_XXS        palette4s 16 of 1, max 62, group 32
IQ4_KS         palette5s 32 of 1, max 127, group 32
IQ4_NL         palette4s 16 of 1, max 127, group 32
IQ4_XS         palette4s 16 of 1, max 127, group 32
MLX-4bit-g64   linear4u  16 of 1, max 15, group 64, min per 64
MLX-8bit-g64   linear8u  256 of 1, max 255, group 64, min per 64
MXFP4          palette4s 15 of 1, max 12, group 32
NF4            palette4s
NVFP4          palette4s 15 of 1, max 12, group 16
Q1_0           palette1s 2 of 1, max 1, group 128
Q2_0           linear2s  4 of 1, max 2, group 64
Q2_K           linear2u  4 of 1, max 3, group 16, min per 16
Q3_K           linear3s  8 of 1, max 4, group 16
Q4_0           linear4s  16 of 1, max 8, group 32
Q4_1           linear4u  16 of 1, max 15, group 32, min per 32
Q4_K           linear4u  16 of 1, max 15, group 32, min per 32
Q5_0           linear5s  32 of 1, max 16, group 32
Q5_1           linear5u  32 of 1, max 31, group 32, min per 32
Q5_K           linear5u  32 of 1, max 31, group 32, min per 32
Q6_K           linear6s  64 of 1, max 32, group 16
Q8_0           linear8s  256 of 1, max 128, group 32
Q8_K           linear8s  256 of 1, max 128, group 256
TQ1_0          linear2s  3 of 1, max 1, group 256
TQ2_0          linear2s  4 of 1, max 2, group 256
";

#[test]
fn every_card_gives_its_class() {
    let mut lines: Vec<String> = common::spec()
        .formats
        .iter()
        .filter(|(_, format)| format.kernels)
        .map(|(_, format)| {
            let summary = format.summary();
            let class = summary.class.to_string();
            let Some(facts) = summary.integers else { return format!("{:14} {class}", format.name) };
            let weights = |group: Option<usize>| group.map_or("row".to_owned(), |group| group.to_string());
            let min = facts.min_group.map_or(String::new(), |group| format!(", min per {}", weights(group)));
            let (levels, unit, max, group) = (facts.levels, facts.unit, facts.max(), weights(facts.group));
            format!("{:14} {class:9} {levels} of {unit}, max {max}, group {group}{min}", format.name)
        })
        .collect();
    lines.sort();
    assert_eq!(lines.join("\n"), DERIVED.trim());
}

/// Kernels take 128 off such levels before they multiply.
#[test]
fn no_pair_overflows_i16_but_of_unsigned_bytes() {
    for (_, format) in common::spec().formats {
        assert!(format.summary().integers.is_none_or(|facts| facts.pair_fits() == (facts.max() < 255)), "{}", format.name);
    }
}

#[test]
fn summary_as_text() {
    let expected = "\
bits per weight   4.5
class             linear4u
alignment         2
levels            16, 0 to 15 in units of 1
group             32
min group         32
activations       quantised per 256; sums per 32
largest dot       60960
largest pair      3810, which fits i16
largest scale     63
";
    assert_eq!(common::format("q4_K").summary().to_string(), expected);
}

#[test]
fn levels_fold_the_zero_point_in() {
    let levels = common::format("iq1_s").integer_levels().unwrap();
    assert_eq!((levels.unit, levels.values), (0.125, vec![-9, -7, -1, 1, 7, 9]));
}

#[test]
fn runs_follow_the_smallest_stride() {
    let format = common::format("q4_K");
    let piece = &format.pieces[0];
    assert_eq!(format.run(piece, &piece.code), 1);
    let scale = format.scale.as_ref().unwrap();
    assert_eq!(format.run(piece, scale), 32);
    assert_eq!(format.run(piece, scale.outer.as_ref().unwrap()), 256);

    let vectors = common::format("iq2_s");
    assert_eq!(vectors.run(&vectors.pieces[0], &vectors.pieces[0].code), 8);
    let trits = common::format("tq1_0");
    let lengths: Vec<usize> = trits.pieces.iter().map(|piece| trits.run(piece, trits.scale.as_ref().unwrap())).collect();
    assert_eq!(lengths, [160, 80, 16]);
}
