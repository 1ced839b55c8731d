//! What came of a problem, in words.

use quantloom::measure::Limit;
use quantloom::tune::{Effort, Origin};

use super::model::{Bound, Problem, Totals, Variant};
use super::numbers;

/// Why the kernel was chosen.
pub fn reason(problem: &Problem) -> String {
    let rounds = |variant: &Variant| numbers::count(variant.time.rounds, "round", "rounds");
    match problem.chosen() {
        _ if problem.variants.is_empty() => "Its times were not kept.".to_owned(),
        None => "The time of the choice was not kept.".to_owned(),
        Some(chosen) if chosen.default => {
            let challengers = problem.variants.iter().filter(|variant| !variant.default);
            challengers.min_by(|a, b| a.time.ratio.total_cmp(&b.time.ratio)).map_or_else(
                || "The default had no challenger.".to_owned(),
                |nearest| {
                    let (name, ratio) = (&nearest.name, numbers::ratio(nearest.time.ratio));
                    let end = if nearest.dropped { "when it dropped out" } else { "in the median" };
                    format!(
                        "No challenger beat the default beyond doubt. The nearest, {name}, was at {ratio} its time {end}, after {}.",
                        rounds(nearest)
                    )
                },
            )
        }
        Some(chosen) if chosen.time.ratio < 1.0 => {
            let gain = numbers::percent(1.0 - chosen.time.ratio);
            format!("{} beats the default by {gain} in the median of {}.", chosen.name, rounds(chosen))
        }
        Some(chosen) => {
            let ratio = numbers::ratio(chosen.time.ratio);
            format!("{} was chosen at {ratio} the time of the default, in the median of {}.", chosen.name, rounds(chosen))
        }
    }
}

/// The limit, and what it is of.
pub fn bound(problem: &Problem) -> Option<String> {
    let (work, Bound { ns, limit, rate }) = problem.work.zip(problem.bound)?;
    let time = numbers::time(ns);
    Some(match limit {
        Limit::Memory => {
            format!("{time}: reading {} at {}", numbers::traffic(work.packed_bytes as f64), numbers::bandwidth(rate))
        }
        Limit::Arithmetic => format!("{time}: {} at {} Gop/s", numbers::operations(work.operations), numbers::gops(rate)),
    })
}

/// How far a variant came.
pub fn rounds(variant: &Variant) -> String {
    let rounds = variant.time.rounds;
    if variant.dropped { format!("dropped after {rounds}") } else { rounds.to_string() }
}

/// Where an entry comes from.
pub const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Local => "measured for this cache",
        Origin::Imported => "imported from another user’s cache",
        Origin::Shipped => "part of the program",
    }
}

/// How thoroughly it was measured.
pub const fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Quick => "quick: the most promising candidates",
        Effort::Full => "full: every candidate",
    }
}

/// What all choices come to, in a sentence or two.
pub fn summary(totals: &Totals) -> String {
    let changed = match (totals.changed, totals.ratio.zip(totals.best)) {
        (0, _) => "The defaults hold in all of them.".to_owned(),
        (1, Some((ratio, _))) => {
            format!(
                "In one of them another kernel than the default was chosen, which takes {} less time.",
                numbers::percent(1.0 - ratio)
            )
        }
        (changed, Some((ratio, best))) => format!(
            "In {changed} of them another kernel than the default was chosen, which takes {} less time in the median, {} at best.",
            numbers::percent(1.0 - ratio),
            numbers::percent(1.0 - best)
        ),
        (changed, None) => format!("In {changed} of them another kernel than the default was chosen."),
    };
    let limit = totals.of_limit.map_or_else(String::new, |part| {
        format!(" In the median, choices reach {} of what the machine allows.", numbers::percent(part))
    });
    format!("{} measured. {changed}{limit}", numbers::count(totals.problems, "problem", "problems"))
}
