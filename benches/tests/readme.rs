//! The README shows what the records that it names say.

use std::fs;
use std::path::Path;

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
