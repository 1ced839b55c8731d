//! Kernels that end their process, hang, or give wrong bits: found once, never used, and everybody is told.

#![cfg(unix)]

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::panic;
use std::path::Path;
use std::time::Duration;

use quantloom::Error;
use quantloom::matmul::{Request, candidates};
use quantloom::pool::Pool;
use quantloom::registry::{self, Numerics};
use quantloom::tune::{self, CacheFile, Choices, Outcome, State, Tuner, VariantId, isolated, serve};

use crate::child::{child, done, part, parts};
use crate::culprits::{self, Culprit, FAULT, HANG, ILLEGAL, PANIC, WRONG};
use crate::support::kernels;

const FOREVER: Duration = Duration::MAX;
/// Longer than a kernel takes on any machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Tunes a problem of a format with these culprits; the outcome, and the names of the kernels that were measured.
fn tune(culprits: &[Culprit]) -> (Outcome, Vec<&'static str>) {
    let weights = culprits::weights(culprits::register(culprits));
    let outcome = Tuner::new(tune::choices()).tune(&weights, 40, &Request::default(), Pool::global(), FOREVER).unwrap();
    let measured = outcome.timings.iter().map(|timing| timing.launch.kernel.name).collect();
    (outcome, measured)
}

fn names<'a>(kernels: impl IntoIterator<Item = &'a &'static registry::Kernel>) -> Vec<&'static str> {
    kernels.into_iter().map(|kernel| kernel.name).collect()
}

/// What is said of kernels that must not run, by who opens the cache now.
fn quarantined(cache: &Path) -> Vec<String> {
    let choices = Choices::new(Some(CacheFile::new(cache, tune::environment())));
    choices.variants().quarantined().iter().map(|variant| format!("{}: {variant}", variant.id.kernel)).collect()
}

/// Is a child of [`isolated`].
fn serve_children(culprits: &[Culprit]) {
    culprits::register(culprits);
    // The name of the test stands on this line.
    println!();
    serve(io::stdin().lock(), io::stdout()).unwrap();
}

/// A process dies of a kernel; the next skips it and says so, the third says nothing. Then it is tried in a child.
fn a_deadly_kernel(test: &str, culprit: Culprit, signal: i32, how: &str) {
    let (name, _) = culprit;
    match part() {
        Some(0) => drop(tune(&[culprit])),
        Some(next @ (1 | 2)) => {
            let (outcome, measured) = tune(&[culprit]);
            let told = outcome.warnings.iter().filter(|error| matches!(error, Error::Abandoned { kernel } if kernel == name));
            assert_eq!((told.count(), outcome.warnings.len()), (2 - next, 2 - next), "{:?}", outcome.warnings);
            assert!(!measured.is_empty() && !measured.contains(&name) && outcome.launch.kernel.name != name);
            assert_eq!(names(&outcome.quarantined), [name]);
        }
        Some(3) => {
            let format = culprits::register(&[culprit]);
            let weights = culprits::weights(format);
            let mut command = || child(test, &tune::folder().unwrap(), 4);
            let told = Tuner::new(tune::choices()).isolate(&kernels(&weights), PATIENCE, &mut command);
            assert!(told.is_empty(), "{told:?}");
            let variants = tune::choices().variants();
            let found = variants.find(&VariantId::of(culprits::kernel(format, culprit))).unwrap();
            assert_eq!(found.state, State::Crashed);
            assert!(found.detail.contains(how), "{found}");
        }
        Some(_) => serve_children(&[culprit]),
        None => {
            let folder = tempfile::tempdir().unwrap();
            let run = |part| child(test, folder.path(), part).output().unwrap();
            assert_eq!(quarantined(folder.path()), [""; 0]);
            assert_eq!(run(0).status.signal(), Some(signal));
            done(&run(1), 1);
            assert_eq!(
                quarantined(folder.path()),
                [format!("{name}: a process ended while it ran this kernel for the first time")]
            );
            done(&run(2), 2);
            done(&run(3), 3);
            let found = quarantined(folder.path());
            assert!(found.len() == 1 && found[0].starts_with(&format!("{name}: crashed: ")), "{found:?}");
            assert!(found[0].contains(how), "{found:?}");
        }
    }
}

#[test]
fn an_illegal_instruction() {
    a_deadly_kernel("crashes::an_illegal_instruction", ILLEGAL, 4, "SIGILL");
}

#[test]
fn a_segmentation_fault() {
    a_deadly_kernel("crashes::a_segmentation_fault", FAULT, 11, "SIGSEGV");
}

