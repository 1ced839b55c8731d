//! The race: who is measured how often, who drops out, who wins. It knows no clock: its caller times the runners.

use std::time::{Duration, Instant};

use super::deadline::Deadline;
use crate::error::Result;

/// Rounds of a race at least, also of one without challengers.
const FEWEST: usize = 2;
/// After so many rounds, a runner whose best time is over so many times the best of all drops out. Few are so slow that one round tells:
/// for large batches those that were made for single columns.
const DROPS: [(usize, f64); 3] = [(1, 4.0), (2, 1.5), (4, 1.15)];
/// A challenger must take at most this part of the default's time, in the median of the rounds,
const CLEARLY_FASTER: f64 = 0.97;
/// and lose at most so many rounds.
const LOSSES: usize = 1;

/// The times of a race, per runner and round.
#[derive(Debug)]
pub struct Race {
    /// The runner that a challenger must beat.
    default: usize,
    lanes: Vec<Lane>,
}

/// The times of one runner, in nanoseconds. One that has dropped out has fewer than others.
#[derive(Debug, Default)]
struct Lane {
    times: Vec<f64>,
    out: bool,
}

impl Race {
    /// Lets `runners` runners race for at most `rounds` rounds; `time` times one of them, in nanoseconds. `None` if the deadline comes first.
    ///
    /// Rounds are interleaved, so that a change of the machine's speed meets all runners, and begin with another runner each.
    /// The default never drops out: what it is measured for is the comparison.
    ///
    /// # Errors
    /// What `time` reports.
    pub fn run(
        runners: usize,
        default: usize,
        rounds: usize,
        deadline: Deadline,
        mut time: impl FnMut(usize) -> Result<f64>,
    ) -> Result<Option<Self>> {
        let mut race = Self { default, lanes: (0..runners).map(|_| Lane::default()).collect() };
        let mut last = Duration::ZERO;
        for round in 0..rounds {
            if !deadline.allows(last) {
                return Ok(None);
            }
            let start = Instant::now();
            for runner in (0..runners).map(|turn| (round + turn) % runners) {
                let lane = &mut race.lanes[runner];
                if !lane.out {
                    lane.times.push(time(runner)?);
                }
            }
            last = start.elapsed();
            race.drop_slow(round + 1);
            if race.is_decided() {
                break;
            }
        }
        Ok(Some(race))
    }

    /// Takes out who is too slow after so many rounds. Best times are compared: what disturbs a run makes it slower.
    fn drop_slow(&mut self, rounds: usize) {
        let Some((_, limit)) = DROPS.into_iter().find(|&(after, _)| after == rounds) else { return };
        let best = |lane: &Lane| lane.times.iter().copied().fold(f64::INFINITY, f64::min);
        let fastest = self.lanes.iter().map(best).fold(f64::INFINITY, f64::min);
        for (runner, lane) in self.lanes.iter_mut().enumerate() {
            lane.out |= runner != self.default && best(lane) > limit * fastest;
        }
    }

    /// Whether nobody challenges the default any more.
    fn is_decided(&self) -> bool {
        self.rounds(self.default) >= FEWEST && self.lanes.iter().filter(|lane| !lane.out).count() == 1
    }

    /// The runner to prefer from now on: the fastest challenger that beats the default beyond doubt, or else the default.
    pub fn winner(&self) -> usize {
        let challengers = (0..self.lanes.len()).filter(|&runner| self.beats_default(runner));
        // The first of equals: the order of the cards.
        challengers.min_by(|&a, &b| self.ratio(a).total_cmp(&self.ratio(b))).unwrap_or(self.default)
    }

    fn beats_default(&self, runner: usize) -> bool {
        let ratios = self.ratios(runner);
        let losses = ratios.iter().filter(|&&ratio| ratio >= 1.0).count();
        !self.lanes[runner].out && runner != self.default && median(ratios) <= CLEARLY_FASTER && losses <= LOSSES
    }

    /// The times of a runner over those of the default in the same rounds, sorted.
    fn ratios(&self, runner: usize) -> Vec<f64> {
        let pairs = self.lanes[runner].times.iter().zip(&self.lanes[self.default].times);
        sorted(pairs.map(|(time, default)| time / default).collect())
    }

    /// The median of a runner's times over those of the default in the same rounds.
    pub fn ratio(&self, runner: usize) -> f64 {
        median(self.ratios(runner))
    }

