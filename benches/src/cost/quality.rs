//! How well a model predicts, and how well it chooses.

use std::collections::BTreeMap;

use quantloom::machine::Caches;
use quantloom::registry::Kernel;
use quantloom::tune::cost::{Coefficients, Terms};

use super::samples::Sample;

/// A choice that is slower than the default by more than this is counted: less is within what measurements differ by.
const SLOWER: f64 = 1.03;

/// Margins are not smaller, however well gains were predicted.
const LEAST_MARGIN: f64 = 0.05;

/// What a model is worth on times that it was not fitted to.
#[derive(Clone, Debug, Default)]
pub struct Quality {
    /// Times.
    pub samples: usize,
    /// Median and 90th percentile of `|predicted / measured - 1|`.
    pub error: [f64; 2],
    /// Problems: each has the times of all kernels of an instruction set and numerics class.
    pub problems: usize,
    /// The part of them in which the kernel that is predicted to be the fastest was.
    pub agreement: f64,
    /// Mean and 90th percentile of how much longer than the fastest that kernel took, as a fraction.
    pub regret: [f64; 2],
    /// The same of the kernel card's default.
    pub default: [f64; 2],
    /// The same of the default unless a gain of more than `margin` is predicted.
    pub guarded: [f64; 2],
    /// The part of the problems in which that is slower than the default.
    pub slower: f64,
    /// 90th percentile of how much larger a predicted gain on the default was than the measured one, as a fraction; at least 5%.
    pub margin: f64,
}

/// One kernel in a race.
#[derive(Clone, Copy)]
struct Runner {
    kernel: &'static Kernel,
    measured: f64,
    predicted: f64,
}

impl Quality {
    /// Of coefficients, on samples of one instruction set and numerics class.
    #[must_use]
    pub fn of(coefficients: &Coefficients, samples: &[&Sample], caches: &Caches) -> Self {
        let mut races: BTreeMap<_, Vec<Runner>> = BTreeMap::new();
        let mut errors = Vec::new();
        for sample in samples {
            let Some(kernel) = sample.kernel() else { continue };
            let (problem, measured) = (sample.problem(), sample.nanoseconds);
            let predicted = coefficients.time(&Terms::of(kernel, &problem, caches));
            errors.push((predicted / measured - 1.0).abs());
            let race = races.entry((kernel.format, problem.n, problem.k, problem.batch)).or_default();
            race.push(Runner { kernel, measured, predicted });
        }
        let choices = races.iter().map(|((.., batch), race)| Choice::of(race, *batch)).collect::<Vec<_>>();
        let gains = choices.iter().filter(|choice| !std::ptr::eq(choice.model.kernel, choice.default.kernel));
        let margin = percentile(gains.map(Choice::overestimate).collect(), 0.9).max(LEAST_MARGIN);
        let part = |of: &dyn Fn(&Choice) -> bool| {
            choices.iter().filter(|choice| of(choice)).count() as f64 / choices.len().max(1) as f64
        };
        let regret = |of: &dyn Fn(&Choice) -> Runner| {
            let regrets = choices.iter().map(|choice| of(choice).measured / choice.fastest.measured - 1.0).collect::<Vec<_>>();
            [regrets.iter().sum::<f64>() / regrets.len().max(1) as f64, percentile(regrets, 0.9)]
        };
        Self {
            samples: errors.len(),
            error: [percentile(errors.clone(), 0.5), percentile(errors, 0.9)],
            problems: choices.len(),
            agreement: part(&|choice| std::ptr::eq(choice.model.kernel, choice.fastest.kernel)),
            regret: regret(&|choice| choice.model),
            default: regret(&|choice| choice.default),
            guarded: regret(&|choice| choice.guarded(margin)),
            slower: part(&|choice| choice.guarded(margin).measured > SLOWER * choice.default.measured),
            margin,
        }
    }

    /// The head of [`Quality::row`].
    #[must_use]
    pub fn head() -> String {
        "| | samples | error: median, p90 | fastest found | regret: mean, p90 | of the default | of both | slower | margin |\n\
         |---|---|---|---|---|---|---|---|---|"
            .to_owned()
    }

    /// A row of a table.
    #[must_use]
    pub fn row(&self, name: &str) -> String {
        let percent = |value: f64| format!("{:.1}%", 100.0 * value);
        let two = |values: [f64; 2]| values.map(percent).join(", ");
        let Self { samples, error, problems: _, agreement, regret, default, guarded, slower, margin } = self;
        format!(
            "| {name} | {samples} | {} | {:.0}% | {} | {} | {} | {} | {} |",
            two(*error),
            100.0 * agreement,
            two(*regret),
            two(*default),
            two(*guarded),
            percent(*slower),
            percent(*margin)
        )
    }
}

/// Who was the fastest in a race, and whom the model and the card choose.
struct Choice {
    fastest: Runner,
    model: Runner,
    default: Runner,
}

impl Choice {
    fn of(race: &[Runner], batch: usize) -> Self {
        let least = |by: fn(&Runner) -> f64| *race.iter().min_by(|a, b| by(a).total_cmp(&by(b))).expect("a race has runners");
        let from = |runner: &&Runner| runner.kernel.batch.iter().filter(|from| **from <= batch).max();
        Self {
            fastest: least(|runner| runner.measured),
            model: least(|runner| runner.predicted),
            default: *race.iter().max_by_key(from).expect("a race has runners"),
        }
    }

    /// How much larger the predicted gain on the default is than the measured one.
    fn overestimate(&self) -> f64 {
        (self.default.predicted / self.model.predicted) / (self.default.measured / self.model.measured) - 1.0
    }

    fn guarded(&self, margin: f64) -> Runner {
        if self.default.predicted / self.model.predicted - 1.0 > margin { self.model } else { self.default }
    }
}

/// The value that such a part of all values does not exceed.
fn percentile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get((part * values.len() as f64) as usize).or(values.last()).copied().unwrap_or_default()
}
