//! A kernel and the arguments that it is run with.

use std::fmt;

use quantloom_spec::kernels::{MAX_DISTANCE, MAX_TILES};

use crate::registry::{Kernel, Schedule};

/// Between the name of a kernel and its arguments.
const ARGUMENTS: char = '@';

/// Between arguments: a comma is between pins.
const AND: char = '+';

/// A kernel and the arguments that it is run with: what changes its speed, and no bit of its result.
///
/// As text it is the name of the kernel and what it takes, as in `...r16c1.far@far=2048+tiles=1`; what is left out is as
/// [`Launch::of`] says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// How far ahead it asks for memory into the second-level cache, in bytes; 0 if it does not.
    pub far: usize,
    /// How far ahead it asks for memory into the first-level cache, in bytes; 0 if it does not.
    pub near: usize,
    /// Row tiles that are read segment by segment in turn; 0: as many as suit the caches.
    pub tiles: usize,
    /// Whether activations are touched so often that weights do not throw them out of the first-level cache, where that is possible.
    pub keep: bool,
}

impl Launch {
    /// A kernel with the arguments of its card.
    #[must_use]
    pub fn of(kernel: &'static Kernel) -> Self {
        let (far, near) = kernel.distances;
        Self { kernel, far, near, tiles: 0, keep: false }
    }

    /// Splits the text of a launch into the name of a kernel and its arguments.
    #[must_use]
    pub fn split(text: &str) -> (&str, &str) {
        text.split_once(ARGUMENTS).unwrap_or((text, ""))
    }

    /// The launch of `kernel` with arguments as text, as [`Launch::split`] gives them; what they do not say is as in [`Launch::of`].
    ///
    /// # Errors
    /// What is wrong with the arguments.
    pub fn parse(kernel: &'static Kernel, arguments: &str) -> Result<Self, String> {
        let mut launch = Self::of(kernel);
        for argument in arguments.split(AND).filter(|argument| !argument.is_empty()) {
            let (key, value) = argument.split_once('=').ok_or_else(|| format!("{argument:?} is not key=number"))?;
            let number = |most: u32| {
                let number = value.parse().ok().filter(|number| *number <= most as usize);
                number.ok_or_else(|| format!("`{key}` must be a number up to {most}, not {value:?}"))
            };
            match key {
                "far" if kernel.prefetch.is_far() => launch.far = number(MAX_DISTANCE)?,
                "near" if kernel.prefetch.is_near() => launch.near = number(MAX_DISTANCE)?,
                "tiles" => launch.tiles = number(MAX_TILES)?,
                "keep" if kernel.schedule == Schedule::Direct => launch.keep = number(1)? == 1,
                _ => {
                    let takes = launch.arguments().map(|(key, _)| key).collect::<Vec<_>>().join(", ");
                    return Err(format!("{} takes {takes}, and no argument {key:?}", kernel.name));
                }
            }
        }
        Ok(launch)
    }

    /// As text, without the arguments that are those of its card: what people read.
    #[must_use]
    pub fn brief(&self) -> String {
        let of_card = Self::of(self.kernel).arguments().collect::<Vec<_>>();
        self.text(self.arguments().filter(|argument| !of_card.contains(argument)))
    }

    fn text(&self, arguments: impl Iterator<Item = (&'static str, usize)>) -> String {
        let arguments = arguments.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        let name = self.kernel.name;
        if arguments.is_empty() { name.to_owned() } else { format!("{name}{ARGUMENTS}{}", arguments.join(&AND.to_string())) }
    }

    /// The arguments that its kernel takes.
    fn arguments(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let prefetch = self.kernel.prefetch;
        let far = prefetch.is_far().then_some(("far", self.far));
        let near = prefetch.is_near().then_some(("near", self.near));
        let keep = (self.kernel.schedule == Schedule::Direct).then_some(("keep", usize::from(self.keep)));
        [far, near, Some(("tiles", self.tiles)), keep].into_iter().flatten()
    }
}

impl From<&'static Kernel> for Launch {
    fn from(kernel: &'static Kernel) -> Self {
        Self::of(kernel)
    }
}

impl PartialEq for Launch {
    fn eq(&self, other: &Self) -> bool {
        let arguments = |launch: &Self| (launch.far, launch.near, launch.tiles, launch.keep);
        std::ptr::eq(self.kernel, other.kernel) && arguments(self) == arguments(other)
    }
}

impl Eq for Launch {}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text(self.arguments().filter(|(key, value)| !matches!(*key, "tiles" | "keep") || *value > 0)))
    }
}

#[cfg(test)]
mod tests {
    use quantloom_kernels::abi::Prefetch;

    use super::*;
    use crate::tune::fake;

    fn kernel(prefetch: Prefetch) -> &'static Kernel {
        let weights = fake::weights(1, 1);
        Box::leak(Box::new(Kernel { prefetch, distances: (64, 32), ..fake::kernel(&weights, "a.b.c") }))
    }

    #[test]
    fn text_is_read_back() {
        let both = kernel(Prefetch::Both);
        let launch = Launch { far: 7, near: 0, tiles: 3, ..Launch::of(both) };
        assert_eq!(launch.to_string(), "a.b.c@far=7+near=0+tiles=3");
        let (name, arguments) = Launch::split("a.b.c@far=7+near=0+tiles=3");
        assert_eq!((name, Launch::parse(both, arguments)), (both.name, Ok(launch)));
        let partly = Launch::parse(both, "near=5").unwrap();
        assert_eq!((partly.far, partly.near), (64, 5));
        assert_eq!(Launch::parse(both, ""), Ok(Launch::of(both)));
        assert_eq!(Launch::of(kernel(Prefetch::None)).to_string(), "a.b.c");
        assert_eq!((launch.brief(), Launch::of(both).brief()), ("a.b.c@far=7+near=0+tiles=3".into(), "a.b.c".into()));
        assert_eq!(partly.brief(), "a.b.c@near=5");
    }

    #[test]
    fn what_a_kernel_does_not_take_is_refused() {
        let far = kernel(Prefetch::Far);
        for wrong in ["near=1", "far", "far=", "far=-1", "far=1048577", "tiles=2000", "x=1"] {
            assert!(Launch::parse(far, wrong).is_err(), "{wrong}");
        }
    }
}
