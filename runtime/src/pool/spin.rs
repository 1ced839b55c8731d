//! Waiting without sleeping, for a while.

use std::hint;
use std::time::{Duration, Instant};

/// Longer than the gap between two loops of one computation, shorter than what a park and a wake-up cost.
const LIMIT: Duration = Duration::from_micros(20);

/// Polls between two looks at the clock, which costs about as much as one of them.
const POLLS: u32 = 8;

/// Polls `done` until it holds, at most for [`LIMIT`]; tells whether it did.
pub(super) fn until(done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..POLLS {
            if done() {
                return true;
            }
            hint::spin_loop();
        }
        if start.elapsed() >= LIMIT {
            return false;
        }
    }
}
