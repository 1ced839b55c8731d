//! The README shows what the record that it names says.

use std::fs;
use std::path::Path;

use quantloom_bench::readme;
use quantloom_bench::record::Record;

#[test]
fn the_table_of_the_readme_is_made_from_its_record() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    let (path, between) = readme::shown(&text).unwrap();
    if path.is_empty() {
        assert!(between.contains("| batch 1 |"), "there is no record, and no table either");
        return;
    }
    let made = readme::results(&Record::load(&root.join(path)).unwrap()).unwrap();
    assert_eq!(between, made, "`readme-table {path} README.md` writes what the record says");
}
