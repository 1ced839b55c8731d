//! The jobs that workers may take part in, and the workers that have none.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::job::Job;
use super::spin;

/// Where callers offer jobs and workers find them.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Changes, under the lock of `state`, when there is something new to find there: what spinning workers watch.
    news: AtomicUsize,
    /// Wakes sleeping workers.
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Oldest first: outer loops have the larger chunks. May hold jobs that have ended; they are dropped at the next offer.
    offers: Vec<Offer>,
    /// Workers that spin and have not been called by an offer yet.
    spinning: usize,
    /// Workers that sleep.
    sleeping: usize,
    closed: bool,
}

struct Offer {
    job: Arc<Job>,
    /// Workers that may still join.
    seats: usize,
}

impl Offer {
    fn is_open(&self) -> bool {
        self.seats > 0 && self.job.is_open()
    }
}

impl Queue {
    /// Lets up to `seats` workers take part in `job`.
    pub(super) fn offer(&self, job: Arc<Job>, seats: usize) {
        let mut state = self.lock();
        state.offers.retain(Offer::is_open);
        state.offers.push(Offer { job, seats });
        self.tell();
        // All who spin will look at once, so all are counted out here and none of them counts itself out.
        let asleep = seats.saturating_sub(mem::take(&mut state.spinning)).min(state.sleeping);
        drop(state);
        for _ in 0..asleep {
            self.wake.notify_one();
        }
    }

    /// Sends the workers home.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.tell();
        drop(state);
        self.wake.notify_all();
    }

    /// A worker's life: takes part in jobs until the queue is closed.
    pub(super) fn serve(&self) {
        while let Some(job) = self.join() {
            job.help();
        }
    }

    /// Waits for a job to take part in, and takes a seat. None once the queue is closed.
    fn join(&self) -> Option<Arc<Job>> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.take_seat() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.idle(state);
        }
    }

    /// Spins, then sleeps, until there may be something new.
    fn idle<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let seen = self.news.load(Ordering::Relaxed);
        state.spinning += 1;
        drop(state);
        // Relaxed: the news itself is read under the lock.
        spin::until(|| self.news.load(Ordering::Relaxed) != seen);
        state = self.lock();
        if self.news.load(Ordering::Relaxed) == seen {
            state.spinning -= 1;
            state.sleeping += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
        state
    }

    /// Makes spinning workers look at the state.
    fn tell(&self) {
        self.news.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a seat in the oldest job that has one and has chunks to claim.
    fn take_seat(&mut self) -> Option<Arc<Job>> {
        let offer = self.offers.iter_mut().find(|offer| offer.is_open())?;
        offer.seats -= 1;
        Some(Arc::clone(&offer.job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_joined_and_claimed_nothing_holds_nobody_up() {
        let queue = Queue::default();
        let calls = AtomicUsize::new(0);
        let count = |_| {
            calls.fetch_add(1, Ordering::Relaxed);
        };
        let mut stalled = None;
        Job::run(&count, 5, |job| {
            queue.offer(job, 1);
            stalled = queue.join();
        });
        assert_eq!(calls.load(Ordering::Relaxed), 5);
        stalled.expect("a seat").help();
        assert_eq!(calls.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_panic_while_publishing_runs_nothing_later() {
        let queue = Queue::default();
        let attempt = std::panic::AssertUnwindSafe(|| {
            Job::run(&|_| unreachable!(), 5, |job| {
                queue.offer(job, 1);
                panic!("while publishing");
            });
        });
        assert!(std::panic::catch_unwind(attempt).is_err());
        assert!(queue.lock().take_seat().is_none());
    }
}
