//! Kernels that are run for the first time in processes of their own, so that one that crashes or hangs takes nothing with it.
//!
//! The child reads lines `NAME HASH` and answers each with `begin NAME`, then `passed NAME` or `wrong NAME`. When it dies, what it
//! began has crashed, and the next child does the rest.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use quantloom_kernels::abi::{SEGMENT, TILE_ROWS};

use super::gate::Gate;
use super::{State, VariantId};
use crate::error::{Error, Result};
use crate::matmul::candidates;
use crate::measure::synthetic;
use crate::pool::Pool;
use crate::registry::{self, Format, Kernel};
use crate::weights::Weights;

/// The words of the answers.
const BEGIN: &str = "begin";
const PASSED: &str = "passed";
const WRONG: &str = "wrong";

/// How long a child may take to begin: on a busy machine, from a slow disk.
const START: Duration = Duration::from_secs(60);

/// Runs kernels in child processes, each of which `command` makes and must end up in [`serve`]. Each kernel may take `deadline`. `report` hears what was found out about each, and how it crashed, if it did: see [`super::Variants::record`].
///
/// # Errors
/// [`Error::Child`] if a child cannot be started, does not do its work, or is ended by somebody else. What was reported before
/// holds.
pub fn isolated(
    command: &mut dyn FnMut() -> Command,
    kernels: &[&'static Kernel],
    deadline: Duration,
    report: &mut dyn FnMut(&'static Kernel, State, &str),
) -> Result<()> {
    let mut rest = kernels;
    while !rest.is_empty() {
        let mut probe = Probe::start(command, rest, deadline)?;
        let mut done = 0;
        while let Some(&kernel) = rest.get(done) {
            match probe.next(kernel)? {
                (state, None) => report(kernel, state, ""),
                (state, Some(how)) => {
                    report(kernel, state, &how);
                    done += 1;
                    break;
                }
            }
            done += 1;
        }
        rest = &rest[done..];
    }
    Ok(())
}

/// A child at work.
struct Probe {
    child: Child,
    lines: Receiver<String>,
    deadline: Duration,
}

impl Drop for Probe {
    fn drop(&mut self) {
        // It is done, or of no use.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Probe {
    fn start(command: &mut dyn FnMut() -> Command, kernels: &[&'static Kernel], deadline: Duration) -> Result<Self> {
        let mut command = command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|cause| {
            let program = command.get_program().display();
            let detail = format!("{program}: {cause}; they are tried in this one, which a bad kernel ends");
            Error::Child { detail, cause: Some(cause) }
        })?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let asked =
            kernels.iter().map(|kernel| format!("{} {}\n", kernel.name, VariantId::of(kernel).hash)).collect::<String>();
        let (sender, lines) = mpsc::channel();
        if let (Some(mut input), Some(output)) = (input, output) {
            // A child that does not read dies or is late: that is how it is noticed.
            thread::spawn(move || input.write_all(asked.as_bytes()));
            thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(io::Result::ok);
                lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
            });
        }
        Ok(Self { child, lines, deadline })
    }

    /// Waits for what becomes of the kernel whose turn it is; in words, if it crashed. Then the child is of no use any more.
    fn next(&mut self, kernel: &Kernel) -> Result<(State, Option<String>)> {
        match self.line(&[BEGIN], kernel.name, START) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return Err(failed("a child does not begin; try again".to_owned())),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.end()?;
                return Err(failed(format!("a child ended before it began ({status}); try again")));
            }
        }
        match self.line(&[PASSED, WRONG], kernel.name, self.deadline) {
            Ok(word) => Ok((if word == PASSED { State::Passed } else { State::Wrong }, None)),
            Err(RecvTimeoutError::Timeout) => {
                Ok((State::Crashed, Some(format!("ran for more than {} s", self.deadline.as_secs_f64()))))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.end()?;
                if from_outside(status) {
                    return Err(failed(format!("somebody ended a child ({status}) at {}; try again", kernel.name)));
                }
                Ok((State::Crashed, Some(status.to_string())))
            }
        }
    }

    /// The next line about a kernel that begins with one of these words. Other lines are none of ours.
    fn line(&self, words: &[&'static str], name: &str, patience: Duration) -> Result<&'static str, RecvTimeoutError> {
        loop {
            let line = self.lines.recv_timeout(patience)?;
            let about =
                |word: &&&'static str| line.strip_prefix(**word).is_some_and(|rest| rest.strip_prefix(' ') == Some(name));
            if let Some(word) = words.iter().find(about) {
                return Ok(word);
            }
        }
    }

    fn end(&mut self) -> Result<ExitStatus> {
        self.child.wait().map_err(|cause| Error::Child { detail: cause.to_string(), cause: Some(cause) })
    }
}

/// Whether a signal ended a process that no kernel sends to itself: a user, a service manager, or the system short of memory.
fn from_outside(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        const HUP_INT_KILL_TERM: [i32; 4] = [1, 2, 9, 15];
        status.signal().is_some_and(|signal| HUP_INT_KILL_TERM.contains(&signal))
    }
    #[cfg(not(unix))]
    {
        let _ = status;
        false
    }
}

fn failed(detail: String) -> Error {
    Error::Child { detail, cause: None }
}

/// The work of a child: reads which kernels to try, and tries them on weights of its own.
///
/// # Errors
/// [`Error::Child`] for a kernel that this build has not got or does not run here, [`Error::Io`] if nobody listens, what
/// multiplications report.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<()> {
    let mut say = |word: &str, name: &str| {
        writeln!(output, "{word} {name}").and_then(|()| output.flush()).map_err(Error::io("standard output"))
    };
    for line in input.lines() {
        let (format, kernel) = known(&line.map_err(Error::io("standard input"))?)?;
        say(BEGIN, kernel.name)?;
        say(if is_right(format, kernel)? { PASSED } else { WRONG }, kernel.name)?;
    }
    Ok(())
}

/// The kernel of a line, and its format.
fn known(line: &str) -> Result<(&'static Format, &'static Kernel)> {
    let (name, hash) = line.split_once(' ').unwrap_or_default();
    let mut formats = registry::formats();
    let found = formats.find_map(|format| Some((format, registry::kernels(format).iter().find(|kernel| kernel.name == name)?)));
    found
        .filter(|(_, kernel)| VariantId::of(kernel).hash.to_string() == hash && kernel.isa().is_available())
        .ok_or_else(|| failed(format!("no kernel here is {line:?}; do not replace the program while it runs")))
}

/// Whether a kernel gives the bits of the reference, on the smallest weights that have every tail: of rows, of segments.
fn is_right(format: &'static Format, kernel: &'static Kernel) -> Result<bool> {
    let pool = Pool::global();
    let n = (TILE_ROWS + 1).next_multiple_of(format.row_multiple());
    let k = (2 * SEGMENT + 1).next_multiple_of(format.block_weights);
    let weights = Weights::pack(format, n, k, &synthetic(format, n, k)?, pool)?;
    let gate = Gate::new(&weights, kernel.cols, pool)?;
    let reference = candidates(&weights, kernel.numerics, registry::isas()[0])?[0];
    Ok(gate.bits(kernel)? == gate.bits(reference)?)
}
