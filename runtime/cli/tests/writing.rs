//! Where commands write: never onto what they read, never in place of what is no file, and nothing is left when they are stopped.

#![cfg(unix)]

mod support;

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::program::is_emulated;
use support::{Writer, kind};
use tempfile::TempDir;

/// A folder with a model, activations and recipes in it, where commands run.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        let floats = (0..512).map(|at| (at as f32 * 0.37).sin()).collect::<Vec<_>>();
        let model = Writer::default().text("general.architecture", "sample").floats("plain.weight", &[256, 2], &floats).tensor(
            "coded.weight",
            &[64, 2],
            kind::Q4_0,
            &[0x5a; 72],
        );
        fs::write(folder.at("m.gguf"), model.build()).unwrap();
        fs::write(folder.at("x.f32"), [0_u8; 256]).unwrap();
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = support::quantloom();
        command.args(words.split_whitespace()).current_dir(self.0.path()).env("QUANTLOOM_CACHE", self.at("cache"));
        command
    }

    fn done(&self, words: &str) -> Output {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn refused(&self, words: &str) -> String {
        let output = self.command(words).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}: {message}");
        assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
        message
    }

    /// The names of all files, sorted.
    fn names(&self) -> Vec<String> {
        let mut names = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        names.sort();
        names
    }
}

/// The commands that write what they make of a model, to OUT.
const COMMANDS: [&str; 4] = [
    "decode m.gguf plain.weight -o OUT",
    "matmul m.gguf coded.weight --input x.f32 --batch 1 -o OUT",
    "quantize m.gguf --to Q8_0 --allow-requantize -o OUT",
    "pack m.gguf -o OUT",
];

#[test]
fn no_output_is_an_input_under_any_name() {
    let folder = Folder::new();
    fs::create_dir(folder.at("sub")).unwrap();
    fs::hard_link(folder.at("m.gguf"), folder.at("hard")).unwrap();
    symlink("m.gguf", folder.at("soft")).unwrap();
    symlink(folder.at("hard"), folder.at("both")).unwrap();
    let before = fs::read(folder.at("m.gguf")).unwrap();
    for command in COMMANDS {
        for name in ["m.gguf", "./m.gguf", "sub/../m.gguf", "hard", "soft", "both"] {
            let message = folder.refused(&command.replace("OUT", name));
            let wanted = format!("error: {name}: the output would overwrite the input m.gguf; name another file\n");
            assert_eq!(message, wanted, "{command}");
            assert!(fs::read(folder.at("m.gguf")).unwrap() == before, "{command} {name}");
        }
    }
    // Inputs beside the model.
    fs::hard_link(folder.at("x.f32"), folder.at("y.f32")).unwrap();
    let message = folder.refused(&COMMANDS[1].replace("OUT", "y.f32"));
    assert!(message.contains("y.f32: the output would overwrite the input x.f32"), "{message}");
    fs::write(folder.at("i.gguf"), &before).unwrap();
    for more in ["--imatrix i.gguf", "--recipe i.gguf"] {
        let message = folder.refused(&format!("quantize m.gguf --to Q8_0 {more} -o ./i.gguf"));
        assert!(message.contains("./i.gguf: the output would overwrite the input i.gguf"), "{message}");
    }
    assert!(fs::read(folder.at("i.gguf")).unwrap() == before);
}

#[test]
fn links_stay_and_what_they_lead_to_is_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.at("elsewhere")).unwrap();
    symlink("elsewhere/out", folder.at("first")).unwrap();
    symlink("first", folder.at("second")).unwrap();
    for command in COMMANDS {
        folder.done(&command.replace("OUT", "plain"));
        // To no file yet, then to one.
        for _ in 0..2 {
            folder.done(&command.replace("OUT", "second"));
            assert!(fs::read(folder.at("elsewhere/out")).unwrap() == fs::read(folder.at("plain")).unwrap(), "{command}");
            assert!(folder.at("first").is_symlink() && folder.at("second").is_symlink(), "{command}");
        }
        fs::remove_file(folder.at("elsewhere/out")).unwrap();
    }
    assert_eq!(fs::read_dir(folder.at("elsewhere")).unwrap().count(), 0);
    symlink("round", folder.at("round")).unwrap();
    assert!(folder.refused("pack m.gguf -o round").contains("round: cannot be written ("));
    assert!(
        folder.refused("pack m.gguf -o elsewhere").contains("elsewhere: cannot be written (it is a folder); name a file in it")
    );
}

#[test]
fn pipes_get_the_bytes() {
    let folder = Folder::new();
    let pipe = folder.at("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for command in COMMANDS {
        folder.done(&command.replace("OUT", "plain"));
        let plain = fs::read(folder.at("plain")).unwrap();
        let message = folder.refused(&command.replace("OUT", "pipe"));
        assert!(
            message.ends_with("pipe: cannot be written (nobody reads this pipe); start what reads it first\n"),
            "{message}"
        );
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        // The reader may take its time to begin.
        let start = Instant::now();
        while !folder.command(&command.replace("OUT", "pipe")).output().unwrap().status.success() {
            assert!(start.elapsed() < Duration::from_secs(60), "{command}");
        }
        assert!(reader.join().unwrap() == plain, "{command}");
        assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo(), "{command}");

        // Standard output is a pipe too; what is said otherwise goes elsewhere.
        for name in ["-", "/dev/stdout"] {
            let output = folder.done(&command.replace("OUT", name));
            assert!(output.stdout == plain && !output.stderr.is_empty(), "{command} {name}");
        }
    }
    assert_eq!(folder.names(), ["m.gguf", "pipe", "plain", "x.f32"]);
}

