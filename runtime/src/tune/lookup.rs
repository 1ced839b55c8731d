//! Which kernel runs: sources are asked in the order of [`Source::ORDER`], and the first that knows decides.

use std::fmt;

use super::cost::{Model, Problem};
use super::{Choices, Entry, Key, MODE, Mode};
use crate::error::Result;
use crate::machine::Facts;
use crate::matmul::{self, Launch, Source};
use crate::registry::{self, Format, Isa, Kernel};
use crate::weights::Layout;

/// The look-up of a kernel for one problem.
#[derive(Clone, Debug)]
pub struct Lookup<'a> {
    choices: &'a Choices,
    format: &'static Format,
    key: Key,
    batch: usize,
    /// The instruction set that the caller named, if any.
    isa: Option<&'static Isa>,
    /// What there is to choose from, in card order.
    candidates: Vec<&'static Kernel>,
}

/// What one source says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Link {
    /// The source.
    pub source: Source,
    /// Its answer.
    pub answer: Answer,
}

/// A kernel, or why there is none.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This one.
    Kernel(Launch),
    /// The source does not know.
    Silent(Silence),
}

/// Why a source does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// What was measured is not to be followed.
    Off,
    /// No kernel is named for such a call.
    NotPinned,
    /// It was not measured, or there is no such cache or table.
    NotMeasured,
    /// The kernel that was chosen, which this build has not, or with another text.
    OtherBuild(String),
    /// The kernel that was chosen must not run on this machine.
    Quarantined(&'static str),
    /// There is no model of the instruction set on such a processor, or of weights in that layout.
    NoModel,
    /// No kernel is expected to beat the default by more than the model may be wrong.
    NoGain,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => write!(f, "not followed: {MODE} or the program says {}", Mode::Off),
            Self::NotPinned => write!(f, "nothing is pinned for this"),
            Self::NotMeasured => write!(f, "not measured"),
            Self::OtherBuild(kernel) => {
                write!(f, "{kernel} was chosen, which is not in this build, or is not compared with the same default")
            }
            Self::Quarantined(kernel) => write!(f, "{kernel} was chosen, which is quarantined"),
            Self::NoModel => write!(f, "there is no model of this processor, instruction set and layout"),
            Self::NoGain => write!(f, "no kernel is expected to beat the default by more than the model's error"),
        }
    }
}

/// Everything that a look-up takes into account.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The problem.
    pub key: Key,
    /// What every source says, in the order in which they are asked. The first kernel runs.
    pub links: Vec<Link>,
    /// Every kernel that there is to choose from, in card order.
    pub candidates: Vec<Candidate>,
    /// What was measured, if anything was.
    pub entry: Option<Entry>,
}

/// A kernel that there is to choose from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Whether it runs.
    pub chosen: bool,
    /// Whether it would run if nothing were known.
    pub default: bool,
    /// Whether it must not run on this machine.
    pub quarantined: bool,
    /// What the cost model expects it to take, in nanoseconds, if there is one.
    pub expected_ns: Option<f64>,
}

impl<'a> Lookup<'a> {
    /// The look-up for a batch size and a key. `isa` is the instruction set that the caller names, `candidates`, of which there is one at
    /// least, are in card order.
    #[must_use]
    pub const fn new(
        choices: &'a Choices,
        format: &'static Format,
        key: Key,
        batch: usize,
        isa: Option<&'static Isa>,
        candidates: Vec<&'static Kernel>,
    ) -> Self {
        Self { choices, format, key, batch, isa, candidates }
    }

    /// The kernel that runs, and who chose it.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if the user's environment says what cannot be followed.
    pub fn choose(&self) -> Result<(Launch, Source)> {
        for source in Source::ORDER {
            if let Answer::Kernel(launch) = self.ask(source)? {
                return Ok((launch, source));
            }
        }
        Ok((self.default(), Source::Default))
    }

