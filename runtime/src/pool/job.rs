//! One loop: which of its chunks are claimed, which are settled, and how its caller learns of the end.

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use super::spin;

/// What a panic carries.
type Payload = Box<dyn Any + Send>;

/// A loop that threads may take part in.
///
/// Each chunk is claimed by one thread, and is *settled* when its call has come to an end; chunks that nobody will claim, because
/// one panicked, are settled at once. The caller leaves when all are.
pub(super) struct Job {
    body: Body,
    chunks: usize,
    /// The first chunk that nobody has claimed: at most `chunks`.
    next: AtomicUsize,
    /// Chunks that are not settled.
    unsettled: AtomicUsize,
    /// What chunks have thrown, in order.
    panics: Mutex<Vec<Payload>>,
    caller: Thread,
}

impl Job {
    /// Calls `body` for each chunk, here and on the threads that `publish` makes the job known to; they call [`Job::help`].
    pub(super) fn run<F: Fn(usize) + Sync>(body: &F, chunks: usize, publish: impl FnOnce(Arc<Self>)) {
        let job = Arc::new(Self {
            body: Body::new(body),
            chunks,
            next: AtomicUsize::new(0),
            unsettled: AtomicUsize::new(chunks),
            panics: Mutex::default(),
            caller: thread::current(),
        });
        let end = End(&job);
        publish(Arc::clone(&job));
        job.work();
        drop(end);
        let panics = mem::take(&mut *job.panics());
        if let Some(first) = panics.into_iter().next() {
            panic::resume_unwind(first);
        }
    }

    /// Takes part as a helper.
    pub(super) fn help(&self) {
        if self.work() {
            self.caller.unpark();
        }
    }

    /// Whether there are chunks that nobody has claimed.
    pub(super) fn is_open(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.chunks
    }

    /// Runs chunks until none is left to claim; tells whether that settled the last one.
    fn work(&self) -> bool {
        let mut settled = 0;
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            while let Some(chunk) = self.claim() {
                // Counted first: a chunk that panics is settled too.
                settled += 1;
                // SAFETY: `chunk` was claimed and is not settled before the call has ended. Until then `unsettled` is not 0, so
                // `Job::run` is still in `End::drop`, or before it, and the closure that it borrows is alive.
                unsafe { self.body.call(chunk) };
            }
        }));
        if let Err(payload) = outcome {
            // Dropped by the caller: a payload's drop may panic in turn, and this thread has chunks to settle.
            self.panics().push(payload);
            settled += self.abandon();
        }
        self.settle(settled)
    }

    /// The next chunk, if there is one. It cannot be claimed again.
    fn claim(&self) -> Option<usize> {
        // Relaxed: claims order nothing else. The job reached this thread through a lock, its results leave through `unsettled`.
        // Not `fetch_add`, which could wrap and hand out chunk 0 again.
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < self.chunks).then(|| next + 1)).ok()
    }

    /// Claims all chunks that are left, to be settled without a call; returns how many.
    fn abandon(&self) -> usize {
        self.chunks - self.next.swap(self.chunks, Ordering::Relaxed)
    }

    /// Settles chunks that this thread claimed; tells whether these were the last.
    fn settle(&self, chunks: usize) -> bool {
        // Release: what the chunks wrote is seen by the caller, whose load in `End::drop` acquires it.
        chunks > 0 && self.unsettled.fetch_sub(chunks, Ordering::Release) == chunks
    }

    fn panics(&self) -> MutexGuard<'_, Vec<Payload>> {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a job when dropped: no chunk is claimed afterwards, and none is running. Made before the job is published, so that there is
/// no way out of [`Job::run`] around it.
struct End<'a>(&'a Job);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let job = self.0;
        job.settle(job.abandon());
        let settled = || job.unsettled.load(Ordering::Acquire) == 0;
        if !spin::until(settled) {
            while !settled() {
                thread::park();
            }
        }
    }
}

/// A borrowed closure whose type and lifetime are erased.
struct Body {
    data: *const (),
    call: unsafe fn(*const (), usize),
}

// SAFETY: `data` points to a closure that is `Sync` (`Body::new`) and is only ever used as a shared reference to it.
unsafe impl Send for Body {}
// SAFETY: as above.
unsafe impl Sync for Body {}

impl Body {
    fn new<F: Fn(usize) + Sync>(body: &F) -> Self {
        /// # Safety
        /// `data` must point to a live `F`.
        unsafe fn call<F: Fn(usize)>(data: *const (), chunk: usize) {
            // SAFETY: the caller promises it.
            let body = unsafe { &*data.cast::<F>() };
            body(chunk);
        }
        Self { data: (&raw const *body).cast(), call: call::<F> }
    }

    /// # Safety
    /// The closure that this was made from must be alive.
    unsafe fn call(&self, chunk: usize) {
        // SAFETY: `data` and `call` were made for the same type, and the caller promises that the closure is alive.
        unsafe { (self.call)(self.data, chunk) }
    }
}
