//! Models are loaded with the tuner's help, or without, as the mode says; and no product changes by it.

use std::time::Duration;

use quantloom::matmul::{Request, Source, matmul, select};
use quantloom::measure::activations;
use quantloom::model::{Load, Loaded, Model};
use quantloom::pool::Pool;
use quantloom::tune::{self, Choices, Mode, Status};
use quantloom::weights::Weights;

use crate::child::parts;
use crate::program::is_emulated;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/models/rustbook-Q4_K_M.gguf");

/// More time than a loaded machine needs.
const BUDGET: Duration = Duration::from_secs(120);

fn load(mode: Mode) -> Loaded {
    tune::choices().set_mode(mode);
    let load = Load::default().batches([1, 40]);
    Model::open(MODEL).unwrap().load(&load, Pool::global()).unwrap()
}

/// Whether each problem was measured just now.
fn measured(loaded: &Loaded) -> Vec<bool> {
    let outcomes = loaded.outcomes.iter();
    outcomes.map(|outcome| matches!(outcome.status, Status::Tuned | Status::Unsteady)).collect()
}

/// Who chooses the kernel for a batch of one of each matrix.
fn sources(loaded: &Loaded) -> Vec<Source> {
    let weights = loaded.matrices.iter().map(|matrix| &matrix.weights);
    weights.map(|weights| select(weights, 1, &Request::default(), Pool::global()).unwrap().source).collect()
}

/// The bits of products of every matrix.
fn products(loaded: &Loaded) -> Vec<u32> {
    let product = |weights: &Weights| {
        let mut y = vec![f32::NAN; 3 * weights.n()];
        let x = activations(3, weights.k()).unwrap();
        matmul(weights, &x, 3, &mut y, &Request::default(), Pool::global()).unwrap();
        y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    loaded.matrices.iter().flat_map(|matrix| product(&matrix.weights)).collect()
}

#[test]
fn a_model_is_loaded_by_choices_of_its_own() {
    let choices = Choices::new(None);
    let load = |mode| {
        choices.set_mode(mode);
        Model::open(MODEL).unwrap().load(&Load::default().batches([1]).choices(&choices), Pool::global()).unwrap()
    };
    assert!(load(Mode::Off).outcomes.is_empty());
    // Without time nothing is measured, and everything is asked for.
    let asked = load(Mode::Force { budget: Duration::ZERO });
    assert!(!asked.outcomes.is_empty() && !measured(&asked).contains(&true));
}

#[test]
fn only_modes_that_measure_do_and_no_bit_changes() {
    if is_emulated() {
        // Measuring a model seven times, which takes a second or two, takes an emulator many minutes.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let part = || {
        let before = load(Mode::Off);
        assert!(before.outcomes.is_empty() && !before.matrices.is_empty());
        let wanted = products(&before);
        assert!(load(Mode::CacheOnly).outcomes.is_empty());
        assert!(sources(&before).iter().all(|source| matches!(source, Source::Model | Source::Default)));

        let missed = load(Mode::OnMiss { budget: BUDGET });
        assert!(!missed.outcomes.is_empty() && measured(&missed).iter().all(|measured| *measured), "{:?}", missed.outcomes);
        assert!(sources(&missed).iter().all(|source| *source == Source::Memory));
        assert_eq!(products(&missed), wanted);
        let again = load(Mode::OnMiss { budget: BUDGET });
        assert!(measured(&again).iter().all(|measured| !measured), "what is known is not measured again");
        for _ in 0..5 {
            let forced = load(Mode::Force { budget: BUDGET });
            assert!(measured(&forced).iter().all(|measured| *measured));
            assert_eq!(products(&forced), wanted);
        }
        let off = load(Mode::Off);
        assert!(sources(&off).iter().all(|source| matches!(source, Source::Model | Source::Default)));
    };
    let later = || {
        let cached = load(Mode::CacheOnly);
        let from_cache = sources(&cached).into_iter().filter(|source| *source == Source::Cache).count();
        // What was measured on a restless machine is not in the file.
        assert_eq!(from_cache > 0, !tune::choices().contents().entries.is_empty());
    };
    parts("loading::only_modes_that_measure_do_and_no_bit_changes", folder.path(), &[part, later]);
}
