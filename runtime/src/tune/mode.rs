//! When the tuner measures.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// When the tuner measures, and whether what it found before is followed. A multiplication by itself never measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Never, and nothing that was measured is followed: the cost model or the card decides.
    Off,
    /// Never; what was measured before is followed.
    CacheOnly,
    /// When a model is loaded: its problems that nothing is known of.
    OnMiss {
        /// Time for measuring, all problems together.
        budget: Duration,
    },
    /// When a model is loaded: all its problems.
    Force {
        /// Time for measuring, all problems together.
        budget: Duration,
    },
}

/// The budget when nobody says more.
const BUDGET: Duration = Duration::from_secs(2);

impl Default for Mode {
    fn default() -> Self {
        Self::OnMiss { budget: BUDGET }
    }
}

impl Mode {
    /// Whether what was measured before is followed.
    #[must_use]
    pub const fn follows_measurements(self) -> bool {
        !matches!(self, Self::Off)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.pad("off"),
            Self::CacheOnly => f.pad("cache-only"),
            Self::OnMiss { budget } => f.pad(&format!("on-miss:{}", budget.as_secs_f64())),
            Self::Force { budget } => f.pad(&format!("force:{}", budget.as_secs_f64())),
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    /// Reads `off`, `cache-only`, `on-miss` or `force`; the last two perhaps with a budget in seconds, as in `on-miss:0.5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (word, seconds) = text.split_once(':').map_or((text, None), |(word, seconds)| (word, Some(seconds)));
        let budget = || seconds.map_or(Ok(BUDGET), budget);
        match (word, seconds) {
            ("off", None) => Ok(Self::Off),
            ("cache-only", None) => Ok(Self::CacheOnly),
            ("on-miss", _) => Ok(Self::OnMiss { budget: budget()? }),
            ("force", _) => Ok(Self::Force { budget: budget()? }),
            _ => {
                Err("write off, cache-only, on-miss or force; the last two perhaps with seconds, as in on-miss:0.5".to_owned())
            }
        }
    }
}

fn budget(seconds: &str) -> Result<Duration, String> {
    let number = seconds.parse().map_err(|_| format!("{seconds:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| format!("{seconds} seconds: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_are_printed() {
        let half = Duration::from_millis(500);
        for mode in [Mode::Off, Mode::CacheOnly, Mode::default(), Mode::OnMiss { budget: half }, Mode::Force { budget: half }] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("on-miss".parse(), Ok(Mode::default()));
        for wrong in ["", "on", "off:1", "cache-only:1", "force:", "force:x", "on-miss:-1", "on-miss:inf", "Off"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }
}