#[test]
fn a_reader_that_leaves_is_no_success() {
    let folder = Folder::new();
    let pipe = folder.at("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // More than a pipe holds.
    fs::write(folder.at("m.gguf"), Writer::default().floats("plain.weight", &[256, 256], &[0.5; 65536]).build()).unwrap();
    let start = |name: &str| {
        let command = COMMANDS[0].replace("OUT", name);
        folder.command(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let reader = thread::spawn(move || drop(fs::File::open(pipe).unwrap()));
    let mut output = start("pipe").wait_with_output().unwrap();
    let started = Instant::now();
    while String::from_utf8_lossy(&output.stderr).contains("nobody reads this pipe") && !reader.is_finished() {
        assert!(started.elapsed() < Duration::from_secs(60));
        output = start("pipe").wait_with_output().unwrap();
    }
    reader.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    // Of standard output, it is: that is what `head` does.
    let mut child = start("-");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn devices_stay_devices() {
    let folder = Folder::new();
    let null = folder.at("null");
    let name = std::ffi::CString::new(null.to_str().unwrap()).unwrap();
    // SAFETY: the name ends with a zero, and is read only.
    let made = unsafe { libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 3)) } == 0;
    if !made || fs::File::options().write(true).open(&null).is_err() {
        // Not everybody may make devices, nor everywhere.
        return;
    }
    for command in COMMANDS {
        folder.done(&command.replace("OUT", "null"));
        assert!(null.symlink_metadata().unwrap().file_type().is_char_device(), "{command}");
    }
    assert_eq!(folder.names(), ["m.gguf", "null", "x.f32"]);
}

#[test]
fn a_socket_is_refused() {
    let folder = Folder::new();
    let _socket = std::os::unix::net::UnixListener::bind(folder.at("socket")).unwrap();
    assert!(folder.refused("pack m.gguf -o socket").contains("it is a socket"));
    assert!(folder.at("socket").symlink_metadata().unwrap().file_type().is_socket());
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = Folder::new();
    fs::write(folder.at("out"), "old").unwrap();
    for command in COMMANDS.iter().filter(|command| !command.starts_with("matmul")) {
        let mut command = folder.command(&command.replace("OUT", "out"));
        // SAFETY: both may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) == 0 {
                    Ok(())
                } else {
                    Err(io::Error::last_os_error())
                }
            });
        }
        let output = command.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("out: cannot be written (") && message.contains("make room there"), "{message}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(fs::read(folder.at("out")).unwrap(), b"old");
        assert_eq!(folder.names(), ["m.gguf", "out", "x.f32"]);
    }
}

#[test]
fn permissions_stay_and_protection_holds() {
    let folder = Folder::new();
    let mode = |mode| fs::set_permissions(folder.at("out"), fs::Permissions::from_mode(mode)).unwrap();
    fs::write(folder.at("out"), "old").unwrap();
    mode(0o600);
    folder.done("decode m.gguf plain.weight -o out");
    assert_eq!(fs::metadata(folder.at("out")).unwrap().permissions().mode() & 0o7777, 0o600);
    fs::write(folder.at("out"), "old").unwrap();
    mode(0o444);
    let message = folder.refused("decode m.gguf plain.weight -o out");
    assert!(message.contains("it is write-protected"), "{message}");
    assert_eq!(fs::read(folder.at("out")).unwrap(), b"old");
}

/// Whether an unfinished output is in the folder.
fn has_unfinished(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| entry.unwrap().file_name().to_str().unwrap().ends_with(".tmp"))
}

/// Waits until `done`.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn nothing_is_left_by_a_signal() {
    if is_emulated() {
        // Signals go to the emulator.
        return;
    }
    const SIGNALS: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
    let folder = Folder::new();
    let rows = (0..1 << 21).map(|at| (at as f32 * 0.37).sin()).collect::<Vec<_>>();
    fs::write(folder.at("m.gguf"), Writer::default().floats("blk.0.attn_q.weight", &[1024, 2048], &rows).build()).unwrap();
    fs::create_dir(folder.at("k")).unwrap();
    fs::write(folder.at("k/o.gguf"), "old").unwrap();
    let start = |ignored: Option<i32>| {
        let mut command = folder.command("quantize m.gguf --to IQ2_XXS --pure --threads 1 -o k/o.gguf");
        // Whoever runs the tests may ignore some: a shell's background jobs do.
        let reset = move || {
            for signal in SIGNALS {
                // SAFETY: it may be called between fork and exec.
                unsafe { libc::signal(signal, if ignored == Some(signal) { libc::SIG_IGN } else { libc::SIG_DFL }) };
            }
            Ok(())
        };
        // SAFETY: it does what may be done between fork and exec.
        unsafe { command.pre_exec(reset) };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("an unfinished output", || has_unfinished(&folder.at("k")));
        child
    };
    // SAFETY: the process is a child that has not been waited for.
    let send = |child: &std::process::Child, signal| unsafe { assert_eq!(libc::kill(child.id() as i32, signal), 0) };
    for signal in SIGNALS {
        let mut child = start(None);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        assert!(!has_unfinished(&folder.at("k")), "{signal}");
    }
    // What it was started to ignore, it ignores.
    let mut child = start(Some(libc::SIGHUP));
    send(&child, libc::SIGHUP);
    thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none() && has_unfinished(&folder.at("k")));
    // Nobody can do anything about this one: the next output in the folder does.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(has_unfinished(&folder.at("k")));
    assert_eq!(fs::read(folder.at("k/o.gguf")).unwrap(), b"old");
    fs::write(folder.at("k/a.mine.tmp"), "mine").unwrap();
    folder.done("decode m.gguf blk.0.attn_q.weight -o k/other");
    assert!(folder.at("k/a.mine.tmp").exists());
    fs::remove_file(folder.at("k/a.mine.tmp")).unwrap();
    assert!(!has_unfinished(&folder.at("k")));
}
