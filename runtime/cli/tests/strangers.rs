//! What others put into a cache folder, or beside the outputs of `quantloom cache`: it stays, and stops nobody.

#![cfg(unix)]

mod support;

#[path = "../../tests/tune/support.rs"]
#[allow(dead_code, reason = "this file uses its part of it")]
mod made;

use std::fs;
use std::os::unix::fs::{FileTypeExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use made::entries;
use support::sandbox::Sandbox;
use support::testdata;

/// How long a command may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

fn pipe(path: &str) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs a command that must end by itself, well or not.
fn ends(sandbox: &Sandbox, args: &[&str]) {
    let mut command = support::quantloom();
    command.args(args).env("QUANTLOOM_CACHE", sandbox.cache()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{args:?} waits for somebody");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn files_beside_a_table_stay() {
    let sandbox = Sandbox::new();
    sandbox.remember(&entries(1, 1));
    let others = ["table.mine.tmp", "table.abcdef.tmp", ".quantloom-mine.tmp"].map(|name| sandbox.path(name));
    for other in &others {
        fs::write(other, "precious").unwrap();
    }
    let table = sandbox.path("table.toml");
    sandbox.done(&["cache", "export", &table]);
    sandbox.done(&["cache", "merge", &table, &table]);
    for other in &others {
        assert_eq!(fs::read_to_string(other).unwrap(), "precious", "{other}");
    }
    // In the cache's own folder, too.
    let own = sandbox.file().folder().join("entries.mine.tmp");
    fs::write(&own, "precious").unwrap();
    sandbox.remember(&entries(2, 1));
    assert!(own.exists());
}

#[test]
fn the_cache_is_no_output_but_of_merge() {
    let sandbox = Sandbox::new();
    sandbox.remember(&entries(1, 2));
    let own = sandbox.done(&["cache", "path"]).trim().to_owned();
    let before = fs::read(&own).unwrap();
    let (hard, soft) = (sandbox.path("hard"), sandbox.path("soft"));
    fs::hard_link(&own, &hard).unwrap();
    symlink(&own, &soft).unwrap();
    let foreign = sandbox.foreign("foreign.toml", made::ELSEWHERE, &entries(1, 1));
    let other = fs::read(&foreign).unwrap();
    for out in [&own, &hard, &soft] {
        for args in [&["cache", "export", out][..], &["cache", "prune", out], &["report", "--no-measure", out]] {
            let message = sandbox.refused(args);
            assert!(message.contains(out.as_str()) && message.contains("; name another file"), "{message}");
            assert!(fs::read(&own).unwrap() == before && fs::read(&hard).unwrap() == before, "{args:?}");
        }
    }
    for args in [&["cache", "export", &foreign, "--all"][..], &["report", "--no-measure", &foreign]] {
        let message = sandbox.refused(&[args, &["--cache", &foreign]].concat());
        assert!(message.contains("the output would overwrite the input"), "{message}");
        assert!(fs::read(&foreign).unwrap() == other);
    }
}

#[test]
fn tables_go_into_pipes_and_to_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.remember(&entries(1, 2));
    let (table, fifo) = (sandbox.path("table.toml"), sandbox.path("fifo"));
    sandbox.done(&["cache", "export", &table]);
    pipe(&fifo);
    for args in [&["cache", "export", &fifo][..], &["cache", "merge", &fifo, &table], &["cache", "prune", &fifo]] {
        let message = sandbox.refused(args);
        assert!(message.contains("nobody reads this pipe"), "{message}");
        let reader = thread::spawn({
            let fifo = fifo.clone();
            move || fs::read_to_string(fifo).unwrap()
        });
        let start = Instant::now();
        while !sandbox.run(args).status.success() {
            assert!(start.elapsed() < PATIENCE, "{args:?}");
        }
        let text = reader.join().unwrap();
        assert!(Path::new(&fifo).symlink_metadata().unwrap().file_type().is_fifo(), "{args:?}");
        let args = args.iter().map(|&arg| if arg == fifo { "-" } else { arg }).collect::<Vec<_>>();
        assert_eq!(sandbox.done(&args), text);
    }
    let page = sandbox.done(&["report", "--no-measure", "-"]);
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{page}");
}

#[test]
fn clear_touches_only_what_the_tuner_makes() {
    let sandbox = Sandbox::new();
    let root = sandbox.cache().join("tune");
    sandbox.remember(&entries(1, 1));
    let own = sandbox.file();
    let elsewhere = sandbox.path("elsewhere");
    let letter = |folder: &Path, name: &str| {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), "precious").unwrap();
        folder.join(name)
    };
    let stays = [
        letter(&root.join("guitar/songs"), "one.txt"),
        letter(&root.join("v3/songs"), "entries.toml"),
        letter(&root.join("guitar/0123456789abcdef"), "entries.toml"),
        letter(&root.join("v3/0123456789abcdef"), "one.txt"),
        letter(&root.join("v3/0123456789abcdef/probe"), "one.txt"),
        letter(&root.join("v3/0123456789abcdef/entries.lock"), "one.txt"),
        letter(own.folder(), "notes.toml"),
        letter(Path::new(&elsewhere), "entries.toml"),
        letter(Path::new(&elsewhere), "0123456789abcdef"),
    ];
    symlink(&elsewhere, root.join("v3/fedcba9876543210")).unwrap();
    symlink(&elsewhere, own.folder().join("probe")).unwrap();
    symlink(&stays[7], own.folder().join("untuned.toml")).unwrap();
    symlink(&elsewhere, root.join("v4")).unwrap();
    let tuned = root.join("v3/0123456789abcdef/entries.toml");
    let journal = root.join("v3/0123456789abcdef/probe/0000000000000001");
    for path in [&tuned, &journal] {
        fs::write(path, "old").unwrap();
    }
    // Only a superuser can make a file somebody else's.
    let other = tuned.with_file_name("variants.toml");
    fs::write(&other, "old").unwrap();
    let is_other = chown(&other, Some(65534), None).is_ok();
    for args in [&["cache", "clear"][..], &["cache", "clear", "--all"]] {
        sandbox.done(args);
        for path in &stays {
            assert_eq!(fs::read_to_string(path).unwrap(), "precious", "{args:?}: {}", path.display());
        }
    }
    assert_eq!(other.exists(), is_other);
    assert!(!own.path().exists() && !tuned.exists() && !journal.exists());
    assert!(own.folder().join("probe").is_symlink() && own.folder().join("untuned.toml").is_symlink());
}

