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
fn there_and_back(format: &'static Format, x: &[f32], k: usize, importance: Option<&[f32]>) -> Vec<f32> {
    let bytes = Encoder::new(format).unwrap().encode(x, k, importance, Pool::global()).unwrap();
    let mut y = vec![0.0; x.len()];
    quantloom::decode(format, &bytes, &mut y).unwrap();
    y
}

/// `sum w (x - y)^2 / sum w x^2`.
fn nmse(x: &[f32], y: &[f32], w: &[f32]) -> f64 {
    let w = || w.iter().cycle().map(|w| f64::from(*w));
    let error: f64 = x.iter().zip(y).zip(w()).map(|((x, y), w)| w * (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    error / x.iter().zip(w()).map(|(x, w)| w * f64::from(*x).powi(2)).sum::<f64>()
}

/// Errors of a golden file: ours and ggml's without importance, then both with it.
fn errors(file: &Gguf, format: &'static Format) -> [f64; 4] {
    let (x, theirs, importance) = (floats(file, "source"), floats(file, "quantized.f32"), floats(file, "importance"));
    let k = importance.len();
    let plain = there_and_back(format, &x, k, None);
    let weighted = there_and_back(format, &x, k, Some(&importance));
    let w = &importance;
    [nmse(&x, &plain, &[1.0]), nmse(&x, &theirs, &[1.0]), nmse(&x, &weighted, w), nmse(&x, &theirs, w)]
}

#[test]
fn errors_stay_within_those_of_ggml() {
    for (file, format) in golden() {
        let [plain, their_plain, weighted, their_weighted] = errors(&file, format);
        assert!(plain <= LIMIT * their_plain, "{}: {plain:e} over {their_plain:e}", format.name);
        assert!(weighted <= LIMIT * their_weighted, "{}: weighted {weighted:e} over {their_weighted:e}", format.name);
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
        let [plain, their_plain, weighted, their_weighted] = errors(&file, format);
        let (x, k) = (floats(&file, "source"), floats(&file, "importance").len());
        let encoder = Encoder::new(format).unwrap();
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
