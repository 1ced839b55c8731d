//! The encoder: its error against ggml's, and that what it writes is what it meant.

use std::path::{Path, PathBuf};

use quantloom::encode::{EncodedTensor, Encoder};
use quantloom::gguf::{BlockShape, Gguf};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::safetensors::SafeTensors;
use quantloom::stored::Stored;
use quantloom_spec::model::Format as Model;

/// How much larger than ggml's our error may be.
const LIMIT: f64 = 1.05;

/// The golden files: by default those of the repository.
fn golden() -> Vec<(Gguf, &'static Format)> {
    let folder = std::env::var_os("QUANTLOOM_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden"), PathBuf::from);
    let mut paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    paths.sort();
    let files = paths.into_iter().map(|path| {
        let file = Gguf::open(&path).unwrap();
        let kind = file.tensor("quantized").unwrap().kind;
        (file, registry::format_by_gguf(kind).unwrap())
    });
    files.collect()
}

fn floats(file: &Gguf, name: &str) -> Vec<f32> {
    let bytes = file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Encodes and decodes again, with the decoder that was generated from the card.
fn there_and_back(encoder: &Encoder, format: &'static Format, x: &[f32], k: usize, importance: Option<&[f32]>) -> Vec<f32> {
    let bytes = encoder.encode(x, k, importance, Pool::global()).unwrap();
    let mut y = vec![0.0; x.len()];
    quantloom::decode(format, x.len() / k, k, &bytes, &mut y).unwrap();
    y
}

/// `sum w (x - y)^2 / sum w x^2`.
fn nmse(x: &[f32], y: &[f32], w: &[f32]) -> f64 {
    let w = || w.iter().cycle().map(|w| f64::from(*w));
    let error: f64 = x.iter().zip(y).zip(w()).map(|((x, y), w)| w * (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    error / x.iter().zip(w()).map(|(x, w)| w * f64::from(*x).powi(2)).sum::<f64>()
}

/// Our error and ggml's for a golden file, which are weighted by its importance if that is used.
fn errors(file: &Gguf, format: &'static Format, encoder: &Encoder, weighted: bool) -> [f64; 2] {
    let (x, theirs, importance) = (floats(file, "source"), floats(file, "quantized.f32"), floats(file, "importance"));
    let ours = there_and_back(encoder, format, &x, importance.len(), weighted.then_some(&importance));
    let w = if weighted { &importance } else { &vec![1.0; importance.len()] };
    [nmse(&x, &ours, w), nmse(&x, &theirs, w)]
}

/// Without importance and with it. Prints the table of `docs/encoder.md`.
#[test]
fn errors_stay_within_those_of_ggml() {
    println!("| format | NMSE | of ggml's | weighted NMSE | of ggml's |\n|---|---|---|---|---|");
    for (file, format) in golden() {
        let encoder = Encoder::new(format).unwrap();
        let cells = [false, true].map(|weighted| {
            let [ours, theirs] = errors(&file, format, &encoder, weighted);
            assert!(ours <= LIMIT * theirs, "{}: {ours:e} over {theirs:e}, weighted: {weighted}", format.name);
            format!("{ours:.3e} | {:.3}", ours / theirs)
        });
        println!("| {} | {} |", format.name, cells.join(" | "));
    }
}

/// A scale for the whole row over finer ones of the groups, against one for each block over coarser ones: as many bits for each
/// weight, and the same kind of levels.
#[test]
fn scales_for_whole_rows_are_as_good_as_for_blocks() {
    let file = golden().into_iter().find(|(_, format)| format.name == "IQ4_XS").unwrap().0;
    let (x, importance) = (floats(&file, "source"), floats(&file, "importance"));
    let [rows, blocks] = ["IQ4_KS", "IQ4_XS"].map(|name| registry::format_by_name(name).unwrap());
    assert_eq!(rows.bits_per_weight(), blocks.bits_per_weight());
    for (importance, k) in [(None, 512), (None, 4096), (Some(importance.as_slice()), 512)] {
        let error = |format| {
            let y = there_and_back(&Encoder::new(format).unwrap(), format, &x, k, importance);
            nmse(&x, &y, importance.unwrap_or(&[1.0]))
        };
        let (ours, theirs) = (error(rows), error(blocks));
        println!("{k} {} {ours:e} {theirs:e}", importance.is_some());
        assert!(ours < theirs, "rows of {k}: {ours:e} over {theirs:e}");
    }
}

/// Files of `testdata/tensors` in separate tensors, and their formats.
const SEPARATE: [(&str, &str); 6] = [
    ("gptq_4bit_g128", "GPTQ-4bit-g128"),
    ("gptq_3bit_g128", "GPTQ-3bit-g128"),
    ("awq_4bit_g128", "AWQ-4bit-g128"),
    ("mlx_4bit_g64", "MLX-4bit-g64"),
    ("nf4", "NF4"),
    ("fp8_e4m3", "FP8-E4M3"),
];
const MATRIX: &str = "model.layers.0.mlp.up_proj";

/// Encodes a matrix and decodes it again, with the decoder that was generated from the card.
fn through_tensors(format: &'static Format, x: &[f32], n: usize, k: usize) -> (Vec<EncodedTensor>, Vec<f32>) {
    let encoded = Encoder::new(format).unwrap().encode_tensors(x, n, k, None, Pool::global()).unwrap();
    let shapes = format.shapes(n, k).unwrap();
    assert!(encoded.iter().zip(&shapes).all(|(tensor, (shape, _))| tensor.shape == *shape), "{}", format.name);
    let bytes = encoded[..shapes.len()].iter().map(|tensor| tensor.bytes.as_slice()).collect::<Vec<_>>();
    let mut y = vec![f32::NAN; n * k];
    Stored::from_tensors(format, n, k, &bytes).unwrap().decode(0..n, &mut y).unwrap();
    (encoded, y)
}

/// Weights that a format can hold as they are come back nearly so, and what follows from k is what files say there.
#[test]
fn what_separate_tensors_held_comes_back() {
    for (name, format) in SEPARATE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/tensors/{name}.safetensors"));
        let (file, format) = (SafeTensors::open(path).unwrap(), registry::format_by_name(format).unwrap());
        let decoded = file.tensor(&format!("{MATRIX}.dequantized")).unwrap();
        let x = decoded.bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect::<Vec<_>>();
        let &[n, k] = decoded.shape else { panic!("a matrix") };
        let (encoded, y) = through_tensors(format, &x, n, k);
        let error = nmse(&x, &y, &[1.0]);
        println!("{name} {error:e}");
        assert!(error < 1e-3, "{name}: {error:e}");
        for index in &encoded[format.shapes(n, k).unwrap().len()..] {
            assert_eq!(index.bytes, file.tensor(&format!("{MATRIX}.{}", index.name)).unwrap().bytes, "{name}");
        }
    }
}

/// A group rounded to the nearest of `levels`, the largest magnitudes of both being made equal.
fn by_largest(group: &[f32], levels: &[f32]) -> Vec<f32> {
    let largest = |values: &[f32]| values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let scale = largest(group) / largest(levels);
    let distance = |x: &f32, level: &f32| (x - scale * level).abs();
    let nearest = |x: &f32| levels.iter().copied().min_by(|a, b| distance(x, a).total_cmp(&distance(x, b))).unwrap();
    group.iter().map(|x| scale * nearest(x)).collect()
}

/// A group rounded to as many even steps from its least to its greatest value; 0 is one of the steps if it `keeps_zero`.
fn by_range(group: &[f32], steps: f32, keeps_zero: bool) -> Vec<f32> {
    let range = group.iter().fold((0.0_f32, 0.0_f32), |(low, high), x| (low.min(*x), high.max(*x)));
    let scale = (range.1 - range.0) / steps;
    let zero = if keeps_zero { (-range.0 / scale).round() } else { -range.0 / scale };
    group.iter().map(|x| scale * ((x / scale + zero).round().clamp(0.0, steps) - zero)).collect()
}

/// The weights of the golden files, 16 rows of 512.
fn source() -> Vec<f32> {
    floats(&golden()[0].0, "source")
}

/// All formats in separate tensors that can be encoded, which are not those with a scale that rows share, and that every build has kernels
/// of.
fn separate() -> impl Iterator<Item = &'static Format> {
    let is_usual = |format: &'static Format| registry::model(format).is_ok_and(|card| card.kernels);
    let in_tensors = registry::formats().filter(|format| BlockShape::of(format).is_none());
    in_tensors.filter(move |format| is_usual(format) && Encoder::new(format).is_ok())
}

/// A group by the plain formula of its format, which keeps the scale in full precision.
fn by_formula(model: &Model, group: &[f32]) -> Vec<f32> {
    let code = &model.pieces[0].code;
    match (&code.levels, code.codes()) {
        (Some(levels), _) => by_largest(group, &levels.values),
        (None, Some(codes)) => by_range(group, (codes - 1) as f32, model.zero.is_some()),
        (None, None) => {
            let levels = (0..256).map(|bits| model.element(0).value(bits) as f32).filter(|level| level.is_finite());
            by_largest(group, &levels.collect::<Vec<_>>())
        }
    }
}

/// Our error for rows of `k` weights in separate tensors, and that of the plain formula.
fn against_formula(format: &'static Format, x: &[f32], k: usize) -> [f64; 2] {
    let model = registry::model(format).unwrap();
    let run = model.run(&model.pieces[0], model.scale.as_ref().unwrap());
    // Where the layout of a row repeats after each weight, the scale is that of the row.
    let group = if run == 1 { k } else { run };
    let (_, y) = through_tensors(format, x, x.len() / k, k);
    let theirs = x.chunks(group).flat_map(|group| by_formula(model, group)).collect::<Vec<_>>();
    [nmse(x, &y, &[1.0]), nmse(x, &theirs, &[1.0])]
}

/// Prints the second table of `docs/encoder.md`.
#[test]
fn separate_tensors_are_better_than_by_formula() {
    println!("| format | NMSE | of the formula's |\n|---|---|---|");
    let mut tested = 0;
    for format in separate() {
        let [ours, theirs] = against_formula(format, &source(), 256);
        assert!(ours < theirs, "{}: {ours:e} over {theirs:e}", format.name);
        println!("| {} | {ours:.3e} | {:.3} |", format.name, ours / theirs);
        tested += 1;
    }
    assert!(tested >= SEPARATE.len());
}
