//! The README shows what the records that it names say.

use std::fs;
use std::path::Path;

use quantloom_bench::readme;
use quantloom_bench::record::Record;

#[test]
fn the_tables_of_the_readme_are_made_from_their_records() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    for (path, between) in readme::shown(&text).unwrap() {
        let made = readme::results(&Record::load(&root.join(path)).unwrap()).unwrap();
        assert_eq!(between, made, "`readme-table {path} README.md` writes what the record says");
    }
}
