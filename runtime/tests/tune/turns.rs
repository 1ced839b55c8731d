//! Nobody measures while another does, and nobody waits for that.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use quantloom::matmul::{Request, Source};
use quantloom::pool::Pool;
use quantloom::tune::{self, Choices, Job, Keep, Outcome, Status, Tuner};

use crate::child::{child, done, part};
use crate::support::{entry, file, kernels, key, weights};

const BATCHES: [usize; 2] = [40, 200];

/// Tunes a small model; calls `during` in the middle of it.
fn tune(choices: &Choices, during: &dyn Fn()) -> Vec<Outcome> {
    let weights = weights(40, 1);
    let jobs = [Job::new(&weights, &BATCHES, Request::default())];
    let mut told = 0;
    let outcomes = Tuner::new(choices).tune_model(&jobs, Pool::global(), Duration::MAX, &mut |_| {
        told += 1;
        if told == 1 {
            during();
        }
    });
    assert_eq!(told, BATCHES.len());
    outcomes.unwrap()
}

/// Whether any of it was measured.
fn measured(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| !outcome.timings.is_empty())
}

/// That a tuner of these choices has to do without, in all that it offers.
fn is_kept_out(choices: &Choices) {
    let outcomes = tune(choices, &|| {});
    assert!(!measured(&outcomes) && outcomes.iter().all(|outcome| outcome.warnings.is_empty()));
    let last = outcomes.last().unwrap();
    assert_eq!((last.status, last.launch), (Status::Busy, last.default));
    let weights = weights(40, 1);
    let known = kernels(&weights)[0];
    choices.record(entry(key(&weights, 1), known), Keep::InMemory);
    let one = |batch| Tuner::new(choices).tune(&weights, batch, &Request::default(), Pool::global(), Duration::MAX).unwrap();
    assert_eq!(one(200).status, Status::Busy);
    let outcome = one(1);
    assert_eq!((outcome.status, outcome.launch), (Status::Known(Source::Memory), known.into()));
    let mut command = || panic!("nothing is tried");
    let told = Tuner::new(choices).isolate(&kernels(&weights), Duration::MAX, &mut command);
    assert!(told.is_empty());
}

#[test]
fn one_thread_at_a_time() {
    let (_folder, file) = file();
    let obstacle = tempfile::NamedTempFile::new().unwrap();
    let nowhere = tune::CacheFile::new(obstacle.path(), "nowhere");
    // With a folder, without one, with one that cannot be.
    for file in [Some(file), None, Some(nowhere)] {
        let choices = Choices::new(file);
        let checked = AtomicUsize::new(0);
        let outcomes = tune(&choices, &|| {
            thread::scope(|scope| scope.spawn(|| is_kept_out(&choices)).join().unwrap());
            is_kept_out(&choices);
            checked.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(checked.into_inner(), 1);
        assert!(measured(&outcomes));
    }
    let (_folder, file) = crate::support::file();
    let choices = Choices::new(Some(file.clone()));
    tune(&choices, &|| is_kept_out(&Choices::new(Some(file.clone()))));
}

/// Starts a process that stops in the middle of tuning, until it reads a line.
fn stopped(test: &str, cache: &std::path::Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut process = child(test, cache, 0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    while line != "stopped\n" {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0);
    }
    (process, lines)
}

#[test]
fn one_process_at_a_time() {
    let test = "turns::one_process_at_a_time";
    match part() {
        Some(0) => {
            let outcomes = tune(tune::choices(), &|| {
                println!("\nstopped");
                io::stdin().lock().read_line(&mut String::new()).unwrap();
            });
            assert!(measured(&outcomes));
        }
        Some(1) => is_kept_out(tune::choices()),
        Some(_) => {
            let outcomes = tune(tune::choices(), &|| {});
            assert!(outcomes.iter().all(|outcome| outcome.status != Status::Busy));
        }
        None => {
            let folder = tempfile::tempdir().unwrap();
            let run = |part| done(&child(test, folder.path(), part).output().unwrap(), part);
            let (mut first, _lines) = stopped(test, folder.path());
            run(1);
            first.stdin.take().unwrap().write_all(b"\n").unwrap();
            assert!(first.wait().unwrap().success());
            run(2);
            // A turn ends with its process.
            let fresh = tempfile::tempdir().unwrap();
            let (mut second, mut lines) = stopped(test, fresh.path());
            second.kill().unwrap();
            second.wait().unwrap();
            // Of an emulator the parent was killed, and what it runs comes to its end: until then its output is open.
            lines.read_to_string(&mut String::new()).unwrap();
            done(&child(test, fresh.path(), 2).output().unwrap(), 2);
        }
    }
}
