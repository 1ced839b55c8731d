//! Whom a multiplication follows. Each test runs again in processes of their own, for the choices are those of the process.

use std::env;
use std::path::Path;
use std::time::Duration;

use quantloom::matmul::{Launch, Request, Source, Used, candidates, matmul};
use quantloom::measure::activations;
use quantloom::pool::Pool;
use quantloom::registry::{self, Kernel, Numerics};
use quantloom::tune::{self, Keep, Key, Status, Tuner};
use quantloom::weights::Weights;

use crate::child::parts;
use crate::support::{entry, kernels, key, weights};

/// Multiplies; which kernel did it, and the bits of the product.
fn multiply(weights: &Weights, batch: usize, request: &Request, pool: &Pool) -> (Used, Vec<u32>) {
    let x = activations(batch, weights.k()).unwrap();
    let mut y = vec![f32::NAN; batch * weights.n()];
    let used = matmul(weights, &x, batch, &mut y, request, pool).unwrap();
    (used, y.into_iter().map(f32::to_bits).collect())
}

fn used(weights: &Weights, batch: usize, request: &Request) -> (Launch, Source) {
    let (used, _) = multiply(weights, batch, request, Pool::global());
    (used.launch, used.source)
}

fn is_unmeasured(source: Source) -> bool {
    matches!(source, Source::Model | Source::Default)
}

/// A kernel that is not the default for a batch of one.
fn unusual(weights: &Weights) -> &'static Kernel {
    let all = kernels(weights);
    all.iter().copied().find(|kernel| !kernel.batch.contains(&1)).unwrap_or(all[0])
}

#[test]
fn pin_then_memory_then_cache_then_default() {
    let folder = tempfile::tempdir().unwrap();
    let before = || {
        let weights = weights(40, 1);
        assert!(is_unmeasured(used(&weights, 1, &Request::default()).1));
        tune::choices().record(entry(key(&weights, 1), unusual(&weights)), Keep::InFile);
        assert_eq!(used(&weights, 1, &Request::default()), (unusual(&weights).into(), Source::Memory));
        tune::choices().publish().unwrap();
    };
    let after = || {
        let weights = weights(40, 1);
        let chosen = unusual(&weights);
        assert_eq!(used(&weights, 1, &Request::default()), (chosen.into(), Source::Cache));
        assert!(is_unmeasured(used(&weights, 2, &Request::default()).1));
        for pin in kernels(&weights) {
            let request = Request::default().launch(pin);
            assert_eq!(used(&weights, 1, &request), (pin.into(), Source::Pin));
        }
        tune::choices().record(entry(key(&weights, 1), kernels(&weights)[0]), Keep::InMemory);
        assert_eq!(used(&weights, 1, &Request::default()), (kernels(&weights)[0].into(), Source::Memory));
    };
    parts("order::pin_then_memory_then_cache_then_default", folder.path(), &[before, after]);
}

#[test]
fn instruction_sets_and_thread_counts_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let part = || {
        let weights = weights(40, 1);
        let scalar = registry::isas()[0];
        let numerics = Numerics::Int8;
        let kernel = *candidates(&weights, numerics, scalar).unwrap().last().unwrap();
        tune::choices().record(entry(Key::new(&weights, 1, numerics, scalar, 2), kernel), Keep::InMemory);
        let pools = [Pool::new(1), Pool::new(2), Pool::new(3)];
        let source = |isa, pool: usize, threads| {
            let request = Request::default().isa(isa).threads(threads);
            multiply(&weights, 1, &request, &pools[pool - 1]).0.source
        };
        // Two threads, whether they are asked for or all that the pool has.
        assert_eq!(source(Some(scalar), 2, 0), Source::Memory);
        assert_eq!(source(Some(scalar), 2, 9), Source::Memory);
        assert_eq!(source(Some(scalar), 3, 2), Source::Memory);
        assert!(is_unmeasured(source(Some(scalar), 3, 0)));
        assert!(is_unmeasured(source(Some(scalar), 1, 2)));
        if registry::best_isa().name != scalar.name {
            assert!(is_unmeasured(source(None, 2, 0)));
        }
    };
    parts("order::instruction_sets_and_thread_counts_are_told_apart", folder.path(), &[part]);
}

#[test]
fn tuning_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let part = || {
        let weights = weights(100, 3);
        let product = |batch| multiply(&weights, batch, &Request::default(), Pool::global());
        for batch in [1, 4, 33] {
            let (before, wanted) = product(batch);
            assert!(is_unmeasured(before.source), "a multiplication does not tune");
            let outcome = Tuner::new(tune::choices()).tune(&weights, batch, &Request::default(), Pool::global(), Duration::MAX);
            let outcome = outcome.unwrap();
            let (after, found) = product(batch);
            assert_eq!((after.launch, after.source), (outcome.launch, Source::Memory));
            assert!(matches!(outcome.status, Status::Tuned | Status::Unsteady));
            assert_eq!(found, wanted);
        }
    };
    parts("order::tuning_changes_no_bit", folder.path(), &[part]);
}

#[test]
fn the_cache_folder_is_where_the_variable_says() {
    let folder = tempfile::tempdir().unwrap();
    let part = || {
        let folder = env::var_os(tune::VARIABLE).unwrap();
        assert!(tune::choices().path().unwrap().starts_with(&folder));
        assert_eq!(tune::folder().unwrap(), Path::new(&folder));
        assert!(!tune::environment().contains(char::is_whitespace));
    };
    parts("order::the_cache_folder_is_where_the_variable_says", folder.path(), &[part]);
}
