//! The end of a budget.

use std::time::{Duration, Instant};

/// When measuring must be over; never, if the budget is longer than clocks run.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The end of a budget that begins now.
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now().checked_add(budget))
    }

    /// Whether something that takes `time` would end in time.
    pub fn allows(self, time: Duration) -> bool {
        self.0.is_none_or(|end| Instant::now().checked_add(time).is_some_and(|then| then < end))
    }
}
