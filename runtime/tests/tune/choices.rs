//! Choices: the memory in front of the cache file.

use std::fs;
use std::thread;

use quantloom::Error;
use quantloom::matmul::{Context, Request, Source, select};
use quantloom::pool::Pool;
use quantloom::tune::{CacheFile, Choices, Digest, Entry, Keep, Key};
use quantloom::weights::Layout;

use crate::support::{ELSEWHERE, entries, entry, file, kernels, key, weights};

#[test]
fn memory_goes_before_the_file() {
    let weights = weights(16, 1);
    let (first, last) = (kernels(&weights)[0], *kernels(&weights).last().unwrap());
    let (_folder, file) = file();
    file.merge(&[entry(key(&weights, 1), first)], Default::default()).unwrap();
    let choices = Choices::new(Some(file));
    assert_eq!(choices.find(&key(&weights, 1)), Some((first.into(), Source::Cache)));
    choices.record(entry(key(&weights, 1), last), Keep::InMemory);
    assert_eq!(choices.find(&key(&weights, 1)), Some((last.into(), Source::Memory)));
}

#[test]
fn a_multiplication_follows_the_choices_that_it_is_given() {
    let weights = weights(16, 1);
    let last = *kernels(&weights).last().unwrap();
    let choices = Choices::new(None);
    choices.record(entry(key(&weights, 1), last), Keep::InMemory);
    let used = |context: Context<'_>| select(&weights, 1, &Request::default(), context).unwrap();
    let own = used(Context::new(Pool::global(), &choices));
    assert_eq!((own.launch, own.source), (last.into(), Source::Memory));
    // Those of the process know nothing of it.
    assert_ne!(used(Context::global()).source, Source::Memory);
}

#[test]
fn only_what_is_published_survives_a_restart() {
    let weights = weights(16, 1);
    let kernel = kernels(&weights)[0];
    let (_folder, file) = file();
    let choices = Choices::new(Some(file.clone()));
    choices.record(entry(key(&weights, 1), kernel), Keep::InFile);
    choices.record(entry(key(&weights, 2), kernel), Keep::InMemory);
    assert!(Choices::new(Some(file.clone())).find(&key(&weights, 1)).is_none());
    choices.publish().unwrap();
    let again = Choices::new(Some(file));
    assert_eq!(again.find(&key(&weights, 1)), Some((kernel.into(), Source::Cache)));
    assert_eq!(again.find(&key(&weights, 2)), None);
    assert_eq!(again.contents().entries, [entry(key(&weights, 1), kernel)]);
}

#[test]
fn the_file_is_read_once() {
    let weights = weights(16, 1);
    let kernel = kernels(&weights)[0];
    let (_folder, file) = file();
    let choices = Choices::new(Some(file.clone()));
    assert_eq!(choices.find(&key(&weights, 1)), None);
    file.merge(&[entry(key(&weights, 1), kernel)], Default::default()).unwrap();
    assert_eq!(choices.find(&key(&weights, 1)), None);
}

#[test]
fn batches_of_a_bucket_share_a_choice_and_nothing_else_does() {
    let weights = weights(16, 1);
    let choices = Choices::new(None);
    choices.record(entry(key(&weights, 50), kernels(&weights)[0]), Keep::InMemory);
    let known = |batch| choices.find(&key(&weights, batch)).is_some();
    assert_eq!([32, 33, 50, 64, 65].map(known), [false, true, true, true, false]);
    let same = key(&weights, 50);
    let others = [
        Key { n: same.n + 1, ..same.clone() },
        Key { k: same.k + 1, ..same.clone() },
        Key { threads: same.threads + 1, ..same.clone() },
        Key { code: Digest(same.code.0 ^ 1), ..same.clone() },
        Key { layout: Layout::Stored, ..same.clone() },
        Key { isa: "none".into(), ..same },
    ];
    assert!(others.iter().all(|key| choices.find(key).is_none()));
}

#[test]
fn entries_for_kernels_that_have_changed_are_misses() {
    let weights = weights(16, 1);
    let kernel = kernels(&weights)[0];
    let right = entry(key(&weights, 1), kernel);
    let other_format = Key { code: Digest(!right.key.code.0), ..right.key.clone() };
    let other_isa = Key { isa: "none".into(), ..right.key.clone() };
    let wrong = [
        Entry { kernel_hash: Digest(!right.kernel_hash.0), ..right.clone() },
        Entry { kernel: "gone".into(), ..right.clone() },
        Entry { key: other_format, ..right.clone() },
        Entry { key: other_isa, ..right.clone() },
    ];
    for wrong in wrong {
        let (_folder, file) = file();
        file.merge(std::slice::from_ref(&wrong), Default::default()).unwrap();
        let choices = Choices::new(Some(file));
        assert_eq!((choices.find(&wrong.key), choices.find(&key(&weights, 1))), (None, None), "{wrong:?}");
        choices.record(wrong.clone(), Keep::InMemory);
        assert_eq!(choices.find(&wrong.key), None, "{wrong:?}");
        assert_eq!(choices.contents().entries, [wrong]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_worth_one_warning() {
    let weights = weights(16, 1);
    let kernel = kernels(&weights)[0];
    let folder = tempfile::tempdir().unwrap();
    // Not even a superuser can make a folder in a file.
    let obstacle = folder.path().join("file");
    fs::write(&obstacle, "").unwrap();
    for file in [None, Some(CacheFile::new(&obstacle, ELSEWHERE))] {
        let choices = Choices::new(file);
        choices.publish().unwrap();
        choices.record(entry(key(&weights, 1), kernel), Keep::InFile);
        let warning = choices.publish().unwrap_err();
        assert!(matches!(warning, Error::Cache { .. }) && warning.to_string().contains("QUANTLOOM_CACHE"), "{warning}");
        choices.publish().unwrap();
        assert_eq!(choices.find(&key(&weights, 1)), Some((kernel.into(), Source::Memory)));
    }
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let weights = weights(16, 1);
    let kernel = kernels(&weights)[0];
    let folder = tempfile::tempdir().unwrap();
    let obstacle = folder.path().join("file");
    fs::write(&obstacle, "").unwrap();
    let choices = Choices::new(Some(CacheFile::new(&obstacle, ELSEWHERE)));
    choices.record(entry(key(&weights, 1), kernel), Keep::InFile);
    choices.publish().unwrap_err();
    fs::remove_file(&obstacle).unwrap();
    choices.publish().unwrap();
    assert_eq!(choices.contents().entries.len(), 1);
}

#[test]
fn threads_may_look_up_record_and_publish_at_once() {
    let (_folder, file) = file();
    let choices = Choices::new(Some(file.clone()));
    thread::scope(|scope| {
        for writer in 0..8 {
            let choices = &choices;
            scope.spawn(move || {
                for entry in entries(1 + 4 * writer, 4) {
                    let key = entry.key.clone();
                    choices.record(entry, Keep::InFile);
                    assert!(choices.find(&key).is_some());
                    choices.publish().unwrap();
                }
            });
        }
    });
    assert_eq!(file.read().entries, entries(1, 32));
}
