//! What is known of processors.

use std::ops::RangeInclusive;

use super::{Kind, Numerics, Schedule};

/// What is known of a microarchitecture.
#[derive(Debug)]
pub struct Processor {
    /// Its name, as in the variable that names one.
    pub name: &'static str,
    /// One line that says which processors it describes.
    pub doc: &'static str,
    /// What was measured for it, on which processor and when; `None`: nothing.
    pub measured: Option<&'static str>,
    /// How it is recognised: by any of these.
    pub identities: &'static [Identity],
    /// How many instructions it executes in a cycle; each entry is a bound of its own.
    pub pipes: &'static [Pipes],
    /// What runs before anything was measured, as far as this build has it.
    pub starts: &'static [Start],
    /// How fast its kernels were beside those of other programs.
    pub peers: &'static [Peer],
}

/// What processors say of themselves.
#[derive(Debug)]
pub struct Identity {
    /// Who made it.
    pub vendor: &'static str,
    /// Its family; `None`: any.
    pub family: Option<u32>,
    /// Its models; empty: any.
    pub models: &'static [RangeInclusive<u32>],
}

/// Instructions that share a bound.
#[derive(Clone, Copy, Debug)]
pub struct Pipes {
    /// Bits of a vector; 32 in scalar code.
    pub vector_bits: usize,
    /// The kinds of instructions that are counted together.
    pub of: &'static [Kind],
    /// How many of them begin in a cycle at most.
    pub a_cycle: f64,
}

/// A comparison with another program in the same run, on one thread, in `int8`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peer {
    /// What the program is called.
    pub name: &'static str,
    /// The file of what was measured.
    pub record: &'static str,
    /// Rows of activations.
    pub batch: usize,
    /// Names of formats, and how many times as fast their kernels were as the fastest of the program.
    pub times: &'static [(&'static str, f64)],
}

/// A variant to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Name of the instruction set.
    pub isa: &'static str,
    /// The numerics class.
    pub numerics: Numerics,
    /// How the variant reads its weights.
    pub schedule: Schedule,
    /// Its tile: the last part of its kernels' names.
    pub tile: &'static str,
    /// It is the default from each of these batch sizes up, until another start's larger one.
    pub batch: &'static [usize],
    /// It is for packed weights of at most so many bits each, scales included, and goes before one for more.
    pub bits: Option<f64>,
    /// How many bytes ahead weights are prefetched into the second-level cache; `None`: as anywhere.
    pub far: Option<usize>,
    /// How many bytes ahead weights are prefetched into the first-level cache; `None`: as anywhere.
    pub near: Option<usize>,
    /// How many tiles are read in turn; `None`: as many as suit the caches.
    pub tiles: Option<usize>,
    /// Whether activations are kept in the first-level cache.
    pub keep: bool,
}
