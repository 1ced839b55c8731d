//! The pool: each chunk once, whoever calls, however it ends.

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use quantloom::pool::Pool;

/// How often a test that hunts for races is repeated: Miri tries other interleavings by itself, and is slow.
const ROUNDS: usize = if cfg!(miri) { 4 } else { 400 };

/// Runs `chunks` chunks on at most `threads` threads and checks that each ran once.
fn each_once(pool: &Pool, threads: usize, chunks: usize) {
    let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
    pool.run_limited(threads, chunks, |chunk| {
        calls[chunk].fetch_add(1, Ordering::Relaxed);
    });
    for (chunk, calls) in calls.iter().enumerate() {
        assert_eq!(calls.load(Ordering::Relaxed), 1, "chunk {chunk} of {chunks}");
    }
}

/// Waits for what another thread is about to do; a test that waits for ever has failed.
fn wait_for(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn every_chunk_runs_exactly_once() {
    let largest = if cfg!(miri) { 5 } else { 70 };
    for threads in [0, 1, 2, 3, 8] {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads.max(1));
        for chunks in 0..largest {
            each_once(&pool, usize::MAX, chunks);
        }
    }
    if !cfg!(miri) {
        each_once(&Pool::new(4), 4, 1_000_000);
    }
}

#[test]
fn writes_of_chunks_are_seen_by_the_caller() {
    let pool = Pool::new(3);
    for round in 0..ROUNDS {
        let mut cells = [0; 16];
        let slots: Vec<Mutex<&mut usize>> = cells.iter_mut().map(Mutex::new).collect();
        pool.run(slots.len(), |chunk| **slots[chunk].lock().unwrap() = round + chunk);
        drop(slots);
        assert!(cells.iter().enumerate().all(|(chunk, &cell)| cell == round + chunk));
    }
}

#[test]
fn the_global_pool_works() {
    each_once(Pool::global(), usize::MAX, 9);
    assert!(std::ptr::eq(Pool::global(), Pool::global()));
}

#[test]
fn callers_may_run_at_once() {
    let pool = Pool::new(3);
    thread::scope(|scope| {
        for caller in 0..4 {
            let pool = &pool;
            scope.spawn(move || (0..ROUNDS).for_each(|round| each_once(pool, 3, (caller + round) % 9)));
        }
    });
}

#[test]
fn calls_nest() {
    let pool = Pool::new(3);
    for _ in 0..ROUNDS.div_ceil(4) {
        let calls = AtomicUsize::new(0);
        pool.run(3, |_| {
            pool.run(4, |_| {
                pool.run(5, |_| {
                    calls.fetch_add(1, Ordering::Relaxed);
                });
            });
        });
        assert_eq!(calls.into_inner(), 3 * 4 * 5);
    }
}

#[test]
fn concurrent_callers_may_nest_across_pools() {
    let pools = [Pool::new(2), Pool::new(3)];
    thread::scope(|scope| {
        for (outer, inner) in [(0, 1), (1, 0)] {
            let (outer, inner) = (&pools[outer], &pools[inner]);
            scope.spawn(move || {
                for _ in 0..ROUNDS.div_ceil(4) {
                    outer.run(4, |chunk| inner.run(3, |_| each_once(outer, 2, chunk)));
                }
            });
        }
    });
}

#[test]
fn a_panic_reaches_the_caller_and_abandons_the_rest() {
    let pool = Pool::new(3);
    for round in 0..ROUNDS {
        let calls = AtomicUsize::new(0);
        let culprit = round % 8;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(usize::MAX, |chunk| {
                calls.fetch_add(1, Ordering::Relaxed);
                assert!(chunk != culprit, "chunk {chunk}");
            });
        }));
        let message = outcome.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*message, format!("chunk {culprit}"));
        assert!(calls.into_inner() > culprit);
        each_once(&pool, 3, 5);
    }
}

#[test]
fn chunks_may_all_panic() {
    let pool = Pool::new(3);
    for _ in 0..ROUNDS.div_ceil(4) {
        let outcome = catch_unwind(AssertUnwindSafe(|| pool.run(6, |chunk| std::panic::panic_any(chunk))));
        assert!(*outcome.unwrap_err().downcast::<usize>().unwrap() < 6);
    }
}