#[test]
fn clear_and_writers_do_not_stop_each_other() {
    const CLEARS: usize = 8;
    let sandbox = Sandbox::new();
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writers = [1, 2].map(|writer| {
            let (file, done) = (sandbox.file(), &done);
            scope.spawn(move || {
                let mut written = 0;
                while !done.load(Ordering::Relaxed) {
                    file.merge(&entries(writer, 1), PATIENCE).unwrap();
                    written += 1;
                }
                written
            })
        });
        let cleared = (0..CLEARS).all(|_| {
            let output = sandbox.run(&["cache", "clear"]);
            output.status.success() || String::from_utf8_lossy(&output.stderr).contains("another process holds this lock")
        });
        done.store(true, Ordering::Relaxed);
        assert!(cleared);
        writers.map(|writer| writer.join().unwrap())
    });
    assert!(written.iter().all(|&count| count > 0), "{written:?}");
    sandbox.remember(&entries(7, 1));
    assert!(sandbox.file().read().entries.len() <= 3 && sandbox.file().read().unreadable == 0);
}

#[test]
fn pipes_as_inputs_are_refused() {
    let sandbox = Sandbox::new();
    let golden = testdata("golden").join("q4_0.gguf");
    let model = golden.to_str().unwrap();
    let out = sandbox.path("out");
    for name in ["pipe", "pipe.gguf", "pipe.safetensors", "pipe.toml"] {
        let pipe_path = sandbox.path(name);
        pipe(&pipe_path);
        let fifo = pipe_path.as_str();
        let device = if name == "pipe" { "/dev/zero" } else { fifo };
        for input in [fifo, device] {
            for args in [
                &["inspect", input][..],
                &["decode", input, "any", "-o", &out],
                &["matmul", input, "any", "--input", model, "--batch", "1", "-o", &out],
                &["matmul", model, "quantized", "--input", input, "--batch", "1", "-o", &out],
                &["quantize", input, "--to", "Q8_0", "-o", &out],
                &["quantize", model, "--to", "Q8_0", "--imatrix", input, "-o", &out],
                &["quantize", model, "--to", "Q8_0", "--recipe", input, "-o", &out],
                &["pack", input, "-o", &out],
                &["tune", input],
                &["tune", "--from", input],
                &["check", input],
                &["cache", "show", "--cache", input],
                &["cache", "diff", input],
                &["cache", "merge", &out, input],
                &["cache", "export", &out, "--cache", input],
                &["cache", "verify", "--cache", input],
                &["cache", "prune", &out, "--cache", input],
                &["report", "--no-measure", &out, "--cache", input],
            ] {
                let message = sandbox.refused(args);
                assert!(message.contains("not a regular file"), "{args:?}: {message}");
                assert!(!Path::new(&out).exists(), "{args:?}");
            }
        }
    }
}

#[test]
fn pipes_in_the_cache_stop_nobody() {
    let model = testdata("golden").join("q4_0.gguf");
    let model = model.to_str().unwrap();
    for name in
        ["entries.toml", "entries.lock", "variants.toml", "variants.lock", "tune.lock", "untuned.toml", "probe", "x.lock"]
    {
        let sandbox = Sandbox::new();
        let path = sandbox.file().folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        pipe(path.to_str().unwrap());
        for args in [
            &["cache", "show"][..],
            &["cache", "clear", "--dry-run"],
            &["doctor", "--budget", "0"],
            &["tune", model, "--budget", "0"],
            &["cache", "clear"],
        ] {
            ends(&sandbox, args);
            assert!(path.symlink_metadata().unwrap().file_type().is_fifo(), "{name}: {args:?}");
        }
    }
}

#[test]
fn links_in_the_cache_are_not_written_through() {
    let sandbox = Sandbox::new();
    let letter = sandbox.path("letter");
    fs::write(&letter, "precious").unwrap();
    let file = sandbox.file();
    fs::create_dir_all(file.folder()).unwrap();
    symlink(&letter, file.path()).unwrap();
    let message = file.merge(&entries(1, 1), Duration::ZERO).unwrap_err().to_string();
    assert!(message.contains("remove the link, pipe or folder in its place"), "{message}");
    assert_eq!(fs::read_to_string(&letter).unwrap(), "precious");
    fs::remove_file(file.path()).unwrap();
    // Nor is a lock made where a link leads.
    let none = sandbox.path("none");
    fs::remove_file(file.path().with_extension("lock")).unwrap();
    symlink(&none, file.path().with_extension("lock")).unwrap();
    assert!(file.merge(&entries(1, 1), Duration::ZERO).is_err() && !Path::new(&none).exists());
}
