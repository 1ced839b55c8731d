//! The tuner itself: which problems it measures, and what it leaves behind.

use std::collections::BTreeSet;
use std::time::Duration;

use quantloom::Error;
use quantloom::machine::processor;
use quantloom::matmul::{Launch, Request, Source, candidates, matmul};
use quantloom::measure::activations;
use quantloom::pool::Pool;
use quantloom::registry::{self, Numerics};
use quantloom::tune::{Choices, Job, Keep, Key, Status, Tuner};
use quantloom::weights::Weights;

use crate::support::{entry, file, kernels, key, weights};

const FOREVER: Duration = Duration::MAX;

/// Tunes a model; the outcomes as bucket and status, and how often progress was told.
fn tune_model(choices: &Choices, jobs: &[Job<'_>], budget: Duration) -> (Vec<(Key, Status)>, usize) {
    let mut told = 0;
    let outcomes = Tuner::new(choices).tune_model(jobs, Pool::global(), budget, &mut |progress| {
        told += 1;
        assert_eq!(progress.done, told);
        assert!(progress.done <= progress.total);
    });
    let outcomes = outcomes.unwrap().into_iter();
    (outcomes.map(|outcome| (outcome.key, outcome.status)).collect(), told)
}

fn job<'a>(weights: &'a Weights, batches: &'a [usize]) -> Job<'a> {
    Job::new(weights, batches, Request::default())
}

/// Whether the card of the processor begins with it.
fn is_begun(launch: &Launch) -> bool {
    let Launch { kernel, far, near, tiles, keep, .. } = *launch;
    processor::here().unwrap().card.is_some_and(|card| {
        card.starts.iter().any(|start| {
            (start.isa, start.numerics) == (kernel.isa().name, kernel.numerics)
                && (start.schedule, start.tile) == (kernel.schedule, kernel.tile)
                && (start.far.unwrap_or(kernel.distances.0), start.near.unwrap_or(kernel.distances.1)) == (far, near)
                && (start.tiles.unwrap_or_default(), start.keep) == (tiles, keep)
        })
    })
}

#[test]
fn tuning_records_a_kernel_of_the_card_and_its_arguments() {
    let weights = weights(100, 2);
    for batch in [1, 3, 40] {
        let (_folder, file) = file();
        let choices = Choices::new(Some(file));
        let outcome = Tuner::new(&choices).tune(&weights, batch, &Request::default(), Pool::global(), FOREVER).unwrap();
        let launches = outcome.timings.iter().map(|timing| timing.launch).collect::<Vec<_>>();
        // First all kernels with the arguments of a card, then the best of them with others.
        let names = kernels(&weights).iter().map(|kernel| kernel.name).collect::<Vec<_>>();
        let (first, second) = launches.split_at(names.len());
        assert_eq!(first.iter().map(|launch| launch.kernel.name).collect::<Vec<_>>(), names);
        assert!(first.iter().all(|launch| *launch == Launch::of(launch.kernel) || is_begun(launch)));
        assert!(second.iter().all(|launch| std::ptr::eq(launch.kernel, outcome.launch.kernel) && !first.contains(launch)));
        assert!(batch == 1 || !second.is_empty(), "tiles may be read in turn");
        assert!(launches.contains(&outcome.launch) && first.contains(&outcome.default));
        let texts = launches.iter().map(Launch::to_string).collect::<BTreeSet<_>>();
        assert_eq!(texts.len(), launches.len(), "nothing is measured twice");
        assert!(outcome.timings.iter().all(|timing| timing.median_ns > 0.0 && timing.rounds >= 1));
        assert!(outcome.quarantined.is_empty() && outcome.warnings.is_empty());
        assert_eq!(choices.find(&key(&weights, batch)), Some((outcome.launch, Source::Memory)));
        // Whether the machine was steady is not ours to say.
        let kept = choices.contents().entries;
        assert_eq!(kept.len(), usize::from(outcome.status == Status::Tuned));
        let chosen = (outcome.launch.to_string(), outcome.default.to_string());
        assert!(kept.iter().all(|entry| (&entry.kernel, &entry.default) == (&chosen.0, &chosen.1)));
        assert!(kept.iter().all(|entry| entry.launch() == Some(outcome.launch) && entry.times.len() == launches.len()));
    }
}

#[test]
fn every_instruction_set_has_choices_of_its_own() {
    let weights = weights(40, 1);
    let choices = Choices::new(None);
    for isa in registry::isas().iter().copied().filter(|isa| isa.is_available()) {
        let request = Request::default().isa(isa).threads(1);
        let outcome = Tuner::new(&choices).tune(&weights, 1, &request, Pool::global(), FOREVER).unwrap();
        assert_eq!((outcome.launch.kernel.isa().name, outcome.key.threads), (isa.name, 1));
        let key = Key::new(&weights, 1, Numerics::Int8, isa, 1);
        assert_eq!(choices.find(&key).unwrap().0, outcome.launch);
    }
}

#[test]
fn without_time_the_default_stays_and_nothing_is_recorded() {
    let weights = weights(100, 2);
    let choices = Choices::new(None);
    let outcome = Tuner::new(&choices).tune(&weights, 1, &Request::default(), Pool::global(), Duration::ZERO).unwrap();
    assert_eq!((outcome.status, outcome.launch), (Status::Untuned, outcome.default));
    assert!(outcome.timings.is_empty() && outcome.warnings.is_empty());
    assert!(choices.find(&key(&weights, 1)).is_none());
    // A choice from before still holds.
    let known = *kernels(&weights).last().unwrap();
    choices.record(entry(key(&weights, 1), known), Keep::InMemory);
    let outcome = Tuner::new(&choices).tune(&weights, 1, &Request::default(), Pool::global(), Duration::ZERO).unwrap();
    assert_eq!((outcome.status, outcome.launch), (Status::Known(Source::Memory), known.into()));
}

#[test]
fn nothing_is_measured_where_there_is_nothing() {
    let choices = Choices::new(None);
    for (weights, batch) in [(weights(0, 2), 1), (weights(16, 0), 1), (weights(16, 1), 0)] {
        let outcome = Tuner::new(&choices).tune(&weights, batch, &Request::default(), Pool::global(), FOREVER).unwrap();
        assert_eq!(outcome.status, Status::Untuned);
    }
}

#[test]
fn each_problem_of_a_model_is_measured_once() {
    let (small, large, twin) = (weights(16, 1), weights(64, 2), weights(64, 2));
    let choices = Choices::new(None);
    let known = kernels(&small)[0];
    choices.record(entry(key(&small, 1), known), Keep::InMemory);
    let jobs = [job(&small, &[1, 6]), job(&large, &[1, 40, 64]), job(&twin, &[50, 200])];
    let (outcomes, told) = tune_model(&choices, &jobs, FOREVER);
    let keys = outcomes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let wanted = [(&large, 1), (&large, 40), (&large, 200), (&small, 1), (&small, 6)];
    assert_eq!(keys, wanted.map(|(weights, batch)| key(weights, batch)));
    assert_eq!(told, 5);
    let skipped = outcomes.iter().filter(|(_, status)| *status == Status::Known(Source::Memory)).collect::<Vec<_>>();
    assert!(skipped.len() == 1 && skipped[0].0 == key(&small, 1));
    // The second time all is known.
    let (outcomes, _) = tune_model(&choices, &jobs, FOREVER);
    assert!(outcomes.iter().all(|(_, status)| *status == Status::Known(Source::Memory)));
}

#[test]
fn a_model_without_time_is_untuned() {
    let weights = weights(16, 1);
    let choices = Choices::new(None);
    let (outcomes, told) = tune_model(&choices, &[job(&weights, &[1, 2])], Duration::ZERO);
    assert!(told == 2 && outcomes.iter().all(|(_, status)| *status == Status::Untuned));
    assert_eq!(tune_model(&choices, &[], FOREVER), (Vec::new(), 0));
}

#[test]
fn what_no_kernel_does_is_an_error() {
    let weights = weights(16, 1);
    let unavailable = registry::isas().iter().copied().find(|isa| !isa.is_available());
    if let Some(isa) = unavailable {
        let request = Request::default().isa(isa);
        let error = Tuner::new(&Choices::new(None)).tune(&weights, 1, &request, Pool::global(), FOREVER).unwrap_err();
        assert!(matches!(error, Error::NoKernel { .. }), "{error}");
    }
}

#[test]
fn all_choices_give_the_same_bits() {
    let weights = weights(100, 3);
    let batch = 9;
    let x = activations(batch, weights.k()).unwrap();
    let product = |launch: Option<Launch>| {
        let mut y = vec![f32::NAN; batch * weights.n()];
        let request = Request::default();
        let request = launch.map_or(request, |launch| request.launch(launch));
        matmul(&weights, &x, batch, &mut y, &request, Pool::global()).unwrap();
        y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let wanted = product(None);
    for kernel in candidates(&weights, Numerics::Int8, registry::best_isa()).unwrap() {
        let mut other = Launch::of(kernel);
        (other.far, other.near, other.tiles, other.keep) = (0, 1 << 20, 3, true);
        for launch in [Launch::of(kernel), other] {
            assert_eq!(product(Some(launch)), wanted, "{launch}");
        }
    }
}
