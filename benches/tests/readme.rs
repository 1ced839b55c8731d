//! The README shows what the records that it names say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quantloom::kernels::PROCESSORS;
use quantloom_bench::readme;
use quantloom_bench::record::Record;

#[test]
fn the_example_of_the_readme_is_that_of_the_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let source = fs::read_to_string(root.join("runtime/src/lib.rs")).unwrap();
    let (_, example) = readme.split_once("```rust\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    // The crate's has what surrounds these lines, and is tested.
    let mut tested = source.lines().filter_map(|line| line.strip_prefix("//! "));
    for line in example.lines().filter(|line| !line.is_empty()) {
        assert!(tested.any(|other| other == line), "{line}");
    }
}

#[test]
fn the_tables_of_the_readme_are_made_from_their_records() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    for (path, between) in readme::shown(&text).unwrap() {
        let made = readme::results(&Record::load(&root.join(path)).unwrap()).unwrap();
        assert_eq!(between, made, "`readme-table {path} README.md` writes what the record says");
    }
}

#[test]
fn what_processor_cards_say_of_other_programs_is_what_their_records_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let peers = PROCESSORS.iter().flat_map(|processor| processor.peers).collect::<Vec<_>>();
    assert!(!peers.is_empty());
    for peer in peers {
        let record = Record::load(&root.join(peer.record)).unwrap();
        let run = record.runs.iter().find(|run| run.threads == 1).unwrap();
        let cases = run.cases.iter().filter(|case| case.batch == peer.batch && case.numerics == "int8");
        let right = cases.filter_map(|case| {
            let theirs = case.times.iter().filter(|times| times.name.starts_with(peer.name)).map(|times| times.median_us);
            let ratio = theirs.min_by(f64::total_cmp)? / case.ours()?.median_us;
            Some((case.format.clone(), format!("{ratio:.2}")))
        });
        let said = peer.times.iter().map(|(format, times)| ((*format).to_owned(), format!("{times:.2}")));
        assert_eq!(
            said.collect::<BTreeMap<_, _>>(),
            right.collect::<BTreeMap<_, _>>(),
            "{}, batch {}",
            peer.record,
            peer.batch
        );
    }
}
