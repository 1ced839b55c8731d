//! Cards, blocks and the plain form of what devices compute.

use std::path::{Path, PathBuf};

use quantloom::gguf::BlockShape;
use quantloom::gpu::{Error, Kernels};
use quantloom_codegen::emit::gpu::Module;
use quantloom_codegen::lower::class::SEGMENT;
use quantloom_codegen::plan::PlannedFormat;
use quantloom_codegen::{Config, emit};
use quantloom_spec::gpu::Dialect;
use quantloom_spec::{Spec, cards_dir, eval};

/// What a test needs, or nothing where it is missing and need not be there.
pub fn required<T>(found: Result<T, Error>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(why @ Error::Missing { .. }) if std::env::var_os("QUANTLOOM_REQUIRE_GPU_TESTS").is_none() => {
            eprintln!("skipped: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

/// Every block format of the cards.
pub fn formats() -> Vec<PlannedFormat> {
    Config::new().plan().unwrap_or_else(|wrong| panic!("{wrong}")).formats
}

pub fn dialect(name: &str) -> Dialect {
    let dialects = Spec::read(cards_dir()).unwrap_or_else(|wrong| panic!("{wrong}")).dialects;
    dialects.into_iter().map(|(_, dialect)| dialect).find(|dialect| dialect.name == name).expect("the dialect has a card")
}

/// A format's WGSL module and its dialect.
pub struct Generated {
    module: Module,
    dialect: Dialect,
    block: BlockShape,
}

impl Generated {
    pub fn wgsl(format: &PlannedFormat) -> Self {
        let dialect = dialect("wgsl");
        let module = emit::wgsl::module(format, &dialect).unwrap_or_else(|wrong| panic!("{wrong}"));
        Self { module, dialect, block: block(format) }
    }

    pub fn kernels(&self) -> Kernels<'_> {
        let Module { text, tables } = &self.module;
        Kernels { source: text, tables, block: self.block, workgroup: self.dialect.workgroup, segment: SEGMENT }
    }

    pub fn splits(&self) -> &[usize] {
        &self.dialect.splitk
    }
}

fn block(format: &PlannedFormat) -> BlockShape {
    BlockShape { weights: format.decoder.weights, bytes: format.decoder.bytes }
}

/// The golden files.
pub fn golden_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden");
    let entries = folder.read_dir().unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension() == Some("gguf".as_ref())).collect();
    files.sort();
    assert!(!files.is_empty(), "there are golden files");
    files
}

/// Numbers that look random and are the same every time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A value of either sign below 1.
    pub fn unit(&mut self) -> f32 {
        (self.roll() as i32) as f32 / (1_u32 << 31) as f32
    }

    pub fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.unit()).collect()
    }

    /// Blocks of random bytes whose weights are all below `limit`.
    pub fn blocks(&mut self, format: &PlannedFormat, count: usize, limit: f32) -> Vec<u8> {
        let fits = |block: &[u8]| eval::decode_blocks(&format.card.format, block).iter().all(|weight| weight.abs() < limit);
        let mut bytes = Vec::new();
        while bytes.len() < count * format.decoder.bytes {
            let block: Vec<u8> = (0..format.decoder.bytes).map(|_| self.roll() as u8).collect();
            if fits(&block) {
                bytes.extend(block);
            }
        }
        bytes
    }
}

/// The class `exact`, as plainly as it can be said: segments from +0 in K order, then their sums from +0 in order.
pub fn exact(weights: &[f32], x: &[f32], multiply_add: impl Fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let dot = |row: &[f32]| {
        let segments = row.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        let sums = segments.map(|(w, x)| w.iter().zip(x).fold(0.0, |sum, (w, x)| multiply_add(*w, *x, sum)));
        sums.fold(0.0, |sum, segment| sum + segment)
    };
    weights.chunks(x.len()).map(dot).collect()
}

/// Compares bits, and says where they differ.
pub fn assert_equal_bits(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}: number of values");
    let wrong = found.iter().zip(wanted).enumerate().filter(|(_, (found, wanted))| found.to_bits() != wanted.to_bits());
    let wrong: Vec<_> = wrong.map(|(index, (found, wanted))| format!("{index}: {found:e} for {wanted:e}")).collect();
    assert!(wrong.is_empty(), "{what}: {} of {} values differ: {:?}", wrong.len(), found.len(), &wrong[..wrong.len().min(4)]);
}
