//! Contenders take turns, round after round, so that whatever else the machine does meets all of them alike.

use std::thread::sleep;
use std::time::{Duration, Instant};

use quantloom::machine::Gauge;

use crate::contender::{Contender, Result};

/// About how long a turn takes: long against what the first call of a turn costs, short against the changes of the machine.
const TURN: Duration = Duration::from_millis(10);

/// The first call of a turn wakes threads and finds caches that another contender has used. It is left out, unless it takes so long
/// that this does not matter.
const LONG: Duration = Duration::from_millis(5);

/// Threads of the last contender that still wait for work have gone to sleep after this.
const SETTLE: Duration = Duration::from_millis(2);

/// Rounds at least.
const LEAST: usize = 5;

/// The calls of one contender that count.
#[derive(Clone, Debug, Default)]
pub struct Laps {
    calls: usize,
    times: Vec<Duration>,
}

impl Laps {
    /// The times, shortest first.
    pub fn sorted(mut self) -> Vec<Duration> {
        self.times.sort_unstable();
        self.times
    }

    fn call(&mut self, contender: &mut dyn Contender) -> Result<Duration> {
        let start = Instant::now();
        contender.multiply(self.calls)?;
        let time = start.elapsed();
        self.calls += 1;
        Ok(time)
    }

    fn turn(&mut self, contender: &mut dyn Contender) -> Result<()> {
        let start = Instant::now();
        let first = self.call(contender)?;
        if first >= LONG {
            self.times.push(first);
        }
        while self.times.is_empty() || start.elapsed() < TURN {
            let time = self.call(contender)?;
            self.times.push(time);
        }
        contender.rest();
        Ok(())
    }
}

/// Times all contenders in rounds until `budget` is spent; each round begins with the ceilings of the instruction set `isa`, and then
/// with another of them.
pub fn race(contenders: &mut [Box<dyn Contender + '_>], gauge: &mut Gauge, isa: &str, budget: Duration) -> Result<Vec<Laps>> {
    let mut laps = vec![Laps::default(); contenders.len()];
    let start = Instant::now();
    let mut round = 0;
    while round < LEAST || start.elapsed() < budget {
        gauge.round(isa);
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            laps[index].turn(contenders[index].as_mut())?;
            sleep(SETTLE);
        }
        round += 1;
    }
    Ok(laps)
}
