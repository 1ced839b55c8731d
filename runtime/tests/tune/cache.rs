//! The cache file: what is written is read back, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use quantloom::Error;
use quantloom::pool::Pool;
use quantloom::tune::{self, CacheFile, Choices, Contents, Digest, Entry, Key, Origin, Verdict};

use crate::support::{ELSEWHERE, entries, file};

const PATIENCE: Duration = Duration::from_secs(20);

/// The cache file's text, with entries in it.
fn text_of(entries: &[Entry]) -> String {
    let (_folder, file) = file();
    file.merge(entries, PATIENCE).unwrap();
    fs::read_to_string(file.path()).unwrap()
}

/// What a file with this content holds.
fn read(content: &[u8]) -> Contents {
    let (_folder, file) = file();
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    fs::write(file.path(), content).unwrap();
    file.read()
}

/// Where each entry of a text begins.
fn begins(text: &str) -> Vec<usize> {
    text.match_indices("[[entry]]").map(|(at, _)| at).collect()
}

#[test]
fn entries_are_read_back_in_order() {
    let (_folder, file) = file();
    assert_eq!(file.read(), Contents::default());
    let mut wanted = entries(1, 4);
    wanted[0].times.clear();
    wanted[1].origin = Origin::Imported;
    wanted[2].spread = 1.0;
    let backwards = wanted.iter().rev().cloned().collect::<Vec<_>>();
    file.merge(&backwards, PATIENCE).unwrap();
    assert_eq!(file.read(), Contents { entries: wanted, unreadable: 0 });
}

#[test]
fn the_text_does_not_depend_on_the_order_of_writing() {
    let all = entries(1, 3);
    let (_folder, file) = file();
    for entry in [&all[2], &all[0], &all[1], &all[0]] {
        file.merge(std::slice::from_ref(entry), PATIENCE).unwrap();
    }
    assert_eq!(fs::read_to_string(file.path()).unwrap(), text_of(&all));
}

#[test]
fn the_last_writer_of_a_key_wins() {
    let (_folder, file) = file();
    let old = entries(1, 2);
    let new = Entry { spread: 3.0, ..old[0].clone() };
    file.merge(&old, PATIENCE).unwrap();
    file.merge(std::slice::from_ref(&new), PATIENCE).unwrap();
    assert_eq!(file.read().entries, [new, old[1].clone()]);
}

#[test]
fn entries_of_other_builds_stay() {
    let (_folder, file) = file();
    let ours = entries(1, 1).remove(0);
    let key = Key { format: "no such format".into(), code: Digest(1), isa: "none".into(), ..ours.key.clone() };
    let theirs = Entry { key, ..ours.clone() };
    file.merge(std::slice::from_ref(&theirs), PATIENCE).unwrap();
    file.merge(std::slice::from_ref(&ours), PATIENCE).unwrap();
    let found = file.read().entries;
    assert!(found.len() == 2 && found.contains(&ours) && found.contains(&theirs));
    assert!(theirs.launch().is_none() && ours.launch().is_some());
}

#[test]
fn a_torn_file_is_mended_by_the_next_writer() {
    let (_folder, file) = file();
    let all = entries(1, 3);
    file.merge(&all, PATIENCE).unwrap();
    let torn = fs::metadata(file.path()).unwrap().len() - 10;
    fs::File::options().write(true).open(file.path()).unwrap().set_len(torn).unwrap();
    assert_eq!(file.read(), Contents { entries: all[..2].to_vec(), unreadable: 1 });
    file.merge(&all[2..], PATIENCE).unwrap();
    assert_eq!(file.read(), Contents { entries: all, unreadable: 0 });
}

#[test]
fn an_edited_number_costs_its_entry_only() {
    let all = entries(1, 3);
    let text = text_of(&all);
    let second = begins(&text)[1];
    for line in ["spread = 1.042\n", "measured = 1\n", "effort = \"full\"\n", "batch = \"1\"\n", "n = 2\n"] {
        let at = second + text[second..].find(line).unwrap();
        for wrong in ["9", "-9", "99999999999999999999", "\"9\"", "x", ""] {
            let (name, _) = line.split_once('=').unwrap();
            let edited = format!("{}{name}= {wrong}\n{}", &text[..at], &text[at + line.len()..]);
            let wanted = Contents { entries: vec![all[0].clone(), all[2].clone()], unreadable: 1 };
            assert_eq!(read(edited.as_bytes()), wanted, "{name}= {wrong}");
        }
    }
}

#[test]
fn line_ends_and_unknown_fields_do_no_harm() {
    let all = entries(1, 2);
    let text = text_of(&all);
    assert_eq!(read(text.replace('\n', "\r\n").as_bytes()).entries, all);
    assert_eq!(read(text.replace("measured = 1", "measured = 1\nnote = \"by hand\"").as_bytes()).entries, all);
}

