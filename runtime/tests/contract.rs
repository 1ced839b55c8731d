//! Every built-in format passes the tests that `quantloom::testing` has for formats from anywhere.

use std::sync::Mutex;
use std::thread;

use quantloom::registry::{self, Format, kernels};
use quantloom::testing::{self, Failure};

/// Runs a test of each format, several at a time; how much it compared, in all.
fn each_format(test: fn(&'static Format) -> Result<usize, Failure>) -> usize {
    let formats = Mutex::new(registry::formats());
    let next = || formats.lock().unwrap().next();
    let compared = |format| test(format).unwrap_or_else(|failure| panic!("{failure}"));
    let work = || std::iter::from_fn(next).map(compared).sum::<usize>();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers = (0..threads).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    })
}

#[test]
fn decoders_do_what_the_cards_say() {
    assert!(each_format(testing::decoding) > 0);
}

#[test]
fn packers_keep_every_integer() {
    assert!(each_format(testing::packing) > 0);
}

#[test]
fn kernels_compute_the_classes_as_they_are_defined() {
    let products = each_format(testing::products);
    let available = registry::formats().flat_map(kernels).filter(|kernel| kernel.isa().is_available()).count();
    assert!(available > 0 && products >= 26 * available, "{products} products by {available} kernels");
}
