//! A thread pool for data-parallel loops.
//!
//! [`Pool::run`] calls a closure once for each chunk number, on the calling thread and on the workers that are free. Chunks are
//! claimed one at a time from a counter, so a slow thread takes fewer of them.
//!
//! # Waiting
//!
//! No thread ever waits for work that no one has claimed. The caller takes chunks until none is left, then waits only for those
//! that other threads are running at that moment. So a worker that is late, asleep or preempted costs its help and nothing else.
//! Idle threads spin for at most 20 µs and then park: a busy process on the same core is not held up.
//!
//! # Floating-point mode
//!
//! Chunks run in the mode that Rust assumes on every thread, the caller's own included, which then has its own again.
//!
//! # Nesting
//!
//! A chunk may call `run` again, on the same pool or another, and any number of threads may call it at once. This cannot
//! deadlock: a thread that waits for a job holds only chunks that it claimed before that job was made, and waits only for chunks
//! of that job; whoever runs one of those can in turn wait only for a job that is newer still. A chain of waits leads to ever
//! newer jobs, so it never closes into a ring.

mod job;
mod queue;
mod spin;

use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};

use job::Job;
use queue::Queue;

use crate::machine::StandardFloats;

/// A set of worker threads that help their callers with loops. Dropping it joins them.
pub struct Pool {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` threads, the caller of [`Pool::run`] being one of them: 0 and 1 both make a pool without workers.
    ///
    /// Where the system refuses a thread, the pool is smaller: [`Pool::threads`] tells.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let workers = (1..threads).map_while(|number| spawn(number, &queue).ok()).collect();
        Self { queue, workers }
    }

    /// The pool of this process, with as many threads as the processor can run at once. Made when first asked for.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<Pool> = LazyLock::new(|| Pool::new(thread::available_parallelism().map_or(1, NonZero::get)));
        &GLOBAL
    }

    /// The threads that can work on one job: the workers and the caller.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `body` once with each number below `chunks`, in no particular order, on all threads of the pool that are free.
    ///
    /// # Panics
    /// If `body` panics: chunks that nobody has claimed are abandoned, those that are running come to their end, and the first
    /// panic is resumed here.
    pub fn run<F: Fn(usize) + Sync>(&self, chunks: usize, body: F) {
        self.run_limited(self.threads(), chunks, body);
    }

    /// As [`Pool::run`], on at most `threads` threads at a time, this one included. 0 means 1.
    ///
    /// # Panics
    /// If `body` panics, as [`Pool::run`] does.
    pub fn run_limited<F: Fn(usize) + Sync>(&self, threads: usize, chunks: usize, body: F) {
        let _floats = StandardFloats::set();
        let helpers = threads.min(self.threads()).min(chunks).saturating_sub(1);
        if helpers == 0 {
            (0..chunks).for_each(body);
        } else {
            Job::run(&body, chunks, |job| self.queue.offer(job, helpers));
        }
    }
}

/// Starts worker `number` on `queue`.
fn spawn(number: usize, queue: &Arc<Queue>) -> io::Result<JoinHandle<()>> {
    let queue = Arc::clone(queue);
    thread::Builder::new().name(format!("quantloom-{number}")).spawn(move || {
        let _floats = StandardFloats::set();
        queue.serve();
    })
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.close();
        for worker in self.workers.drain(..) {
            // A worker catches what its chunks throw, so there is nothing to learn from how it ended.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}
