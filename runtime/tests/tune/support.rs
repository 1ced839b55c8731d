//! What the tests of the tuner share.

use quantloom::matmul::{Launch, candidates};
use quantloom::measure::synthetic;
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Kernel, Numerics};
use quantloom::tune::{CacheFile, Digest, Effort, Entry, Key, Origin, Time};
use quantloom::weights::Weights;
use tempfile::TempDir;

/// An environment that no machine has.
pub const ELSEWHERE: &str = "SomeMaker-6-207-2;48K-2048K-266240K;avx2+scalar";

/// The first format of any number of rows with kernels for what requests ask for by default.
pub fn format() -> &'static Format {
    let asked = Numerics::Int8;
    let has = |format: &&Format| registry::kernels(format).iter().any(|kernel| kernel.numerics == asked);
    registry::formats().filter(|format| format.row_multiple() == 1).find(has).unwrap()
}

/// `n` rows of `blocks` blocks of that format.
pub fn weights(n: usize, blocks: usize) -> Weights {
    let k = blocks * format().block_weights;
    Weights::pack(format(), n, k, &synthetic(format(), n, k).unwrap(), Pool::global()).unwrap()
}

/// The kernels that dispatch chooses from, in card order.
pub fn kernels(weights: &Weights) -> Vec<&'static Kernel> {
    candidates(weights, Numerics::Int8, registry::best_isa()).unwrap()
}

/// The key of a multiplication as it is requested by default.
pub fn key(weights: &Weights, batch: usize) -> Key {
    Key::new(weights, batch, Numerics::Int8, registry::best_isa(), Pool::global().threads())
}

/// An entry that chooses a kernel with the arguments of its card.
pub fn entry(key: Key, kernel: &'static Kernel) -> Entry {
    let launch = Launch::of(kernel).to_string();
    Entry {
        measured: key.batch.first(),
        key,
        kernel: launch.clone(),
        kernel_hash: Digest(kernel.hash),
        default: "another".to_owned(),
        spread: 1.042,
        effort: Effort::Full,
        origin: Origin::Local,
        system: "a program; a system".to_owned(),
        times: vec![
            Time { kernel: launch, ns: 12_345, ratio: 0.526, rounds: 6 },
            Time { kernel: "another".to_owned(), ns: 23_456, ratio: 1.0, rounds: 6 },
        ],
    }
}

/// `count` entries that differ in N, from `first` on.
pub fn entries(first: usize, count: usize) -> Vec<Entry> {
    let weights = weights(16, 1);
    let key = |n| Key { n, ..key(&weights, 1) };
    (first..first + count).map(|n| entry(key(n), kernels(&weights)[0])).collect()
}

/// A cache file in a folder of its own.
pub fn file() -> (TempDir, CacheFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = CacheFile::new(folder.path(), ELSEWHERE);
    (folder, file)
}
