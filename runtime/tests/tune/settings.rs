//! What users say by environment variables, each in processes of their own.

use std::time::Duration;

use quantloom::Error;
use quantloom::matmul::{Launch, Request, Source, candidates, select};
use quantloom::pool::Pool;
use quantloom::registry::{self, Kernel, Numerics};
use quantloom::tune::{self, Keep, Mode, Tuner};
use quantloom::weights::Weights;

use crate::child::parts_with;
use crate::support::{entry, format, kernels, key, weights};

/// Runs a test in a process with a variable and an empty cache.
fn with(test: &str, variable: &str, value: &str, part: fn()) {
    parts_with(test, tempfile::tempdir().unwrap().path(), &[(variable, value)], &[part]);
}

/// Who chooses the kernel for a batch of one, and which it is.
fn chosen(weights: &Weights, request: &Request) -> (Launch, Source) {
    let used = select(weights, 1, request, Pool::global()).unwrap();
    (used.launch, used.source)
}

/// The last candidate, which differs from the default.
fn unusual(weights: &Weights) -> &'static Kernel {
    let all = kernels(weights);
    all.iter().copied().find(|kernel| !kernel.batch.contains(&1)).unwrap_or(all[0])
}

#[test]
fn off_follows_nothing_that_was_measured() {
    let part = || {
        let weights = weights(40, 1);
        tune::choices().record(entry(key(&weights, 1), unusual(&weights)), Keep::InMemory);
        assert_eq!(tune::choices().mode().unwrap(), Mode::Off);
        // The user's word counts, not the program's.
        tune::choices().set_mode(Mode::CacheOnly);
        assert!(matches!(chosen(&weights, &Request::default()).1, Source::Model | Source::Default));
    };
    with("settings::off_follows_nothing_that_was_measured", tune::MODE, "off", part);
}

#[test]
fn the_program_says_when_to_measure_if_the_user_does_not() {
    let part = || {
        let weights = weights(40, 1);
        tune::choices().record(entry(key(&weights, 1), unusual(&weights)), Keep::InMemory);
        assert_eq!(tune::choices().mode().unwrap(), Mode::OnMiss { budget: Duration::from_secs(2) });
        assert_eq!(chosen(&weights, &Request::default()), (unusual(&weights).into(), Source::Memory));
        tune::choices().set_mode(Mode::Off);
        assert!(matches!(chosen(&weights, &Request::default()).1, Source::Model | Source::Default));
        tune::choices().set_mode(Mode::CacheOnly);
        assert_eq!(chosen(&weights, &Request::default()), (unusual(&weights).into(), Source::Memory));
    };
    with("settings::the_program_says_when_to_measure_if_the_user_does_not", tune::MODE, "", part);
}

#[test]
fn a_pin_beats_everything_but_a_kernel_that_the_caller_names() {
    let name = |kernel: &Kernel| format!("{}/matmul={}", kernel.format, kernel.name);
    let both = [scalar(Numerics::Int8), scalar(Numerics::Exact)].map(name).join(",");
    let part = || {
        let weights = weights(40, 1);
        tune::choices().record(entry(key(&weights, 1), unusual(&weights)), Keep::InMemory);
        tune::choices().set_mode(Mode::Off);
        for numerics in [Numerics::Int8, Numerics::Exact] {
            let pinned = (scalar(numerics).into(), Source::Pin);
            let request = Request::default().numerics(numerics);
            assert_eq!(chosen(&weights, &request), pinned);
            assert_eq!(chosen(&weights, &request.isa(registry::isas()[0])), pinned);
            let best = registry::best_isa();
            let all = candidates(&weights, numerics, best).unwrap();
            let named = request.launch(all[0]);
            assert_eq!(chosen(&weights, &named), (all[0].into(), Source::Pin));
            if best.name != registry::isas()[0].name {
                assert_ne!(chosen(&weights, &request.isa(best)).1, Source::Pin);
            }
        }
    };
    with("settings::a_pin_beats_everything_but_a_kernel_that_the_caller_names", tune::PIN, &both, part);
}

/// A kernel of the lowest instruction set that is not its default.
fn scalar(numerics: Numerics) -> &'static Kernel {
    let kernels = registry::kernels(format()).iter();
    kernels.rev().find(|kernel| kernel.numerics == numerics && kernel.isa().name == registry::isas()[0].name).unwrap()
}

#[test]
fn what_is_not_understood_is_an_error_of_every_call() {
    let part = || {
        for _ in 0..2 {
            let error = select(&weights(16, 1), 1, &Request::default(), Pool::global()).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
            assert_eq!(error.to_string().lines().count(), 1);
            // Nor is anything measured that nobody would follow.
            let (tuner, second) = (Tuner::new(tune::choices()), Duration::from_secs(1));
            let error = tuner.tune(&weights(16, 1), 1, &Request::default(), Pool::global(), second).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
            let error = tuner.tune_list(&[], Pool::global(), second, &mut |_| {}).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
        }
    };
    for (variable, value) in
        [(tune::MODE, "sometimes"), (tune::MODE, "force:-1"), (tune::PIN, "x"), (tune::PIN, "none/matmul=r1c1")]
    {
        with("settings::what_is_not_understood_is_an_error_of_every_call", variable, value, part);
    }
}
