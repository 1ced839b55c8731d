//! Caches to report on, and the command that does it.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use quantloom::matmul::candidates;
use quantloom::measure::synthetic;
use quantloom::pool::Pool;
use quantloom::registry::{self, Kernel, Numerics};
use quantloom::tune::{self, CacheFile, Digest, Effort, Entry, Key, Origin, Time};
use quantloom::weights::Weights;
use tempfile::TempDir;

use crate::shared::quantloom;

/// A name that would be markup if it were not escaped.
pub const HOSTILE: &str = "<script>document.title='owned'</script>\"><img src=x onerror=alert(1)>'&amp;";

/// A cache of its own for each test, and where the page goes.
pub struct Sandbox(pub TempDir);

impl Sandbox {
    pub fn new(entries: &[Entry]) -> Self {
        let folder = TempDir::new().unwrap();
        CacheFile::new(folder.path(), tune::environment()).merge(entries, Duration::from_secs(9)).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = quantloom();
        command.arg("report").args(args).env(tune::VARIABLE, self.0.path()).output().unwrap()
    }

    /// Writes the page, and reads it.
    pub fn page(&self, more: &[&str]) -> String {
        let path = self.path("page.html");
        let output = self.run(&[&[path.to_str().unwrap()], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_to_string(path).unwrap()
    }

    /// The one line that a run which fails says.
    pub fn failure(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        said
    }
}

/// Kernels of a class that dispatch chooses from for some weights, which are of the first format that has the class.
fn kernels(numerics: Numerics) -> (Weights, Vec<&'static Kernel>) {
    let has = |format: &&registry::Format| registry::numerics(format).contains(&numerics) && format.row_multiple() == 1;
    let format = registry::formats().find(has).unwrap();
    let (n, k) = (64, 4 * format.block_weights);
    let weights = Weights::pack(format, n, k, &synthetic(format, n, k).unwrap(), Pool::global()).unwrap();
    let kernels = candidates(&weights, numerics, registry::best_isa()).unwrap();
    (weights, kernels)
}

/// An entry in which the first kernel is the default, and takes 100 µs. Ratios and rounds are those of all kernels that ran.
pub fn entry(numerics: Numerics, batch: usize, times: &[(f64, usize)], chosen: usize) -> Entry {
    let (weights, kernels) = kernels(numerics);
    let time = |(&(ratio, rounds), kernel): (&(f64, usize), &&Kernel)| Time {
        kernel: kernel.name.to_owned(),
        ns: (ratio * 100_000.0) as u64,
        ratio,
        rounds,
    };
    Entry {
        key: Key::new(&weights, batch, numerics, registry::best_isa(), Pool::global().threads()),
        kernel: kernels[chosen].name.to_owned(),
        kernel_hash: Digest(kernels[chosen].hash),
        default: kernels[0].name.to_owned(),
        measured: batch,
        spread: 1.042,
        effort: Effort::Full,
        origin: Origin::Local,
        system: tune::system().to_owned(),
        times: times.iter().zip(&kernels).map(time).collect(),
    }
}

/// One entry of each kind. The third is of another build.
pub fn entries() -> Vec<Entry> {
    let changed = entry(Numerics::Int8, 1, &[(1.0, 6), (0.93, 6), (1.8, 2)], 1);
    let kept = entry(Numerics::Int8, 100, &[(1.0, 6), (0.99, 6)], 0);
    let exact = entry(Numerics::Exact, 1, &[(1.0, 2), (2.5, 2)], 0);
    let mut foreign = Entry { system: "<b>another</b> system".into(), origin: Origin::Imported, ..changed.clone() };
    foreign.key = Key { format: HOSTILE.into(), code: Digest(1), ..foreign.key };
    foreign.kernel = HOSTILE.replace(' ', "_");
    foreign.times[1].kernel = foreign.kernel.clone();
    vec![changed, kept, exact, foreign]
}

/// More problems than a page lists at first, of one format.
pub fn many() -> Vec<Entry> {
    let entry = entry(Numerics::Int8, 1, &[(1.0, 6), (0.93, 6)], 1);
    (1000..1100).map(|n| Entry { key: Key { n, ..entry.key.clone() }, ..entry.clone() }).collect()
}
