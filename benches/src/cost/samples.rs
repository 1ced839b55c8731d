//! Times of kernels, taken in turns, and kept in a file of lines so that measuring can go on later.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use quantloom::machine::Caches;
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{Cold, activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Isa, Kernel};
use quantloom::tune::cost::{Problem, Terms};
use quantloom::weights::Weights;
use serde::{Deserialize, Serialize};

use crate::defaults::CostModel;
use crate::shape::Shape;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// From this batch on weights are used often enough that one copy of them will do, as in [`quantloom::measure`].
const REUSED: usize = 32;
/// Larger batches are left out once one call has taken longer than this.
const LONG: Duration = Duration::from_millis(40);
/// Rounds in which the kernels of a problem take turns, and the time after which no further one begins.
const ROUNDS: usize = 6;
const ENOUGH: Duration = Duration::from_millis(100);

/// What one kernel took for one problem.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sample {
    /// The kernel's name.
    pub kernel: String,
    /// Rows of the weights.
    pub n: usize,
    /// Weights of a row.
    pub k: usize,
    /// Columns.
    pub batch: usize,
    /// The lower quartile of some calls, on one thread, the weights in no cache.
    pub nanoseconds: f64,
}

impl Sample {
    /// What was computed.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem { n: self.n, k: self.k, batch: self.batch, threads: 1 }
    }

    /// How much was done; none if this build does not have the kernel.
    #[must_use]
    pub fn terms(&self, caches: &Caches) -> Option<Terms> {
        Some(Terms::of(self.kernel()?, &self.problem(), caches))
    }

    /// The kernel, if this build has it.
    #[must_use]
    pub fn kernel(&self) -> Option<&'static Kernel> {
        let format = registry::format_by_name(self.kernel.split('.').next()?).ok()?;
        registry::kernels(format).iter().find(|kernel| kernel.name == self.kernel)
    }
}

/// The samples of a file; none if there is no such file.
///
/// # Errors
/// The file cannot be read, or a line of it is no sample.
pub fn load(path: &Path) -> Result<Vec<Sample>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let lines = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let sample =
        |(index, line)| serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", path.display(), index + 1).into());
    lines.lines().enumerate().map(sample).collect()
}

/// Measures what the file lacks, and adds it, until the time is over. Whether all of it is there now.
///
/// # Errors
/// What measuring or writing reports.
pub fn measure(path: &Path, cases: &CostModel, isas: &[&'static Isa], budget: Duration) -> Result<bool> {
    let end = Instant::now() + budget;
    let known = load(path)?.into_iter().map(|sample| ((sample.kernel, sample.n, sample.k, sample.batch), sample.nanoseconds));
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut bench = Bench { known: known.collect(), end, file: &mut file, pool: Pool::new(1) };
    for name in cases.formats.iter().chain(&cases.held_out) {
        let format = registry::format_by_name(name)?;
        for &shape in &cases.shapes {
            if !bench.format(format, shape, &cases.batches, isas)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

struct Bench<'a> {
    /// Nanoseconds by kernel, rows, weights of a row, and batch.
    known: HashMap<(String, usize, usize, usize), f64>,
    end: Instant,
    file: &'a mut fs::File,
    pool: Pool,
}

impl Bench<'_> {
    /// Measures one format and shape; whether there was time for it.
    fn format(&mut self, format: &'static Format, shape: Shape, batches: &[usize], isas: &[&'static Isa]) -> Result<bool> {
        let mut cold = None;
        for race in races(format, isas) {
            for &batch in batches {
                let fastest = match self.known(&race, shape, batch) {
                    Some(fastest) => fastest,
                    None if Instant::now() >= self.end => return Ok(false),
                    None => {
                        let cold = match &mut cold {
                            Some(cold) => cold,
                            none => none.insert(self.cold(format, shape)?),
                        };
                        self.race(&race, cold, batch)?
                    }
                };
                if fastest > LONG {
                    break;
                }
            }
        }
        Ok(true)
    }

    /// What the fastest took, if all were measured before.
    fn known(&self, race: &[&Kernel], shape: Shape, batch: usize) -> Option<Duration> {
        let time = |kernel: &&Kernel| self.known.get(&(kernel.name.to_owned(), shape.n, shape.k, batch)).copied();
        let times = race.iter().map(time).collect::<Option<Vec<_>>>()?;
        Some(Duration::from_secs_f64(times.into_iter().fold(f64::INFINITY, f64::min) / 1e9))
    }

    fn cold(&self, format: &'static Format, shape: Shape) -> Result<Cold> {
        let stored = synthetic(format, shape.n, shape.k)?;
        Ok(Cold::new(Weights::pack(format, shape.n, shape.k, &stored, &self.pool)?, 1)?)
    }

    /// Lets the kernels of a problem take turns, and writes what they took; how long the fastest did.
    fn race(&mut self, kernels: &[&'static Kernel], cold: &Cold, batch: usize) -> Result<Duration> {
        let (n, k) = (cold.weights(0).n(), cold.weights(0).k());
        let (x, mut y) = (activations(batch, k)?, vec![0.0; batch * n]);
        let mut call = 0;
        let mut time = |kernel: &'static Kernel| -> Result<Duration> {
            let request = Request::default().launch(kernel).threads(1);
            call += 1;
            let weights = cold.weights(if batch < REUSED { call } else { 0 });
            let start = Instant::now();
            matmul(weights, &x, batch, &mut y, &request, &self.pool)?;
            Ok(start.elapsed())
        };
        let start = Instant::now();
        let mut times = vec![Vec::new(); kernels.len()];
        for round in 0..=ROUNDS {
            for (kernel, times) in kernels.iter().zip(&mut times) {
                let time = time(kernel)?;
                // The first call finds nothing ready.
                if round > 0 {
                    times.push(time);
                }
            }
            if round > 2 && start.elapsed() > ENOUGH {
                break;
            }
        }
        for times in &mut times {
            times.sort_unstable();
        }
        // Below the median, because everything that disturbs a call makes it slower; not the least, which is luck.
        let quartiles = times.iter().map(|times| times[times.len() / 4]).collect::<Vec<_>>();
        for (kernel, time) in kernels.iter().zip(&quartiles) {
            let nanoseconds = time.as_secs_f64() * 1e9;
            let sample = Sample { kernel: kernel.name.to_owned(), n, k, batch, nanoseconds };
            writeln!(self.file, "{}", serde_json::to_string(&sample)?)?;
        }
        Ok(quartiles.into_iter().min().unwrap_or_default())
    }
}

/// The kernels of a format on some instruction sets, by instruction set and numerics class.
fn races(format: &'static Format, isas: &[&'static Isa]) -> Vec<Vec<&'static Kernel>> {
    let mut races: Vec<Vec<&'static Kernel>> = Vec::new();
    for kernel in registry::kernels(format).iter().filter(|kernel| isas.iter().any(|isa| isa.name == kernel.isa().name)) {
        let fits = |race: &&mut Vec<&Kernel>| race[0].isa().name == kernel.isa().name && race[0].numerics == kernel.numerics;
        match races.iter_mut().find(fits) {
            Some(race) => race.push(kernel),
            None => races.push(vec![kernel]),
        }
    }
    races
}
