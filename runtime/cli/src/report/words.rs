//! What came of a problem, in words.

use quantloom::measure::Limit;
use quantloom::tune::{Effort, Origin};

use super::model::{Bound, Problem, Totals, Variant};
use super::numbers;

/// Why the kernel was chosen.
pub fn reason(problem: &Problem) -> String {
    let Some(chosen) = problem.chosen() else { return "The time of the choice was not kept.".to_owned() };
    let Variant { name, time, .. } = chosen;
    let rounds = rounds_of(chosen);
    if chosen.default {
        kept(problem)
    } else if time.ratio < 1.0 {
        format!("{name} beats the default by {} in the median of {rounds}.", numbers::percent(1.0 - time.ratio))
    } else {
        format!("{name} was chosen at {} the time of the default, in the median of {rounds}.", numbers::ratio(time.ratio))
    }
}

/// Why the default was kept.
fn kept(problem: &Problem) -> String {
    let challengers = problem.variants.iter().filter(|variant| !variant.default);
    let Some(nearest) = challengers.min_by(|a, b| a.time.ratio.total_cmp(&b.time.ratio)) else {
        return "The default had no challenger.".to_owned();
    };
    let (name, ratio, rounds) = (&nearest.name, numbers::ratio(nearest.time.ratio), rounds_of(nearest));
    let end = if nearest.dropped { "when it dropped out" } else { "in the median" };
    format!("No challenger beat the default beyond doubt. The nearest, {name}, was at {ratio} its time {end}, after {rounds}.")
}

fn rounds_of(variant: &Variant) -> String {
    numbers::count(variant.time.rounds, "round", "rounds")
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
        (0, _) => "No default was replaced.".to_owned(),
        (1, Some((ratio, _))) => {
            format!(
                "In one of them another kernel than the default was chosen, which takes {} less time.",
                numbers::percent(1.0 - ratio)
            )
        }
        (changed, Some((ratio, best))) => format!(
            "In {changed} of them another kernel than the default was chosen, \
             which takes {} less time in the median, {} at best.",
            numbers::percent(1.0 - ratio),
            numbers::percent(1.0 - best)
        ),
        (changed, None) => format!("In {changed} of them another kernel than the default was chosen."),
    };
    let limit = totals
        .of_limit
        .map_or_else(String::new, |part| format!(" In the median, choices reach {part} of what the machine allows."));
    format!("{} measured. {changed}{limit}", numbers::count(totals.problems, "problem", "problems"))
}