#[test]
fn two_deadly_kernels_cost_two_processes() {
    let test = "crashes::two_deadly_kernels_cost_two_processes";
    if part().is_some() {
        let (outcome, measured) = tune(&[ILLEGAL, FAULT]);
        // That of the first was said by the process that died of the second.
        assert!(matches!(&outcome.warnings[..], [Error::Abandoned { kernel }] if kernel == FAULT.0), "{:?}", outcome.warnings);
        assert_eq!(names(&outcome.quarantined), [ILLEGAL.0, FAULT.0]);
        assert!(!measured.is_empty());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = || child(test, folder.path(), 0).output().unwrap();
    assert_eq!(run().status.signal(), Some(4));
    assert_eq!(run().status.signal(), Some(11));
    done(&run(), 0);
}

#[test]
fn a_panic() {
    let test = "crashes::a_panic";
    if part().is_some() {
        panic::catch_unwind(|| drop(tune(&[PANIC]))).unwrap_err();
        let (outcome, measured) = tune(&[PANIC]);
        assert!(matches!(&outcome.warnings[..], [Error::Abandoned { kernel }] if kernel == PANIC.0), "{:?}", outcome.warnings);
        assert!(!measured.is_empty() && !measured.contains(&PANIC.0));
        assert!(tune(&[PANIC]).0.warnings.is_empty());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    done(&child(test, folder.path(), 0).output().unwrap(), 0);
}

#[test]
fn a_wrong_last_bit() {
    let test = "crashes::a_wrong_last_bit";
    match part() {
        Some(_) => {
            let (outcome, measured) = tune(&[WRONG]);
            assert!(outcome.warnings.is_empty() && !measured.contains(&WRONG.0));
            assert_eq!(names(&outcome.quarantined), [WRONG.0]);
        }
        None => {
            let folder = tempfile::tempdir().unwrap();
            for part in 0..2 {
                done(&child(test, folder.path(), part).output().unwrap(), part);
                let wanted = format!("{}: its bits differ from the reference's", WRONG.0);
                assert_eq!(quarantined(folder.path()), [wanted]);
            }
        }
    }
}

#[test]
fn an_innocent_kernel_is_cleared() {
    const INNOCENT: fn() -> &'static registry::Kernel = || {
        let weights = culprits::weights(culprits::register(&[]));
        candidates(&weights, Numerics::Int8, registry::best_isa()).unwrap()[0]
    };
    let test = "crashes::an_innocent_kernel_is_cleared";
    let folder = tempfile::tempdir().unwrap();
    let abandoned = || {
        tune::choices().variants().record(INNOCENT(), State::Abandoned, "");
        tune::choices().publish().unwrap();
    };
    let skipped = || {
        let name = INNOCENT().name;
        let (outcome, measured) = tune(&[]);
        assert!(!measured.contains(&name) && names(&outcome.quarantined) == [name]);
    };
    let cleared = || {
        let format = INNOCENT().format;
        let weights = culprits::weights(registry::format_by_name(format).unwrap());
        let mut command = || child("crashes::an_innocent_kernel_is_cleared", &tune::folder().unwrap(), 4);
        Tuner::new(tune::choices()).isolate(&kernels(&weights), PATIENCE, &mut command);
        assert_eq!(tune::choices().variants().state(INNOCENT()), Some(State::Passed));
    };
    let used = || {
        let (outcome, measured) = tune(&[]);
        assert!(measured.contains(&INNOCENT().name) && outcome.quarantined.is_empty());
    };
    parts(test, folder.path(), &[abandoned, skipped, cleared, used, || serve_children(&[])]);
}

#[test]
fn children_say_what_becomes_of_each_kernel() {
    let test = "crashes::children_say_what_becomes_of_each_kernel";
    let all = [PANIC, FAULT, HANG, WRONG, ILLEGAL];
    if part().is_some() {
        return serve_children(&all);
    }
    let format = culprits::register(&all);
    let folder = tempfile::tempdir().unwrap();
    let mut children = 0;
    let mut try_out = |kernels: &[&'static registry::Kernel], deadline| {
        let mut found = Vec::new();
        let mut command = || {
            children += 1;
            child(test, folder.path(), 0)
        };
        isolated(&mut command, kernels, deadline, &mut |kernel, state, how| found.push((kernel.name, state, how.to_owned())))
            .unwrap();
        found
    };
    let right = registry::kernels(format).iter().find(|kernel| kernel.isa().is_available()).unwrap();
    let [panics, fault, hang, wrong, illegal] = all.map(|culprit| culprits::kernel(format, culprit));
    let found = try_out(&[right, wrong, illegal, fault, right, panics, right], PATIENCE);
    let states = found.iter().map(|(name, state, _)| (*name, *state)).collect::<Vec<_>>();
    let (passed, crashed) = (State::Passed, State::Crashed);
    let wanted = [
        (right, passed),
        (wrong, State::Wrong),
        (illegal, crashed),
        (fault, crashed),
        (right, passed),
        (panics, crashed),
        (right, passed),
    ];
    assert_eq!(states, wanted.map(|(kernel, state)| (kernel.name, state)));
    let words = found.iter().map(|(.., how)| how.as_str()).collect::<Vec<_>>();
    assert!(words[2].contains("SIGILL") && words[3].contains("SIGSEGV") && words[5].contains("101"), "{words:?}");
    let found = try_out(&[hang], Duration::from_millis(100));
    assert_eq!(found, [(hang.name, crashed, "ran for more than 0.1 s".to_owned())]);
    assert_eq!(children, 5, "a new one after each crash, but none for nothing");
}

#[test]
fn children_that_do_nothing_are_an_error() {
    let kernels = &registry::kernels(crate::support::format())[..1];
    let kernels = kernels.iter().collect::<Vec<_>>();
    let try_out = |program: &str, args: &[&str]| {
        let mut command = || {
            let mut command = std::process::Command::new(program);
            command.args(args);
            command
        };
        let error = isolated(&mut command, &kernels, PATIENCE, &mut |_, _, _| panic!("nothing was found out")).unwrap_err();
        let error = error.to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    assert!(try_out("/no/such/program", &[]).contains("No such file"));
    // A file that is no program, and a folder.
    assert!(try_out("/etc/passwd", &[]).contains("ermission"));
    assert!(try_out("/", &[]).contains("ermission"));
    assert!(try_out("/bin/true", &[]).contains("exit status: 0"));
    let name = kernels[0].name;
    let killed = try_out("/bin/sh", &["-c", &format!("echo begin {name}; kill -9 $$")]);
    assert!(killed.contains("SIGKILL") && killed.contains(name), "{killed}");
}
