//! The files of a cache: entries, what is known of kernels, and the journal. A digest keeps out what is damaged, and anybody can make
//! one: what is read from the input is signed, and read again.
#![no_main]

use std::fs;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use quantloom::registry;
use quantloom::tune::{CacheFile, Choices, Entry, Key, Record, RecordFile, Tuner, Variant, merge};
use quantloom_fuzz::{Folder, POOL, right};

const ENVIRONMENT: &str = "SomeMaker-6-207-2;48K-2048K-266240K;scalar";

/// The records of a text, whatever their digests are.
fn records<R: Record>(text: &str) -> Vec<R> {
    text.split(R::MARK).filter_map(|record| toml::from_str(record).ok()).collect()
}

/// As if it had been measured of this build, if the build has the format.
fn of_this_build(entry: Entry) -> Entry {
    let Some(format) = registry::formats().find(|format| format.name == entry.key.format) else { return entry };
    let kernel = registry::kernels(format).iter().find(|kernel| kernel.name == entry.name());
    let kernel_hash = kernel.map_or(entry.kernel_hash, |kernel| quantloom::tune::Digest(kernel.hash));
    Entry { key: Key { code: Key::code_of(format), ..entry.key }, kernel_hash, ..entry }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let folder = Folder::new();
    // As it is.
    if let Some(file) = right(CacheFile::open(&folder.file("cache.toml", bytes))) {
        let _ = file.read();
    }
    let journal = folder.path().join("probe");
    fs::create_dir(&journal).expect("a folder");
    fs::write(journal.join("0123456789abcdef"), bytes).expect("room for a file");

    // Signed.
    let entries: Vec<Entry> = records(&text).into_iter().map(of_this_build).collect();
    let file = CacheFile::new(folder.path(), ENVIRONMENT);
    let variants: RecordFile<Variant> = file.beside();
    let is_written = right(file.write("", &[], &entries)).is_some();
    right(variants.write("", &[], &records::<Variant>(&text)));
    let read = file.read();
    assert!(!is_written || read.entries.len() + read.unreadable <= entries.len());
    for entry in &read.entries {
        let _ = (entry.time(), entry.time_of_kernel(entry.name()), entry.launch().map(|launch| launch.to_string()));
    }
    let imported = merge::imported(read.entries.clone());
    let both = merge::merged(imported.iter().chain(&read.entries).cloned());
    assert_eq!(both, merge::merged(read.entries.iter().chain(&imported).cloned()));

    // Followed.
    let choices = Choices::new(Some(file));
    for entry in &read.entries {
        let _ = choices.find(&entry.key);
    }
    let _ = choices.variants().quarantined();
    drop(Tuner::new(&choices).tune_model(&[], &POOL, Duration::ZERO, &mut |_| {}));
    right(choices.publish());
});