#[test]
fn a_foreign_file_or_entry_is_no_use() {
    let all = entries(1, 2);
    let text = text_of(&all);
    let (folder, _) = file();
    let other = CacheFile::new(folder.path(), "another environment");
    fs::create_dir_all(other.path().parent().unwrap()).unwrap();
    let nothing = Contents { entries: Vec::new(), unreadable: 2 };
    // The whole file, then its entries below a header of our own.
    for content in [text.clone(), text.replace(ELSEWHERE, "another environment")] {
        fs::write(other.path(), content).unwrap();
        assert_eq!(other.read(), nothing);
    }
    for schema in ["schema = 2", "schema = 4", "schema = \"3\"", ""] {
        assert_eq!(read(text.replace("schema = 3", schema).as_bytes()), nothing, "{schema}");
    }
    other.merge(&all[..1], PATIENCE).unwrap();
    assert_eq!(other.read(), Contents { entries: all[..1].to_vec(), unreadable: 0 });
}

/// An entry that cannot have been measured.
fn absurd(change: impl FnOnce(&mut Entry)) -> Entry {
    let mut entry = entries(1, 1).remove(0);
    change(&mut entry);
    entry
}

#[test]
fn what_cannot_have_been_measured_counts_for_nothing() {
    let right = entries(2, 1).remove(0);
    let long = || "x".repeat(2000);
    for (what, entry) in [
        ("measured", absurd(|entry| entry.measured = 0)),
        ("measured", absurd(|entry| entry.measured = usize::MAX >> 1)),
        ("measured, not in its bucket", absurd(|entry| entry.measured = 5)),
        ("n", absurd(|entry| entry.key.n = 0)),
        ("n", absurd(|entry| entry.key.n = 1 << 62)),
        ("k", absurd(|entry| entry.key.k = 0)),
        ("k", absurd(|entry| entry.key.k = 1 << 62)),
        ("threads", absurd(|entry| entry.key.threads = 0)),
        ("threads", absurd(|entry| entry.key.threads = 1 << 62)),
        ("spread", absurd(|entry| entry.spread = f64::NAN)),
        ("spread", absurd(|entry| entry.spread = f64::INFINITY)),
        ("spread", absurd(|entry| entry.spread = -1.0)),
        ("spread", absurd(|entry| entry.spread = 1e300)),
        ("times of none", absurd(|entry| entry.times[0].ns = 0)),
        ("endless times", absurd(|entry| entry.times[0].ns = i64::MAX as u64)),
        ("ratio", absurd(|entry| entry.times[1].ratio = 1e300)),
        ("rounds", absurd(|entry| entry.times[0].rounds = 1 << 62)),
        ("many times", absurd(|entry| entry.times = vec![entry.times[0].clone(); 10_001])),
        ("kernel", absurd(|entry| entry.kernel = "\u{1b}[31m".to_owned())),
        ("kernel", absurd(|entry| entry.kernel = long())),
        ("default", absurd(|entry| entry.default = "\u{202e}".to_owned())),
        ("system", absurd(|entry| entry.system = "a\nb".to_owned())),
        ("format", absurd(|entry| entry.key.format = long().into())),
        ("instruction set", absurd(|entry| entry.key.isa = "\u{7}".into())),
        ("operation", absurd(|entry| entry.key.operation = "\u{9b}".into())),
    ] {
        let (_folder, file) = file();
        // Whoever writes it makes the right digest; the one beside it stays.
        CacheFile::at(file.path(), file.environment()).merge(&[entry, right.clone()], PATIENCE).unwrap();
        let found = file.read();
        assert_eq!((found.entries, found.unreadable), (vec![right.clone()], 1), "{what}");
        // It is gone when somebody writes.
        file.merge(&[], PATIENCE).unwrap();
        assert_eq!(file.read().unreadable, 0, "{what}");
    }
}

#[test]
fn a_choice_for_weights_that_there_are_not_is_not_verified() {
    let verify = |entry: &Entry| tune::verify(entry, &Choices::new(None), &Pool::new(1), Duration::MAX).unwrap();
    let mut entry = entries(16, 1).remove(0);
    entry.key.threads = 1;
    assert_ne!(verify(&entry), Verdict::NotHere);
    entry.key.k += 1;
    assert_eq!(verify(&entry), Verdict::NotHere);
}

#[test]
fn environments_have_files_of_their_own() {
    let (folder, file) = file();
    let other = CacheFile::new(folder.path(), "another environment");
    assert_ne!(file.path(), other.path());
    file.merge(&entries(1, 1), PATIENCE).unwrap();
    assert_eq!(other.read(), Contents::default());
}

#[test]
fn writers_do_not_lose_each_others_entries() {
    let (_folder, file) = file();
    thread::scope(|scope| {
        for writer in 0..8 {
            let file = &file;
            scope.spawn(move || {
                for entry in entries(1 + 4 * writer, 4) {
                    file.merge(&[entry], PATIENCE).unwrap();
                }
            });
        }
    });
    assert_eq!(file.read(), Contents { entries: entries(1, 32), unreadable: 0 });
    let left = fs::read_dir(file.path().parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<BTreeSet<_>>(), ["entries.lock", "entries.toml"].map(Into::into).into());
}

#[test]
fn a_writer_that_does_not_finish_is_not_waited_for() {
    let (_folder, file) = file();
    let all = entries(1, 2);
    file.merge(&all[..1], PATIENCE).unwrap();
    let lock = fs::File::open(file.path().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let error = file.merge(&all[1..], Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::Cache { .. }) && error.to_string().contains("another process"), "{error}");
    assert_eq!(file.read().entries, all[..1]);
    lock.unlock().unwrap();
    file.merge(&all[1..], Duration::ZERO).unwrap();
    assert_eq!(file.read().entries, all);
}
