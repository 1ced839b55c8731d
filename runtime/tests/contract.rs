//! Every built-in format passes the tests that `quantloom::testing` has for formats from anywhere.

mod support;

use std::sync::Mutex;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::Config;
use quantloom::matmul::{Request, matmul};
use quantloom::measure::{activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, kernels};
use quantloom::testing::{self, Definition, Failure};
use quantloom::weights::Weights;

/// Runs a test of each format, several at a time; how much it compared, in all.
fn each_format(test: fn(&'static Format) -> Result<usize, Failure>) -> usize {
    each_of(registry::formats().collect(), test)
}

fn each_of(formats: Vec<&'static Format>, test: fn(&'static Format) -> Result<usize, Failure>) -> usize {
    let formats = Mutex::new(formats.into_iter());
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
    // Formats of a class share their kernels: emulated, one of each is enough.
    let tried = if support::program::is_emulated() { support::classes::formats() } else { registry::formats().collect() };
    let available = tried.iter().flat_map(|format| kernels(format)).filter(|kernel| kernel.isa().is_available()).count();
    let products = each_of(tried, testing::products);
    assert!(available > 0 && products >= 26 * available, "{products} products by {available} kernels");
}

proptest! {
    #![proptest_config(Config { cases: 20, failure_persistence: None, ..Config::default() })]

    /// Shapes that nobody thought of: of one format each, by all its kernels.
    #[test]
    fn kernels_compute_shapes_of_any_size(format in any::<prop::sample::Index>(), n in 1_usize..100, k in 1_usize..1600, batch in 1_usize..20) {
        let formats = registry::formats().filter(|format| !kernels(format).is_empty()).collect::<Vec<_>>();
        let format = *format.get(&formats);
        let (n, blocks) = (n.next_multiple_of(format.row_multiple()), k.div_ceil(format.block_weights));
        let compared = testing::products_of(format, n, blocks, &[batch]);
        prop_assert!(matches!(compared, Ok(1..)), "{compared:?}");
    }
}

/// One product by each kernel, of whole tiles and of parts: what another processor of the same architecture cannot run shows here, in a
/// small part of the time that all products take.
#[test]
fn every_kernel_runs() {
    let available = registry::formats().flat_map(kernels).filter(|kernel| kernel.isa().is_available()).count();
    assert_eq!(each_format(one_product_by_each_kernel), available);
}

fn one_product_by_each_kernel(format: &'static Format) -> Result<usize, Failure> {
    let kernels = || kernels(format).iter().filter(|kernel| kernel.isa().is_available());
    let Some(batch) = kernels().map(|kernel| kernel.cols + 1).max() else { return Ok(0) };
    let (n, k) = (65_usize.next_multiple_of(format.row_multiple()), format.block_weights);
    let stored = synthetic(format, n, k).unwrap();
    let weights = Weights::pack(format, n, k, &stored, Pool::global()).unwrap();
    let (card, x) = (registry::model(format).unwrap(), activations(batch, k).unwrap());
    let definition = Definition::new(card);
    let rows = definition.rows(format, n, k, &stored);
    for numerics in registry::numerics(format) {
        let wanted = x.chunks(k).flat_map(|x| rows.iter().map(|row| row.product(numerics, x).to_bits())).collect::<Vec<_>>();
        for kernel in kernels().filter(|kernel| kernel.numerics == numerics) {
            let batch = kernel.cols + 1;
            let mut y = vec![f32::NAN; batch * n];
            let request = Request::default().launch(kernel);
            matmul(&weights, &x[..batch * k], batch, &mut y, &request, Pool::global()).unwrap();
            let found = y.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert!(found == wanted[..batch * n], "{}", kernel.name);
        }
    }
    Ok(kernels().count())
}