    /// The median time of a runner, in nanoseconds.
    pub fn median(&self, runner: usize) -> f64 {
        median(sorted(self.lanes[runner].times.clone()))
    }

    /// Rounds that a runner took part in.
    pub fn rounds(&self, runner: usize) -> usize {
        self.lanes[runner].times.len()
    }

    /// Of the default's times, the ninth decile over the first.
    pub fn spread(&self) -> f64 {
        let times = sorted(self.lanes[self.default].times.clone());
        quantile(&times, 0.9) / quantile(&times, 0.1)
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Quantiles of some values, at least one.
pub fn quantiles<const COUNT: usize>(values: impl Iterator<Item = f64>, parts: [f64; COUNT]) -> [f64; COUNT] {
    let sorted = sorted(values.collect());
    parts.map(|part| quantile(&sorted, part))
}

fn median(sorted: Vec<f64>) -> f64 {
    quantile(&sorted, 0.5)
}

/// The quantile of sorted values, between the two that are nearest.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: usize = 6;

    /// A race between runners with these times, round by round.
    fn race(default: usize, times: &[[f64; ROUNDS]]) -> Race {
        let mut rounds = vec![0; times.len()];
        let deadline = Deadline::after(Duration::MAX);
        let race = Race::run(times.len(), default, ROUNDS, deadline, |runner| {
            rounds[runner] += 1;
            Ok(times[runner][rounds[runner] - 1])
        });
        race.unwrap().unwrap()
    }

    #[test]
    fn a_clearly_faster_challenger_wins() {
        let race = race(0, &[[100.0; 6], [96.0; 6], [95.0; 6], [95.0; 6]]);
        assert_eq!(race.winner(), 2);
        assert!((race.ratio(2) - 0.95).abs() < 1e-9);
    }

    #[test]
    fn a_little_faster_is_not_enough() {
        assert_eq!(race(1, &[[98.0; 6], [100.0; 6]]).winner(), 1);
    }

    #[test]
    fn one_lost_round_is_forgiven_but_not_two() {
        let once = [90.0, 90.0, 130.0, 90.0, 90.0, 90.0];
        assert_eq!(race(0, &[[100.0; 6], once]).winner(), 1);
        let twice = [90.0, 90.0, 130.0, 90.0, 90.0, 130.0];
        assert_eq!(race(0, &[[100.0; 6], twice]).winner(), 0);
    }

    #[test]
    fn a_change_of_speed_that_meets_all_does_not_decide() {
        let drifting = [100.0, 120.0, 140.0, 160.0, 180.0, 200.0];
        let race = race(0, &[drifting, drifting.map(|time| time * 0.99)]);
        assert_eq!(race.winner(), 0);
        assert!(race.spread() > 1.5);
    }

    #[test]
    fn the_slow_drop_out_but_not_the_default() {
        let race = race(0, &[[900.0; 6], [100.0; 6], [151.0; 6], [116.0; 6], [114.0; 6], [401.0; 6]]);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|runner| race.rounds(runner)), [6, 6, 2, 4, 6, 1]);
        assert_eq!(race.winner(), 1);
    }

    #[test]
    fn a_default_without_challengers_ends_the_race() {
        assert_eq!(race(0, &[[100.0; 6], [200.0; 6]]).rounds(0), 2);
        assert_eq!(race(0, &[[100.0; 6], [120.0; 6]]).rounds(0), 4);
        assert_eq!(race(0, &[[100.0; 6]]).rounds(0), 2);
    }

    #[test]
    fn rounds_begin_with_another_runner_each() {
        let mut order = Vec::new();
        let deadline = Deadline::after(Duration::MAX);
        Race::run(3, 0, ROUNDS, deadline, |runner| {
            order.push(runner);
            Ok(1.0)
        })
        .unwrap();
        assert_eq!(order[..9], [0, 1, 2, 1, 2, 0, 2, 0, 1]);
    }

    #[test]
    fn a_race_ends_with_its_budget() {
        let mut calls = 0;
        let race = Race::run(2, 0, ROUNDS, Deadline::after(Duration::ZERO), |_| {
            calls += 1;
            Ok(1.0)
        });
        assert!(race.unwrap().is_none());
        assert_eq!(calls, 0);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let race = race(0, &[[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], [1.0; 6]]);
        assert!((race.median(0) - 3.5).abs() < 1e-9);
        assert!((race.spread() - 5.5 / 1.5).abs() < 1e-9);
    }
}
