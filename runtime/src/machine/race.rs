//! Work done by several threads at once, pass after pass, on one clock.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many passes a race has.
#[derive(Clone, Copy)]
pub(super) struct Length {
    /// It goes on for this long,
    pub(super) time: Duration,
    /// and for at least so many passes, which must not be 0.
    pub(super) passes: usize,
}

/// What one thread did in one pass.
#[derive(Clone, Copy)]
struct Lap {
    start: Instant,
    end: Instant,
    amount: f64,
}

/// Runs `work` on `threads` threads, this one included, in passes that all begin together. Each thread prepares itself by `setup`,
/// off the clock; `work` is given what that made and the number of the pass, and returns the amount of work it did.
///
/// Returns the rate of each pass, in units of work per second, from the first thread's start to the last one's end.
pub(super) fn race<S>(
    threads: usize,
    length: Length,
    setup: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> f64 + Sync,
) -> Vec<f64> {
    let gate = Gate { threads, arrived: AtomicUsize::new(0) };
    let over = AtomicBool::new(false);
    let laps = Mutex::new(Vec::with_capacity(threads));
    let laps = || laps.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |leader: bool| {
        let mut state = setup();
        let mut rates = Vec::new();
        gate.meet();
        let begin = Instant::now();
        for pass in 0.. {
            if leader {
                rates.extend(rate(&laps()));
                laps().clear();
                over.store(pass >= length.passes && begin.elapsed() >= length.time, Ordering::Relaxed);
            }
            gate.meet();
            if over.load(Ordering::Relaxed) {
                break;
            }
            let start = Instant::now();
            let amount = work(&mut state, pass);
            let end = Instant::now();
            laps().push(Lap { start, end, amount });
            gate.meet();
        }
        rates
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| run(false));
        }
        run(true)
    })
}

/// Work per second over the laps of one pass; none if there are none, or if they took no time.
fn rate(laps: &[Lap]) -> Option<f64> {
    let start = laps.iter().map(|lap| lap.start).min()?;
    let end = laps.iter().map(|lap| lap.end).max()?;
    let seconds = (end - start).as_secs_f64();
    (seconds > 0.0).then(|| laps.iter().map(|lap| lap.amount).sum::<f64>() / seconds)
}

/// Where threads wait for each other. They spin: waking up takes longer than a short pass can bear.
struct Gate {
    threads: usize,
    arrived: AtomicUsize,
}

impl Gate {
    /// Returns once all threads have called it as often as this one.
    fn meet(&self) {
        /// More threads than cores, or a core that does something else: then spinning only keeps the others from arriving.
        const PATIENCE: u32 = 10_000;
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (ticket / self.threads + 1) * self.threads;
        let mut polls = 0;
        while self.arrived.load(Ordering::Acquire) < all {
            if polls < PATIENCE {
                polls += 1;
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_works_in_each_pass() {
        let length = Length { time: Duration::ZERO, passes: 5 };
        let calls = Mutex::new(Vec::new());
        let count = |thread: &mut thread::ThreadId, pass: usize| {
            calls.lock().unwrap().push((pass, *thread));
            1.0
        };
        let rates = race(3, length, || thread::current().id(), count);
        let mut calls = calls.into_inner().unwrap();
        assert!(calls.is_sorted_by_key(|&(pass, _)| pass), "a pass began before the last had ended");
        calls.sort_unstable_by_key(|&(pass, thread)| (pass, format!("{thread:?}")));
        calls.dedup();
        assert_eq!(calls.len(), 15);
        assert!(rates.len() <= 5 && rates.iter().all(|rate| rate.is_finite() && *rate > 0.0));
    }

    #[test]
    fn a_rate_is_taken_from_first_start_to_last_end() {
        let zero = Instant::now();
        let at = |milliseconds| zero + Duration::from_millis(milliseconds);
        let laps = [Lap { start: at(1), end: at(5), amount: 3.0 }, Lap { start: at(2), end: at(11), amount: 4.0 }];
        assert!((rate(&laps).unwrap() - 700.0).abs() < 1e-9);
        assert_eq!(rate(&[]), None);
    }
}
