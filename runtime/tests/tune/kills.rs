//! Writers that are killed at any moment: nothing that one has committed is lost, and no file is ever torn.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quantloom::matmul::Request;
use quantloom::pool::Pool;
use quantloom::tune::{self, CacheFile, Choices, Keep, Status, Tuner, Variant};

use crate::child::{child, part};
use crate::program::is_emulated;
use crate::support::{entries, weights};

const TEST: &str = "kills::nothing_is_lost_in_a_hundred_kills";
const WRITERS: usize = 8;
const KILLS: usize = 100;
/// Problems of each writer, which writes them in turn.
const KEYS: usize = 4;
/// Which writer a process is, and how often it wrote before.
const WRITER: &str = "QUANTLOOM_TEST_WRITER";

/// The number of the last entry that was committed for each N.
type Committed = Arc<Mutex<HashMap<usize, usize>>>;

/// A number that all writers together have reached: how many lines they have printed.
static LINES: AtomicUsize = AtomicUsize::new(0);

/// Tunes now and then, and writes entries for ever, each with its number; says so when they are committed.
fn write() {
    let text = std::env::var(WRITER).unwrap();
    let (writer, start) = text.split_once(' ').unwrap();
    let (writer, start) = (writer.parse::<usize>().unwrap(), start.parse::<usize>().unwrap());
    let mine = entries(1000 + writer * KEYS, KEYS);
    let weights = weights(16 + writer, 1);
    let file = CacheFile::new(&tune::folder().unwrap(), tune::environment());
    println!();
    for number in start + 1.. {
        if number % 8 == (start + 1) % 8 {
            let tuner = Tuner::new(tune::choices());
            tuner.tune(&weights, 40, &Request::default(), Pool::global(), Duration::from_millis(50)).unwrap();
        }
        let mut entry = mine[number % KEYS].clone();
        entry.times[0].ns = number as u64;
        let n = entry.key.n;
        // On a machine that is busy enough, others may hold the lock for longer than a writer waits.
        while file.merge(std::slice::from_ref(&entry), Duration::from_secs(1)).is_err() {}
        println!("committed {n} {number}");
    }
}

/// A writer, and what it committed.
struct Writer {
    process: Child,
    reader: JoinHandle<()>,
}

impl Writer {
    fn start(writer: usize, cache: &Path, committed: &Committed) -> Self {
        let first = 1000 + writer * KEYS;
        let last = (first..first + KEYS).filter_map(|n| committed.lock().unwrap().get(&n).copied()).max().unwrap_or_default();
        // What was killed between the two may have been written without a word: its number must not be used again.
        let start = last + 1;
        let mut child = child(TEST, cache, 0);
        let mut process =
            child.env(WRITER, format!("{writer} {start}")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (lines, committed) = (BufReader::new(process.stdout.take().unwrap()).lines(), Arc::clone(committed));
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Some((n, number)) = line.strip_prefix("committed ").and_then(|line| line.split_once(' ')) else { continue };
                // A line may be torn: that is a number too small, which asks for less.
                let (Ok(n), Ok(number)) = (n.parse(), number.parse()) else { continue };
                LINES.fetch_add(1, Ordering::Relaxed);
                let mut committed = committed.lock().unwrap();
                let last = committed.entry(n).or_insert(number);
                *last = number.max(*last);
            }
        });
        Self { process, reader }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.reader.join().unwrap();
    }
}

#[test]
fn nothing_is_lost_in_a_hundred_kills() {
    if is_emulated() {
        // What is killed there is the emulator's parent, and the writer lives on.
        return;
    }
    if part() == Some(0) {
        return write();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = CacheFile::new(folder.path(), tune::environment());
    let committed = Committed::default();
    let check = || {
        let wanted = committed.lock().unwrap().clone();
        let found = file.read();
        assert_eq!((found.unreadable, file.beside::<Variant>().read().unreadable), (0, 0));
        let found = found.entries.into_iter().map(|entry| (entry.key.n, entry.times[0].ns as usize)).collect::<HashMap<_, _>>();
        for (n, number) in wanted {
            assert!(found.get(&n).is_some_and(|found| *found >= number), "{n}: {number} committed, {:?} found", found.get(&n));
        }
    };
    let start = |writer| Writer::start(writer, folder.path(), &committed);
    let mut writers = (0..WRITERS).map(start).collect::<Vec<_>>();
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..KILLS {
        // However slow the machine is, something has been written since the last time.
        let before = LINES.load(Ordering::Relaxed);
        while LINES.load(Ordering::Relaxed) == before {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(next(100)));
        let writer = next(WRITERS as u64) as usize;
        writers.remove(writer).kill();
        check();
        writers.insert(writer, start(writer));
    }
    writers.into_iter().for_each(Writer::kill);
    check();

    // Whoever comes next may measure at once, and clears up what the dead have left.
    let choices = Choices::new(Some(file.clone()));
    let tuner = Tuner::new(&choices);
    let outcome = tuner.tune(&weights(16, 1), 40, &Request::default(), Pool::global(), Duration::MAX).unwrap();
    assert_ne!(outcome.status, Status::Busy);
    let left = fs::read_dir(file.folder().join("probe")).unwrap().count();
    assert_eq!(left, 0);
    choices.record(entries(1000, 1).remove(0), Keep::InFile);
    choices.publish().unwrap();
    let files = fs::read_dir(file.folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files = files.collect::<Vec<_>>();
    files.sort();
    assert_eq!(files, ["entries.lock", "entries.toml", "probe", "tune.lock", "variants.lock", "variants.toml"]);
}
