//! What a choice depends on.

use std::borrow::Cow;
use std::str::FromStr;
use std::{fmt, ptr};

use quantloom_kernels::VOCABULARY;
use serde::{Deserialize, Serialize};

use super::Digest;
use crate::matmul;
use crate::operation;
use crate::registry::{self, Format, Isa, Kernel, Numerics};
use crate::weights::{Layout, Weights};

/// Batch sizes that share a choice: a rung of a ladder, cut where the card's default changes. What beats one default may lose to
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Bucket {
    first: usize,
    last: usize,
}

/// The largest batch of each rung but the last, which has none.
const LADDER: [usize; 7] = [1, 4, 8, 16, 32, 64, 128];

impl Bucket {
    /// The bucket of a batch size, where the default changes at `changes`.
    #[must_use]
    pub fn of(batch: usize, changes: impl IntoIterator<Item = usize>) -> Self {
        let batch = batch.max(1);
        let rung = LADDER.partition_point(|&last| last < batch);
        let first = rung.checked_sub(1).map_or(1, |before| LADDER[before] + 1);
        let mut bucket = Self { first, last: LADDER.get(rung).copied().unwrap_or(usize::MAX) };
        for from in changes {
            if from <= batch {
                bucket.first = bucket.first.max(from);
            } else {
                bucket.last = bucket.last.min(from - 1);
            }
        }
        bucket
    }

    /// Whether it has a batch size.
    #[must_use]
    pub const fn contains(self, batch: usize) -> bool {
        self.first <= batch && batch <= self.last
    }

    /// The smallest batch size of it.
    #[must_use]
    pub const fn first(self) -> usize {
        self.first
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        f.pad(&match *last {
            usize::MAX => format!("{first}+"),
            last if last == *first => first.to_string(),
            last => format!("{first}-{last}"),
        })
    }
}

impl FromStr for Bucket {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = |text: &str| text.parse::<usize>().map_err(|_| "not a range of batch sizes");
        let (first, last) = if let Some(first) = text.strip_suffix('+') {
            (size(first)?, usize::MAX)
        } else if let Some((first, last)) = text.split_once('-') {
            (size(first)?, size(last)?)
        } else {
            (size(text)?, size(text)?)
        };
        if first == 0 || first > last {
            return Err("a range of batch sizes that holds none");
        }
        Ok(Self { first, last })
    }
}

impl From<Bucket> for String {
    fn from(bucket: Bucket) -> Self {
        bucket.to_string()
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
    /// Name of the operation.
    pub operation: Cow<'static, str>,
    /// Name of the format.
    pub format: Cow<'static, str>,
    /// How the weights are held.
    pub layout: Layout,
    /// What the format's kernels are: the generated text, the words it is written in, and what compiled it and how. Editing one card
    /// leaves the choices of the others alone.
    pub code: Digest,
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
        Self::of(weights.format(), (weights.n(), weights.k()), weights.layout(), batch, numerics, isa, threads)
    }

    /// As [`Key::new`], for weights of a shape, rows first, that need not exist.
    #[must_use]
    pub fn of(
        format: &Format,
        (n, k): (usize, usize),
        layout: Layout,
        batch: usize,
        numerics: Numerics,
        isa: &'static Isa,
        threads: usize,
    ) -> Self {
        let owner = registry::kernel_isa(format, numerics, isa);
        let suits = |kernel: &&Kernel| kernel.numerics == numerics && ptr::eq(kernel.isa(), owner);
        Self {
            operation: Cow::Borrowed(operation::product().kernels),
            format: Cow::Borrowed(format.name),
            layout,
            code: Self::code_of(format),
            numerics,
            isa: Cow::Borrowed(owner.name),
            n,
            k,
            batch: Bucket::of(batch, matmul::changes(owner, numerics, registry::kernels(format).iter().filter(suits))),
            threads,
        }
    }

    /// The code of a format's kernels.
    #[must_use]
    pub const fn code_of(format: &Format) -> Digest {
        Digest(format.hash ^ VOCABULARY.rotate_left(1))
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
    fn buckets_are_rungs_cut_where_the_default_changes() {
        let names = |batches: &[usize], changes: &[usize]| {
            batches.iter().map(|&batch| Bucket::of(batch, changes.iter().copied()).to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[0, 1, 2, 4, 5, 8, 9], &[]), ["1", "1", "2-4", "2-4", "5-8", "5-8", "9-16"]);
        assert_eq!(names(&[16, 17, 32, 33, 64, 65], &[]), ["9-16", "17-32", "17-32", "33-64", "33-64", "65-128"]);
        assert_eq!(names(&[128, 129, usize::MAX], &[]), ["65-128", "129+", "129+"]);
        assert_eq!(
            names(&[4, 5, 6, 7, 8, 129, 199, 200], &[1, 6, 5, 7, 200]),
            ["2-4", "5", "6", "7-8", "7-8", "129-199", "129-199", "200+"]
        );
    }

    #[test]
    fn bucket_names_are_read_back() {
        for batch in [1, 3, 7, 12, 30, 50, 100, 1000] {
            let bucket = Bucket::of(batch, []);
            assert_eq!(bucket.to_string().parse(), Ok(bucket));
        }
        for wrong in ["", "0", "x", "5-4", "0-1", "-", "1-", "+", "0+", "1 - 2"] {
            assert!(wrong.parse::<Bucket>().is_err(), "{wrong}");
        }
    }
}
