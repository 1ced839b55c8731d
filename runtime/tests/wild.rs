//! Files as other programs write them and as they come to harm: texts that are no texts, counts that no file can hold, importance
//! matrices of every shape.

mod support;

use std::fs::{self, File};
use std::path::PathBuf;

use quantloom::Error;
use quantloom::gguf::{Array, Gguf, GgufWriter, Value};
use quantloom::imatrix::Imatrix;
use support::{Writer, array, string, value};
use tempfile::TempDir;

fn open(file: Writer) -> Result<Gguf, Error> {
    Gguf::from_bytes("file.gguf", file.build())
}

/// The one-line message of what must be refused.
fn message<T>(refused: Result<T, Error>) -> String {
    let message = refused.err().expect("refused").to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn an_alignment_that_no_machine_has_is_neither_read_nor_written() {
    for (alignment, fits) in [(8_u32, true), (1 << 21, true), (1 << 22, false), (1 << 31, false)] {
        let entry = Writer::default().entry("general.alignment", value::U32, &alignment.to_le_bytes());
        assert_eq!(open(entry).is_ok(), fits, "{alignment}");
        let folder = TempDir::new().unwrap();
        let metadata = [("general.alignment".to_owned(), Value::U32(alignment))];
        assert_eq!(GgufWriter::create(folder.path().join("new"), &metadata, &[]).is_ok(), fits, "{alignment}");
    }
}

#[test]
fn texts_that_are_not_utf8_are_kept() {
    let tokens = [string("<s>"), vec![4, 0, 0, 0, 0, 0, 0, 0, b'c', b'a', b'f', 0xe9], string("ok")].concat();
    let bytes = Writer::default()
        .entry("name", value::STRING, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff])
        .entry("tokens", value::ARRAY, &array(value::STRING, 3, &tokens))
        .build();
    let file = Gguf::from_bytes("file.gguf", bytes.clone()).unwrap();
    assert_eq!(file.value("name"), Some(&Value::Bytes(vec![0xff])));
    let wanted = [&b"<s>"[..], b"caf\xe9", b"ok"].map(<[u8]>::to_vec).to_vec();
    assert_eq!(file.value("tokens"), Some(&Value::Array(Array::Bytes(wanted))));
    let folder = TempDir::new().unwrap();
    GgufWriter::create(folder.path().join("copy"), file.metadata(), &[]).unwrap().finish().unwrap();
    assert_eq!(fs::read(folder.path().join("copy")).unwrap(), bytes);
}

/// A file of a gigabyte that is nothing but zeros behind its head, and takes no place.
fn hollow(folder: &TempDir, head: &[&[u8]]) -> PathBuf {
    let path = folder.path().join("hollow.gguf");
    fs::write(&path, [&[b"GGUF", &3_u32.to_le_bytes()[..]], head].concat().concat()).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    path
}

/// What a gigabyte could hold takes several in memory.
#[test]
fn counts_are_bounded_whatever_the_size_of_the_file() {
    let folder = TempDir::new().unwrap();
    let number = |number: u64| number.to_le_bytes();
    let refused = |head: &[&[u8]]| message(Gguf::open(hollow(&folder, head)));
    let keys = refused(&[&number(0), &number(70_000_000)]);
    assert!(keys.contains("at byte 16: a count of 70000000 keys, but the 268435456 bytes that lists may take"), "{keys}");
    assert!(refused(&[&number(40_000_000), &number(0)]).contains("at byte 8: a count of 40000000 tensors"));
    for (kind, what) in [(value::STRING, "texts"), (value::ARRAY, "elements"), (value::U8, "numbers")] {
        let count = number(1 << 29 >> if kind == value::U8 { 0 } else { 3 });
        let value = [&value::ARRAY.to_le_bytes()[..], &kind.to_le_bytes(), &count].concat();
        let refused = refused(&[&number(0), &number(1), &string("a"), &value]);
        assert!(refused.contains("key \"a\": a count of ") && refused.contains(what), "{refused}");
    }
    let long = string(&"k".repeat(65_536));
    let refused = message(open(Writer::default().entry(std::str::from_utf8(&long[8..]).unwrap(), value::U8, &[0])));
    assert!(refused.contains("a name of 65536 bytes, more than 65535"), "{refused}");
}

/// An importance matrix of 2 stacked matrices of 3 columns.
fn importance(tensors: &[(&str, &[u64], &[f32])]) -> Result<Vec<f32>, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("imatrix.gguf");
    let add = |file: Writer, (name, dims, data): &(&str, &[u64], &[f32])| file.floats(name, dims, data);
    fs::write(&path, tensors.iter().fold(Writer::default(), add).build()).unwrap();
    let imatrix = Imatrix::open(&path)?;
    assert!(imatrix.has("w") && !imatrix.has("v") && imatrix.names().eq(["w"]));
    imatrix.importance("w", 3, 2).map(Option::unwrap)
}

#[test]
fn stacked_matrices_may_share_a_count() {
    let sums = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0];
    let shared = importance(&[("w.in_sum2", &[6, 1], &sums), ("w.counts", &[1, 1], &[2.0])]).unwrap();
    assert_eq!(shared, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let own = importance(&[("w.in_sum2", &[3, 2], &sums), ("w.counts", &[1, 2], &[2.0, 4.0])]).unwrap();
    assert_eq!(own, [1.0, 2.0, 3.0, 2.0, 2.5, 3.0]);
    let three = importance(&[("w.in_sum2", &[3, 2], &sums), ("w.counts", &[1, 3], &[2.0; 3])]);
    assert!(message(three).contains("6 sums and 3 counts for \"w\", which has 2 matrices of 3 columns"));
}

#[test]
fn sums_and_counts_go_together() {
    let sums: (&str, &[u64], &[f32]) = ("w.in_sum2", &[6, 1], &[1.0; 6]);
    assert!(message(importance(&[sums])).contains("\"w.in_sum2\" is there and \"w.counts\" is not; make the file anew"));
    assert!(
        message(importance(&[sums, ("w.counts", &[1], &[1.0]), ("v.counts", &[1], &[1.0])])).contains("\"v.in_sum2\" is not")
    );
    for count in [f32::NAN, f32::INFINITY, -1.0] {
        let wrong = message(importance(&[sums, ("w.counts", &[1], &[count])]));
        assert!(wrong.contains(&format!("\"w\" has a count of {count}; make the file anew")), "{wrong}");
    }
}