    /// What every source says, and all that there is to choose from.
    ///
    /// # Errors
    /// As [`Lookup::choose`].
    pub fn explain(&self) -> Result<Explanation> {
        let links =
            Source::ORDER.into_iter().map(|source| Ok(Link { source, answer: self.ask(source)? })).collect::<Result<_>>()?;
        let (chosen, _) = self.choose()?;
        let same = std::ptr::eq::<Kernel>;
        let candidate = |&kernel| Candidate {
            kernel,
            chosen: same(kernel, chosen.kernel),
            default: same(kernel, self.default().kernel),
            quarantined: self.choices.variants().is_quarantined(kernel),
            expected_ns: self.expected(kernel),
        };
        let candidates = self.candidates.iter().map(candidate).collect();
        let entry = Source::ORDER.into_iter().find_map(|source| self.choices.entry(source, &self.key));
        Ok(Explanation { key: self.key.clone(), links, candidates, entry })
    }

    /// What a source says.
    fn ask(&self, source: Source) -> Result<Answer> {
        Ok(match source {
            Source::Pin => self.pinned()?.map_or(Answer::Silent(Silence::NotPinned), Answer::Kernel),
            Source::Memory | Source::Cache | Source::Shipped | Source::Relative => self.measured(source)?,
            Source::Model => self.modelled(),
            Source::Default => Answer::Kernel(self.default()),
        })
    }

    /// The kernel that the user named for such a call.
    fn pinned(&self) -> Result<Option<Launch>> {
        let owner = |isa| registry::kernel_isa(self.format, self.key.numerics, isa);
        let allowed = |isa: &'static Isa| self.isa.is_none_or(|named| std::ptr::eq(owner(named), isa));
        let pins = self.choices.pins()?.launches(self.format)?;
        Ok(pins.into_iter().find(|pin| pin.kernel.numerics == self.key.numerics && allowed(pin.kernel.isa())))
    }

    fn measured(&self, source: Source) -> Result<Answer> {
        if !self.choices.mode()?.follows_measurements() {
            return Ok(Answer::Silent(Silence::Off));
        }
        if let Some(launch) = self.choices.launch(source, &self.key) {
            let quarantined = self.choices.variants().is_quarantined(launch.kernel);
            let name = launch.kernel.name;
            return Ok(if quarantined { Answer::Silent(Silence::Quarantined(name)) } else { Answer::Kernel(launch) });
        }
        let entry = self.choices.entry(source, &self.key);
        Ok(Answer::Silent(entry.map_or(Silence::NotMeasured, |entry| Silence::OtherBuild(entry.kernel))))
    }

    /// The cost model of a kernel, and the problem as it takes it; none for weights that are packed for the call.
    fn model(&self, kernel: &Kernel) -> Option<(&'static Model, Problem)> {
        let Key { n, k, threads, numerics, layout, .. } = self.key;
        let model = Model::here(kernel.isa(), numerics).filter(|_| layout == Layout::Packed)?;
        Some((model, Problem { n, k, batch: self.batch, threads }))
    }

    /// What a kernel is expected to take, in nanoseconds.
    fn expected(&self, kernel: &'static Kernel) -> Option<f64> {
        let (model, problem) = self.model(kernel)?;
        Some(model.nanoseconds(kernel, &problem, &Facts::detect().caches))
    }

    /// The kernel that the cost model expects to be clearly faster than the default.
    fn modelled(&self) -> Answer {
        let default = self.default().kernel;
        let Some((model, problem)) = self.model(default) else { return Answer::Silent(Silence::NoModel) };
        let healthy = self.choices.variants().healthy(&self.candidates);
        let better = model.better_than(default, &healthy, &problem, &Facts::detect().caches);
        better.map_or(Answer::Silent(Silence::NoGain), |kernel| Answer::Kernel(matmul::begun(kernel)))
    }

    /// The card's default among the kernels that may run: of this instruction set, or of the next lower one that has any. Of all, if none
    /// may.
    fn default(&self) -> Launch {
        let variants = self.choices.variants();
        let mut healthy = variants.healthy(&self.candidates);
        let lower = registry::isas().iter().rev().filter(|isa| isa.rank < self.candidates[0].isa().rank && isa.is_available());
        for isa in lower {
            if !healthy.is_empty() {
                break;
            }
            healthy = variants.healthy(&matmul::candidates_of(self.format, self.key.numerics, isa).unwrap_or_default());
        }
        matmul::default(if healthy.is_empty() { &self.candidates } else { &healthy }, self.batch)
    }
}
