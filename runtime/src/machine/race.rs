//! Work done by several threads at once, pass after pass, on one clock.

use std::hint;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::cores;

/// How many passes a race has.
#[derive(Clone, Copy)]
pub(super) struct Length {
    /// It goes on for this long,
    pub(super) time: Duration,
    /// and for at least so many passes.
    pub(super) passes: usize,
}

/// What one thread did in one pass.
#[derive(Clone, Copy)]
struct Lap {
    start: Instant,
    end: Instant,
    amount: f64,
}

impl Lap {
    /// Times `work`, which returns the amount that it did.
    fn time(work: impl FnOnce() -> f64) -> Self {
        let start = Instant::now();
        let amount = work();
        Self { start, end: Instant::now(), amount }
    }
}

/// Runs `work` in passes that all begin together, on one new thread for each of `states`. A thread first calls `prepare`, off the
/// clock; `work` is also given the number of the pass, and returns the amount of work it did.
///
/// Returns the rate of each pass, in units of work per second, from the first thread's start to the last one's end.
///
/// # Panics
/// If `prepare` or `work` panics, or a thread cannot be started.
pub(super) fn race<S: Send>(
    states: Vec<S>,
    length: Length,
    prepare: impl Fn(&mut S) + Sync,
    work: impl Fn(&mut S, usize) -> f64 + Sync,
) -> Vec<f64> {
    let threads = states.len();
    let gate = Gate { threads, arrived: AtomicUsize::new(0), closed: AtomicBool::new(false) };
    let laps = Mutex::new(Vec::with_capacity(threads));
    let laps = || laps.lock().unwrap_or_else(PoisonError::into_inner);

    let run = |number: usize, mut state: S| {
        let _close = CloseOnDrop(&gate);
        if threads > 1 {
            cores::pin(number, threads);
        }
        prepare(&mut state);
        gate.meet();
        let begin = Instant::now();
        let mut rates = Vec::new();
        for pass in 0.. {
            if !gate.meet() {
                break;
            }
            let lap = Lap::time(|| work(&mut state, pass));
            laps().push(lap);
            if !gate.meet() {
                break;
            }
            if number == 0 {
                rates.extend(rate(&laps()));
                laps().clear();
                if pass + 1 >= length.passes && begin.elapsed() >= length.time {
                    break;
                }
            }
        }
        rates
    };

    thread::scope(|scope| {
        let _close = CloseOnDrop(&gate);
        let run = &run;
        let threads: Vec<_> =
            states.into_iter().enumerate().map(|(number, state)| scope.spawn(move || run(number, state))).collect();
        let leader = threads.into_iter().next().expect("at least one thread");
        leader.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
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
    closed: AtomicBool,
}

impl Gate {
    /// Waits until all threads have called it as often as this one, or one of them has left; tells whether to go on.
    fn meet(&self) -> bool {
        /// Polls, some milliseconds of them, after which the core may be needed for those who have not arrived.
        const PATIENCE: u32 = 50_000;
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (ticket / self.threads + 1) * self.threads;
        let mut polls = 0;
        while self.arrived.load(Ordering::Acquire) < all {
            if self.closed.load(Ordering::Relaxed) {
                return false;
            }
            if polls < PATIENCE {
                polls += 1;
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
        true
    }
}

/// Sends everybody home when one leaves, however that happens.
struct CloseOnDrop<'a>(&'a Gate);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Length = Length { time: Duration::ZERO, passes: 5 };

    #[test]
    fn each_thread_works_in_each_pass() {
        let calls = Mutex::new(Vec::new());
        let rates = race(vec!['a', 'b', 'c'], FIVE, char::make_ascii_uppercase, |&mut name, pass| {
            calls.lock().unwrap().push((pass, name));
            1.0
        });
        let mut calls = calls.into_inner().unwrap();
        assert!(calls.is_sorted_by_key(|&(pass, _)| pass), "a pass began before the last had ended");
        calls.sort_unstable();
        let expected: Vec<_> = (0..5).flat_map(|pass| ['A', 'B', 'C'].map(|name| (pass, name))).collect();
        assert_eq!(calls, expected);
        assert!(rates.len() <= 5 && rates.iter().all(|rate| rate.is_finite() && *rate > 0.0));
    }

    #[test]
    fn a_panic_ends_the_race() {
        for culprit in [0, 1] {
            let attempt = panic::catch_unwind(|| {
                race(
                    vec![0, 1],
                    FIVE,
                    |_| (),
                    |&mut number, pass| {
                        assert!((number, pass) != (culprit, 2));
                        1.0
                    },
                )
            });
            assert!(attempt.is_err());
        }
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
