//! How large the numbers may be that users, lists and caches give, and the arithmetic that they go into: sizes that are none, and memory
//! that is not to be had, are errors.

use crate::error::{Error, Result};

/// The numbers that something may be: from 1 on.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    name: &'static str,
    most: usize,
}

/// Rows of weights: thousands of times those of the largest vocabulary.
pub const ROWS: Limit = Limit { name: "a number of rows", most: 1 << 30 };
/// Weights of a row: several times those of the widest layer.
pub const COLUMNS: Limit = Limit { name: "a number of columns", most: 1 << 20 };
/// Rows of activations: as many as long contexts have tokens.
pub const BATCH: Limit = Limit { name: "a batch", most: 1 << 17 };
/// Threads: more than any machine runs at once.
pub const THREADS: Limit = Limit { name: "a number of threads", most: 4096 };

impl Limit {
    /// The largest number.
    #[must_use]
    pub const fn most(self) -> usize {
        self.most
    }

    /// Whether it may be this number.
    #[must_use]
    pub const fn allows(self, number: usize) -> bool {
        1 <= number && number <= self.most
    }

    /// The number, if it may be that.
    ///
    /// # Errors
    /// What it may be.
    ///
    /// ```
    /// use quantloom::limits;
    ///
    /// assert_eq!(limits::BATCH.check(8), Ok(8));
    /// assert_eq!(limits::THREADS.check(0), Err("a number of threads is from 1 to 4096, not 0".to_owned()));
    /// ```
    pub fn check(self, number: usize) -> Result<usize, String> {
        if self.allows(number) { Ok(number) } else { Err(self.refusal(number)) }
    }

    /// The number in a text, if it may be that.
    ///
    /// # Errors
    /// What it may be.
    pub fn parse(self, text: &str) -> Result<usize, String> {
        // Digits that are too many for a number are too large for a limit.
        let number = text.parse::<usize>().ok().filter(|&number| self.allows(number));
        number.ok_or_else(|| self.refusal(format!("{text:?}")))
    }

    fn refusal(self, found: impl std::fmt::Display) -> String {
        format!("{} is from 1 to {}, not {found}", self.name, self.most)
    }
}

/// The product of two sizes.
///
/// # Errors
/// [`Error::OutOfMemory`] if there is no such size.
pub(crate) fn product(one: usize, other: usize) -> Result<usize> {
    one.checked_mul(other).ok_or(Error::OutOfMemory { bytes: usize::MAX })
}

/// Room for `count` items.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn room<T>(count: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    let bytes = count.saturating_mul(size_of::<T>());
    room.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { bytes })?;
    Ok(room)
}

/// `rows` rows of `columns` zeros.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn zeros(rows: usize, columns: usize) -> Result<Vec<f32>> {
    let count = product(rows, columns)?;
    let mut zeros = room(count)?;
    zeros.resize(count, 0.0);
    Ok(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_limits() {
        for limit in [ROWS, COLUMNS, BATCH, THREADS] {
            let most = limit.most();
            assert_eq!([limit.check(1), limit.check(most)], [Ok(1), Ok(most)]);
            assert_eq!(limit.parse(&most.to_string()), Ok(most));
            for wrong in [0, most + 1, usize::MAX] {
                let why = limit.check(wrong).unwrap_err();
                assert!(why.ends_with(&format!("is from 1 to {most}, not {wrong}")), "{why}");
                assert!(limit.parse(&wrong.to_string()).is_err());
            }
        }
        for wrong in ["", "-1", "1-8", "99999999999999999999", "\u{1b}"] {
            assert!(BATCH.parse(wrong).unwrap_err().ends_with(&format!("not {wrong:?}")), "{wrong:?}");
        }
    }

    #[test]
    fn what_memory_does_not_hold_is_an_error() {
        assert!(matches!(product(usize::MAX, 2), Err(Error::OutOfMemory { .. })));
        assert!(matches!(room::<u64>(usize::MAX), Err(Error::OutOfMemory { .. })));
        assert!(matches!(zeros(1 << 40, 1 << 20), Err(Error::OutOfMemory { .. })));
        assert_eq!(zeros(2, 3).unwrap(), [0.0; 6]);
    }
}