#[test]
fn a_panic_in_a_nested_call_reaches_the_outer_caller() {
    let pool = Pool::new(2);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        pool.run(4, |outer| pool.run(4, |inner| assert!((outer, inner) != (2, 3), "both")));
    }));
    assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "both");
}

#[test]
fn a_limit_on_threads_is_kept() {
    let pool = Pool::new(6);
    for round in 0..ROUNDS {
        let limit = round % 5;
        let threads = Mutex::new(HashSet::new());
        pool.run_limited(limit, 12, |_| {
            threads.lock().unwrap().insert(thread::current().id());
            thread::yield_now();
        });
        assert!(threads.into_inner().unwrap().len() <= limit.max(1));
    }
}

#[test]
fn all_threads_take_part() {
    let pool = Pool::new(4);
    for _ in 0..ROUNDS.div_ceil(4) {
        // No chunk ends before all have begun, each on a thread of its own.
        let all = Barrier::new(4);
        pool.run(4, |_| {
            all.wait();
        });
    }
}

#[test]
fn a_stalled_chunk_does_not_hold_up_the_others() {
    let pool = Pool::new(2);
    for _ in 0..ROUNDS {
        let others = AtomicUsize::new(0);
        pool.run(9, |chunk| {
            if chunk == 0 {
                wait_for(|| others.load(Ordering::Relaxed) == 8);
            } else {
                others.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

#[test]
fn a_caller_does_not_wait_for_busy_workers() {
    let pool = Pool::new(2);
    let busy = Barrier::new(3);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            pool.run(2, |_| {
                busy.wait();
                wait_for(|| done.load(Ordering::Relaxed));
            });
        });
        busy.wait();
        each_once(&pool, 2, 20);
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn sleeping_workers_wake() {
    let pool = Pool::new(2);
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(2));
        let both = Barrier::new(2);
        pool.run(2, |_| {
            both.wait();
        });
    }
}

/// Counts the threads that have come to their end.
struct OnExit(Arc<AtomicUsize>);

impl Drop for OnExit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static ON_EXIT: RefCell<Option<OnExit>> = const { RefCell::new(None) };
}

#[test]
fn dropping_the_pool_joins_its_workers() {
    for idle in [Duration::ZERO, Duration::from_millis(1)] {
        let ended = Arc::new(AtomicUsize::new(0));
        let pool = Pool::new(4);
        let caller = thread::current().id();
        let all = Barrier::new(4);
        pool.run(4, |_| {
            all.wait();
            if thread::current().id() != caller {
                ON_EXIT.set(Some(OnExit(Arc::clone(&ended))));
            }
        });
        thread::sleep(idle);
        drop(pool);
        assert_eq!(ended.load(Ordering::Relaxed), 3);
    }
}

/// Sets the floating-point mode of this thread; the one that it had.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn swap_mode(new: u64) -> u64 {
    let (new, mut old) = (new as u32, 0_u32);
    // SAFETY: stores and loads four bytes; no Rust float arithmetic runs until the caller restores the mode.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", "ldmxcsr [{}]", in(reg) &raw mut old, in(reg) &raw const new, options(nostack));
    }
    old.into()
}

/// Sets the floating-point mode of this thread; the one that it had.
#[cfg(all(target_arch = "aarch64", not(miri)))]
fn swap_mode(new: u64) -> u64 {
    let old;
    // SAFETY: no Rust float arithmetic runs until the caller restores the mode.
    unsafe {
        std::arch::asm!("mrs {}, fpcr", "msr fpcr, {}", out(reg) old, in(reg) new, options(nomem, nostack));
    }
    old
}

/// Worker threads start with the mode of the thread that made them, which here flushes subnormals.
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
#[test]
fn workers_keep_subnormals() {
    const FLUSH: u64 = if cfg!(target_arch = "x86_64") { 0x9fc0 } else { 1 << 24 };
    let usual = swap_mode(FLUSH);
    let pool = Pool::new(2);
    swap_mode(usual);
    let both = Barrier::new(2);
    pool.run(2, |_| {
        both.wait();
        assert!(std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5) > 0.0);
    });
}
