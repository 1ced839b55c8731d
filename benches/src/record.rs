//! What a run beside the peers found, as it is kept in `records/`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::shape::Shape;

/// The contender that is this project.
pub const OURS: &str = "quantloom";

/// The contender that takes part if it is asked for. With repacked weights its name is longer.
pub const IK: &str = "ik_llama.cpp";

/// One run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Record {
    /// Seconds since 1970 when it began.
    pub began: u64,
    /// The processor's name.
    pub processor: String,
    /// The peers: versions, and which instructions they were built for.
    pub peers: Vec<String>,
    /// By number of threads.
    pub runs: Vec<Run>,
}

/// All that was measured on one number of threads.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    /// The threads.
    pub threads: usize,
    /// Reading from main memory, 10⁹ bytes per second.
    pub read_gbps: f64,
    /// Products of 8-bit integers and their sums, 10⁹ operations per second.
    pub int8_gops: f64,
    /// Products of f32 and their sums, 10⁹ operations per second.
    pub f32_gflops: f64,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One multiplication, by all contenders that can.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Case {
    /// The format.
    pub format: String,
    /// The weights.
    pub shape: Shape,
    /// Rows of activations.
    pub batch: usize,
    /// Bytes of the stored weights.
    pub stored_bytes: usize,
    /// The numerics class that is ours.
    pub numerics: String,
    /// The time that the machine's ceilings allow for our packed weights, in µs.
    pub limit_us: f64,
    /// Ours first.
    pub times: Vec<Times>,
}

/// What one contender took.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Times {
    /// The contender.
    pub name: String,
    /// Its kernel, where it tells.
    pub kernel: Option<String>,
    /// The median, in µs.
    pub median_us: f64,
    /// The shortest, in µs.
    pub min_us: f64,
    /// Calls that were timed.
    pub calls: usize,
    /// Distance of its output from ours, over the size of ours: root of sums of squares.
    pub difference: f64,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Writes the record.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| format!("{}: {error}", path.display()))?;
        fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Run {
    /// The case of a format, shape and batch.
    #[must_use]
    pub fn case(&self, format: &str, shape: Shape, batch: usize) -> Option<&Case> {
        self.cases.iter().find(|case| case.format == format && case.shape == shape && case.batch == batch)
    }
}

impl Case {
    /// Operations; a multiplication and an addition are two.
    #[must_use]
    pub fn operations(&self) -> f64 {
        2.0 * self.shape.n as f64 * self.shape.k as f64 * self.batch as f64
    }

    /// What a contender took.
    #[must_use]
    pub fn times(&self, name: &str) -> Option<&Times> {
        self.times.iter().find(|times| times.name == name)
    }

    /// What we took.
    #[must_use]
    pub fn ours(&self) -> Option<&Times> {
        self.times(OURS)
    }

    /// The peer with the shortest median.
    #[must_use]
    pub fn best_peer(&self) -> Option<&Times> {
        self.times.iter().filter(|times| times.name != OURS).min_by(|a, b| a.median_us.total_cmp(&b.median_us))
    }

    /// How many times as fast as the best peer we are, by medians.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        Some(self.best_peer()?.median_us / self.ours()?.median_us)
    }

    /// As [`Case::ratio`], by the shortest times of all peers and ours: what a busy machine disturbs less.
    #[must_use]
    pub fn ratio_of_minima(&self) -> Option<f64> {
        let peers = self.times.iter().filter(|times| times.name != OURS).map(|times| times.min_us);
        Some(peers.min_by(f64::total_cmp)? / self.ours()?.min_us)
    }

    /// The part of the limit that we reach, by medians.
    #[must_use]
    pub fn fraction_of_limit(&self) -> Option<f64> {
        Some(self.limit_us / self.ours()?.median_us)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two batches of one format, ours and two peers.
    pub(crate) fn sample() -> Record {
        let times = |name: &str, median_us, min_us| Times {
            name: name.to_owned(),
            kernel: None,
            median_us,
            min_us,
            calls: 3,
            difference: 0.0,
        };
        let case = |batch, limit_us, ours, near, far| Case {
            format: "A".to_owned(),
            shape: Shape { n: 1000, k: 500 },
            batch,
            stored_bytes: 1_000_000,
            numerics: "int8".to_owned(),
            limit_us,
            times: vec![times(OURS, ours, ours / 2.0), times("near", near, near), times("far", far, near / 2.0)],
        };
        let run = Run {
            threads: 1,
            read_gbps: 10.0,
            int8_gops: 900.0,
            f32_gflops: 200.0,
            cases: vec![case(1, 80.0, 100.0, 150.0, 300.0), case(8, 90.0, 180.0, 700.0, 360.0)],
        };
        Record { began: 0, processor: "any".to_owned(), peers: vec!["near 1".to_owned()], runs: vec![run] }
    }

    #[test]
    fn the_best_peer_is_the_one_with_the_shortest_median() {
        let record = sample();
        let [first, second] = &record.runs[0].cases[..] else { unreachable!() };
        assert_eq!(first.best_peer().unwrap().name, "near");
        assert_eq!(second.best_peer().unwrap().name, "far");
        assert_eq!(first.ratio(), Some(1.5));
        assert_eq!(first.ratio_of_minima(), Some(1.5));
        assert_eq!(first.fraction_of_limit(), Some(0.8));
        assert_eq!(second.ratio(), Some(2.0));
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        sample().save(&path).unwrap();
        assert_eq!(format!("{:?}", Record::load(&path).unwrap()), format!("{:?}", sample()));
        std::fs::write(&path, "{").unwrap();
        assert!(Record::load(&path).unwrap_err().contains("record.json"));
    }
}
