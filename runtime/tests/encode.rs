//! The encoder: its error against ggml's, and that what it writes is what it meant.

use std::path::{Path, PathBuf};
use std::time::Instant;

use quantloom::encode::Encoder;
use quantloom::gguf::{BlockShape, Gguf};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};

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

/// Without importance, and with it for the formats whose vectors ggml does not choose without.
#[test]
fn errors_stay_within_those_of_ggml() {
    for (file, format) in golden() {
        let encoder = Encoder::new(format).unwrap();
        let vectors = registry::model(format).unwrap().pieces.iter().any(|piece| piece.code.width() > 1);
        for weighted in [false, true].into_iter().take(if vectors { 2 } else { 1 }) {
            let [ours, theirs] = errors(&file, format, &encoder, weighted);
            assert!(ours <= LIMIT * theirs, "{}: {ours:e} over {theirs:e}, weighted: {weighted}", format.name);
        }
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

/// Seconds of processor time that this thread has had; of the clock where the system does not tell.
fn seconds(start: Instant) -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let time = times.split(' ').next().and_then(|time| time.parse::<f64>().ok());
    time.map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| 1e-9 * nanoseconds)
}

/// The table of `docs/encoder.md`.
#[test]
#[ignore = "measures: run in a release build, on a quiet machine"]
fn report() {
    println!("| format | NMSE | of ggml's | weighted NMSE | of ggml's | MB/s |\n|---|---|---|---|---|---|");
    let alone = Pool::new(1);
    for (file, format) in golden() {
        let encoder = Encoder::new(format).unwrap();
        let [[plain, their_plain], [weighted, their_weighted]] =
            [false, true].map(|weighted| errors(&file, format, &encoder, weighted));
        let (x, k) = (floats(&file, "source"), floats(&file, "importance").len());
        let speed = |_| {
            let clock = Instant::now();
            let (start, mut rounds) = (seconds(clock), 0);
            while clock.elapsed().as_secs_f64() < 0.2 {
                encoder.encode(&x, k, None, &alone).unwrap();
                rounds += 1;
            }
            4e-6 * f64::from(rounds) * x.len() as f64 / (seconds(clock) - start)
        };
        let speed = (0..3).map(speed).fold(0.0, f64::max);
        println!(
            "| {} | {plain:.3e} | {:.3} | {weighted:.3e} | {:.3} | {speed:.1} |",
            format.name,
            plain / their_plain,
            weighted / their_weighted
        );
    }
}
