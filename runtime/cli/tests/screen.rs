//! What people see: at the width of their screen, with the colours that they want, and words that they know.

mod support;

use std::process::{Output, Stdio};

use quantloom::machine::processor;
use quantloom::matmul::Launch;
use quantloom::registry::{self, Numerics};
use quantloom::tune;
use serde_json::Value as Json;
use support::{Writer, kind, testdata};
use tempfile::TempDir;

/// The width that all terminals have.
const COLUMNS: usize = 80;

/// All commands, with their own.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["demo"],
    &["formats"],
    &["inspect"],
    &["decode"],
    &["matmul"],
    &["bench"],
    &["tune"],
    &["cache"],
    &["cache", "show"],
    &["cache", "diff"],
    &["cache", "explain"],
    &["cache", "merge"],
    &["cache", "export"],
    &["cache", "verify"],
    &["cache", "prune"],
    &["cache", "clear"],
    &["doctor"],
    &["check"],
    &["explain"],
    &["quantize"],
    &["pack"],
    &["report"],
];

/// The type number of such metadata.
const U32: u32 = 4;

/// A folder for a test, where commands run, with a cache in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn run(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = support::quantloom();
        command.args(args).current_dir(self.0.path()).env("QUANTLOOM_CACHE", self.0.path().join("cache"));
        command.envs(variables.iter().copied()).output().unwrap()
    }

    fn done(&self, args: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.run(args, variables);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command prints on a screen of 80 columns.
    fn screen(&self, args: &[&str]) -> String {
        self.done(args, &[("COLUMNS", "80")])
    }

    /// What a command says that fails with this status.
    fn fails(&self, status: i32, args: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.run(args, variables);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
        said
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Lines that a screen would break.
fn too_long(text: &str, columns: usize) -> Vec<&str> {
    text.lines().filter(|line| line.chars().count() > columns).collect()
}

/// A kernel of this build that runs here, of a class.
fn kernel(numerics: Numerics) -> &'static registry::Kernel {
    let mut kernels = registry::formats().flat_map(registry::kernels);
    kernels.find(|kernel| kernel.numerics == numerics && kernel.isa().is_available() && kernel.format == "Q4_K").unwrap()
}

#[test]
fn help_fits_the_screen_and_breaks_no_word() {
    let folder = Folder::new();
    for command in COMMANDS {
        let args = [command, &["--help"][..]].concat();
        let (wide, narrow) = (folder.done(&args, &[]), folder.screen(&args));
        assert_eq!(too_long(&narrow, COLUMNS), [""; 0], "{command:?}");
        assert_eq!(too_long(&wide, 100), [""; 0], "{command:?}");
        assert!(wide.split_whitespace().eq(narrow.split_whitespace()), "{wide}\n{narrow}");
    }
}

#[test]
fn examples_name_formats_that_exist() {
    let folder = Folder::new();
    for (command, place) in [(&["explain"][..], 2), (&["cache", "explain"], 3), (&["quantize"], 4)] {
        let help = folder.done(&[command, &["--help"]].concat(), &[]);
        let example = help.lines().find(|line| line.starts_with("Example")).unwrap();
        let (_, example) = example.split_once(": ").unwrap();
        let name = example.split_whitespace().nth(place).unwrap();
        assert!(registry::format_by_name(name).is_ok(), "{example}");
    }
}

#[test]
fn tables_fit_the_screen() {
    let folder = Folder::new();
    let model = testdata("models/rustbook-Q4_K_M.gguf");
    let model = model.to_str().unwrap();
    folder.done(&["tune", model, "--budget", "0.5", "--batch", "1"], &[]);
    for args in [
        &["formats"][..],
        &["inspect", model],
        &["tune", model, "--budget", "0", "--batch", "1"],
        &["cache", "explain", "Q4_K", "256x256"],
        &["explain", "Q4_K"],
    ] {
        let (text, whole) = (folder.screen(args), folder.done(args, &[]));
        assert_eq!(too_long(&text, COLUMNS), [""; 0], "{args:?}");
        assert!(whole.lines().count() <= text.lines().count(), "piped, a row is a line");
    }
    let text = folder.screen(&["bench", "--format", "Q4_K", "--shape", "64x256", "--batch", "1", "--threads", "1"]);
    assert_eq!(too_long(&text, COLUMNS), [""; 0]);
}

#[test]
fn a_model_comes_to_what_a_token_is_multiplied_by() {
    let folder = Folder::new();
    let zeros = |bytes: usize| vec![0; bytes];
    let q8 = |n: u64| zeros(n as usize * 34 * 2);
    let model = Writer::default()
        .text("general.architecture", "sample")
        .entry("sample.expert_count", U32, &8_u32.to_le_bytes())
        .entry("sample.expert_used_count", U32, &2_u32.to_le_bytes())
        .tensor("token_embd.weight", &[64, 100], kind::Q8_0, &q8(100))
        .tensor("output.weight", &[64, 48], kind::Q8_0, &q8(48))
        .tensor("blk.0.attn_q.weight", &[64, 32], kind::Q8_0, &q8(32))
        .tensor("blk.1.attn_q.weight", &[64, 32], kind::Q8_0, &q8(32))
        .tensor("blk.0.ffn_up_exps.weight", &[64, 16, 8], kind::Q8_0, &q8(16 * 8));
    let model = folder.file("m.gguf", &model.build());
    let document = folder.done(&["bench", &model, "--batch", "1,4", "--threads", "1", "--json"], &[]);
    let document: Json = serde_json::from_str(&document).unwrap();
    let results = document["results"].as_array().unwrap();
    let found = results
        .iter()
        .map(|result| (&result["n"], &result["batch"], &result["per_token"]))
        .map(|(n, batch, count)| (n.as_u64().unwrap(), batch.as_u64().unwrap(), count.as_f64().unwrap()));
    let wanted = [(128, 1, 0.25), (128, 4, 0.25), (48, 1, 1.0), (48, 4, 1.0), (32, 1, 2.0), (32, 4, 2.0)];
    assert_eq!(found.collect::<Vec<_>>(), wanted, "the embedding is not multiplied by, and a quarter of the experts are");
    for (pass, batch) in document["model"]["passes"].as_array().unwrap().iter().zip([1, 4]) {
        let of_batch = results.iter().filter(|result| result["batch"] == batch);
        let us =
            of_batch.map(|result| result["per_token"].as_f64().unwrap() * result["median_us"].as_f64().unwrap()).sum::<f64>();
        let (ms, tokens) = (pass["ms"].as_f64().unwrap(), pass["tokens_per_s"].as_f64().unwrap());
        assert!((ms * 1e3 / us - 1.0).abs() < 1e-6 && (tokens * us / 1e6 / f64::from(batch) - 1.0).abs() < 1e-6, "{pass}");
    }
    let text = folder.screen(&["bench", &model, "--batch", "1", "--threads", "1"]);
    assert!(text.contains("tokens/s from these matrices") && text.contains("A TOKEN"), "{text}");
    let plain = Writer::default().floats("plain.weight", &[64, 2], &[0.0; 128]);
    let plain = folder.file("plain.gguf", &plain.build());
    assert!(folder.fails(1, &["bench", &plain], &[]).contains("no tensor has kernels"));
    folder.fails(2, &["bench", &model, "--format", "Q8_0"], &[]);
}

#[test]
fn what_would_not_be_followed_is_not_measured() {
    let folder = Folder::new();
    let model = testdata("models/rustbook-Q4_K_M.gguf");
    let tune = ["tune", model.to_str().unwrap(), "--budget", "0.1"];
    let bench = ["bench", "--format", "Q4_K", "--shape", "64x256", "--batch", "1"];
    for args in [&tune[..], &bench, &["demo"], &[]] {
        for (name, value) in [(tune::MODE, "of"), (tune::PIN, "nonsense"), (processor::VARIABLE, "abacus")] {
            let said = folder.fails(1, args, &[(name, value)]);
            assert!(said.starts_with("error: ") && said.contains(name) && said.lines().count() == 1, "{args:?}: {said}");
        }
    }
    let said = folder.fails(1, &tune, &[(tune::MODE, "off")]);
    assert!(said.contains("nothing that was measured is followed then; unset QUANTLOOM_TUNE to tune"), "{said}");
    assert!(!folder.0.path().join("cache").exists(), "nothing was measured");
    folder.done(&tune, &[(tune::MODE, "cache-only")]);
}

#[test]
fn what_arguments_are_is_said_in_words_of_ours() {
    let folder = Folder::new();
    let whole = "a batch is from 1 to 131072, not";
    let time = "a time is a number of seconds from 0 on";
    let threads = "a number of threads is from 1 to 4096, not";
    for (args, wanted) in [
        (&["bench", "--batch", "1-8"][..], whole),
        (&["bench", "--batch", "0"], whole),
        (&["bench", "--batch", "-1"], whole),
        (&["tune", "m.gguf", "--batch", "1,x"], whole),
        (&["cache", "explain", "Q4_K", "16x256", "--batch", "many"], whole),
        (&["matmul", "m.gguf", "t", "--input", "x", "-o", "y", "--batch", "-3"], whole),
        (&["tune", "m.gguf", "--budget", "-1"], time),
        (&["doctor", "--budget", "soon"], time),
        (&["cache", "verify", "--budget", "1e400"], time),
        (&["bench", "--threads", "0"], threads),
        (&["pack", "m.gguf", "-o", "p", "--threads", "-1"], threads),
        (&["quantize", "m.gguf", "--to", "Q8_0", "-o", "p", "--threads", "99999999"], threads),
    ] {
        let said = folder.fails(2, args, &[]);
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    assert!(folder.fails(2, &["bench", "--batch", "1-8"], &[]).contains("of several, each is named: 1,8,128"));
    assert!(!folder.done(&["bench", "--help"], &[]).contains("device"), "only the processor can be measured");
}

#[test]
fn a_kernel_that_cannot_do_what_is_asked_says_why() {
    let folder = Folder::new();
    let bench = |more: &[&str]| {
        let args = ["bench", "--format", "Q4_K", "--shape", "64x256", "--batch", "1", "--threads", "1"];
        folder.fails(1, &[&args, more].concat(), &[])
    };
    let int8 = kernel(Numerics::Int8);
    let said = bench(&["--numerics", "exact", "--kernel", int8.name]);
    assert_eq!(said, format!("error: {} computes int8, and exact was asked for; ask for one of the two alone\n", int8.name));
    let scalar = "Q4_K.gemv.int8.scalar.r16c1";
    let other = registry::isas().iter().rev().find(|isa| isa.is_available() && isa.name != "scalar");
    if let Some(isa) = other {
        let said = bench(&["--isa", isa.name, "--kernel", scalar]);
        assert!(said.contains(&format!("is for scalar, and {} was asked for", isa.name)), "{said}");
    }
    // The name that it had before is still understood.
    let text = Launch::of(int8).to_string();
    let args = ["bench", "--format", "Q4_K", "--shape", "64x256", "--batch", "1", "--variant", &text, "--json"];
    assert!(folder.done(&args, &[]).contains(int8.name));
}

#[test]
fn a_file_that_is_no_card_is_not_torn_to_pieces() {
    let folder = Folder::new();
    let junk = folder.file("README.md", "what is = this [here\n".repeat(90).as_bytes());
    let said = folder.fails(1, &["check", &junk], &[]);
    let errors = said.lines().filter(|line| line.starts_with("error")).collect::<Vec<_>>();
    let last = errors.last().unwrap();
    assert_eq!(errors.len(), 11, "{said}");
    let all = last.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap();
    assert!(all >= 90 && last.ends_with("errors in all; these are the first 10"), "{last}");
}

/// A terminal, as a program sees one.
#[cfg(unix)]
mod terminal {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::thread;

    use super::*;

    /// Runs a command on a terminal of so many columns; what it writes there, with both its outputs.
    fn shown(folder: &Folder, columns: u16, args: &[&str], variables: &[(&str, &str)]) -> String {
        let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut ours, mut theirs) = (0, 0);
        // SAFETY: all pointers are to what lives here, or null, which is allowed for the name and the modes.
        let made = unsafe {
            libc::openpty(
                &raw mut ours,
                &raw mut theirs,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                (&raw const size).cast_mut(),
            )
        };
        assert_eq!(made, 0);
        // SAFETY: both are open, and nobody else's.
        let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        let reader = thread::spawn(move || {
            let (mut screen, mut text) = (File::from(ours), Vec::new());
            // The end is an error once nobody has the other side open.
            let _ = screen.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut command = support::quantloom();
        command.args(args).current_dir(folder.0.path()).env("QUANTLOOM_CACHE", folder.0.path().join("cache"));
        command.env_remove("COLUMNS").env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let mut child = command.spawn().unwrap();
        // It holds the other side of the terminal.
        drop(command);
        child.wait().unwrap();
        reader.join().unwrap()
    }

    #[test]
    fn text_is_as_wide_as_the_terminal() {
        let folder = Folder::new();
        for columns in [60, 80, 200] {
            for args in [&["formats"][..], &["--help"], &["bench", "--help"]] {
                let text = shown(&folder, columns, args, &[]).replace('\r', "");
                assert_eq!(too_long(&text, usize::from(columns)), [""; 0], "{args:?}");
            }
        }
        let text = shown(&folder, 200, &["cache", "explain", "Q4_K", "256x256"], &[("COLUMNS", "70")]).replace('\r', "");
        assert_eq!(too_long(&text, 70), [""; 0], "what the user says goes before what the terminal is");
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        let folder = Folder::new();
        let wrong = folder.file("wrong.toml", b"nothing = 1\n");
        let colours = |variables: &[(&str, &str)]| shown(&folder, 80, &["check", &wrong], variables).contains('\x1b');
        assert!(colours(&[]) && colours(&[("NO_COLOR", "")]));
        assert!(!colours(&[("NO_COLOR", "1")]) && !colours(&[("TERM", "dumb")]));
        assert!(!folder.fails(1, &["check", &wrong], &[]).contains('\x1b'), "no terminal");
    }

    #[test]
    fn progress_is_one_line_where_nothing_can_be_drawn_twice() {
        let folder = Folder::new();
        let list = "[[problem]]\nformat = 'Q4_K'\nn = 64\nk = 256\nbatches = [1]\n";
        let list = folder.file("list.toml", list.as_bytes());
        let args = ["tune", &list, "--budget", "0.2", "--threads", "1"];
        let text = shown(&folder, 80, &args, &[("TERM", "dumb")]);
        assert!(text.replace("\r\n", "\n").lines().any(|line| line == "tuning ..."), "{text:?}");
        assert!(!text.contains('\x1b') && !text.replace("\r\n", "").contains('\r'), "{text:?}");
    }
}
