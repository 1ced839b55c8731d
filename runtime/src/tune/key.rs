//! What a choice depends on.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::registry::{self, Isa, Numerics};
use crate::weights::Weights;

/// Batch sizes that share a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Bucket(u8);

/// Name and largest batch of each bucket, smallest first.
const BUCKETS: [(&str, usize); 8] =
    [("1", 1), ("2-4", 4), ("5-8", 8), ("9-16", 16), ("17-32", 32), ("33-64", 64), ("65-128", 128), (">128", usize::MAX)];

impl Bucket {
    /// The bucket of a batch size.
    #[must_use]
    pub fn of(batch: usize) -> Self {
        Self(BUCKETS.partition_point(|&(_, last)| last < batch) as u8)
    }

    /// Its name: the range of batch sizes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        BUCKETS[self.0 as usize].0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Bucket {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let index = BUCKETS.iter().position(|&(name, _)| name == text).ok_or("no such range of batch sizes")?;
        Ok(Self(index as u8))
    }
}

impl From<Bucket> for String {
    fn from(bucket: Bucket) -> Self {
        bucket.name().to_owned()
    }
}

impl TryFrom<String> for Bucket {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A problem that kernels are chosen for. With the environment, which a whole cache file shares, it is all that a choice depends
/// on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Name of the format.
    pub format: Cow<'static, str>,
    /// What the format's kernels were generated from: editing one card leaves the choices of the others alone.
    pub format_hash: Digest,
    /// The numerics class.
    #[serde(with = "numerics")]
    pub numerics: Numerics,
    /// Name of the instruction set whose kernels there are to choose from.
    pub isa: Cow<'static, str>,
    /// Rows of the weights.
    pub n: usize,
    /// Weights of a row.
    pub k: usize,
    /// Batch sizes.
    pub batch: Bucket,
    /// Threads that share the work: never 0.
    pub threads: usize,
}

impl Key {
    /// The key of a multiplication by what `isa` runs, on `threads` threads, which must not be 0. Does not allocate.
    #[must_use]
    pub fn new(weights: &Weights, batch: usize, numerics: Numerics, isa: &'static Isa, threads: usize) -> Self {
        let format = weights.format();
        Self {
            format: Cow::Borrowed(format.name),
            format_hash: Digest(format.hash),
            numerics,
            isa: Cow::Borrowed(registry::kernel_isa(format, numerics, isa).name),
            n: weights.n(),
            k: weights.k(),
            batch: Bucket::of(batch),
            threads,
        }
    }
}

/// Numerics classes by name.
mod numerics {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::registry::Numerics;

    pub fn serialize<S: Serializer>(numerics: &Numerics, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(numerics.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Numerics, D::Error> {
        let name = String::deserialize(deserializer)?;
        Numerics::ALL.into_iter().find(|class| class.name() == name).ok_or_else(|| D::Error::custom("no such numerics class"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_the_batches_that_their_names_say() {
        let names = |batches: &[usize]| batches.iter().map(|&batch| Bucket::of(batch).name()).collect::<Vec<_>>();
        assert_eq!(names(&[0, 1, 2, 4, 5, 8, 9]), ["1", "1", "2-4", "2-4", "5-8", "5-8", "9-16"]);
        assert_eq!(names(&[16, 17, 32, 33, 64, 65]), ["9-16", "17-32", "17-32", "33-64", "33-64", "65-128"]);
        assert_eq!(names(&[128, 129, usize::MAX]), ["65-128", ">128", ">128"]);
    }

    #[test]
    fn bucket_names_are_read_back() {
        for batch in [1, 3, 7, 12, 30, 50, 100, 1000] {
            assert_eq!(Bucket::of(batch).name().parse(), Ok(Bucket::of(batch)));
        }
        assert!("2-5".parse::<Bucket>().is_err());
    }
}
