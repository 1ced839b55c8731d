//! Files as other programs write them and as they come to harm: tensors in each other's bytes, models in several files, types that no
//! card describes, texts that are no texts, counts that no file can hold, importance matrices of every shape.

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use quantloom::Error;
use quantloom::files::Output;
use quantloom::gguf::{Array, BlockShape, Gguf, GgufWriter, NewTensor, Value};
use quantloom::imatrix::Imatrix;
use quantloom::measure::synthetic;
use quantloom::model::{Kind, Model};
use quantloom::pool::Pool;
use quantloom::recipes::{Recipes, Target};
use quantloom::registry;
use quantloom::weights::Layout;
use support::{Writer, array, kind, string, value};
use tempfile::TempDir;

/// Type numbers of ggml.
const I32: u32 = 26;
const F64: u32 = 28;
const GIVEN_UP: u32 = 31;

fn open(file: Writer) -> Result<Gguf, Error> {
    Gguf::from_bytes("file.gguf", file.build())
}

/// The one-line message of what must be refused.
fn message<T>(refused: Result<T, Error>) -> String {
    let message = refused.err().expect("refused").to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn floats(file: &Gguf, name: &str) -> Vec<f32> {
    let bytes = file.bytes(file.tensor(name).unwrap(), BlockShape::F32).unwrap();
    bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()
}

/// Bytes of a 4-bit matrix of 20 rows of 64 weights.
fn blocks() -> Vec<u8> {
    synthetic(registry::format_by_gguf(kind::Q4_0).unwrap(), 20, 64).unwrap()
}

#[test]
fn a_tensor_that_reaches_into_the_next_is_refused() {
    let refused =
        message(open(Writer::default().tensor("a", &[64, 20], kind::Q4_0, &blocks()[..704]).floats("b", &[64], &[0.0; 64])));
    assert_eq!(
        refused,
        "file.gguf: tensor \"a\": its 720 bytes from byte 128 on (type number 2) reach into tensor \"b\", which starts 704 bytes on, at \
         byte 832; the file is damaged, or to the program that wrote it the type number means another format; fetch it again, or make it \
         anew from the original model"
    );
    // Whatever the order in which they are listed, and whatever the type of the one that is reached into.
    let listed = |kind: u32| Writer::default().listed("b", &[1], kind, 32).tensor("a", &[16], 0, &[0; 64]);
    assert!(
        message(open(listed(kind::NONE)))
            .contains("\"a\": its 64 bytes from byte 96 on (type number 0) reach into tensor \"b\"")
    );
    let same = Writer::default().floats("a", &[8], &[0.0; 8]).listed("b", &[8], 0, 0);
    assert!(message(open(same)).contains("tensor \"a\": it starts at byte 96, where tensor \"b\" starts too"));
}

#[test]
fn bytes_that_belong_to_no_tensor_are_refused() {
    let gap = |bytes: usize| {
        let file = Writer::default().tensor("a", &[64, 20], kind::Q4_0, &[&blocks()[..], &vec![0; bytes]].concat());
        open(file.floats("b", &[64], &[0.0; 64]))
    };
    // To the next multiple of 32, and beyond it.
    assert!(gap(16).is_ok());
    assert_eq!(
        message(gap(17)),
        "file.gguf: tensor \"a\": its 720 bytes from byte 128 on (type number 2) are followed by 48 that belong to no tensor, before \"b\" \
         starts at byte 896; the file is damaged, or to the program that wrote it the type number means another format; fetch it again, \
         or make it anew from the original model"
    );
    // What no card describes may have any length.
    let unknown = Writer::default().tensor("a", &[64, 20], kind::NONE, &[0; 1024]).floats("b", &[1], &[0.5]);
    assert_eq!(floats(&open(unknown).unwrap(), "b"), [0.5]);
}

/// Up to the next multiple of 32 a file may be padded.
#[test]
fn bytes_behind_the_last_tensor_raise_a_doubt() {
    let ends = |bytes: usize| {
        let norm = Writer::default().floats("norm", &[4], &[1.0; 4]);
        open(norm.tensor("last", &[64, 20], kind::Q4_0, &[&blocks()[..], &vec![0; bytes]].concat())).unwrap().doubt()
    };
    assert_eq!([ends(0), ends(1), ends(16)], [const { None }; 3]);
    assert_eq!(
        ends(20).unwrap(),
        "file.gguf: 4 bytes from byte 896 on, behind the last tensor, \"last\", belong to none; something was added to the file, or to the \
         program that wrote it type number 2 means another format: compare it with its source"
    );
    // What no card describes may have any length, and a file without tensors has no last one.
    let unknown = Writer::default().tensor("last", &[64, 20], kind::NONE, &[0; 1024]);
    assert_eq!([open(unknown).unwrap().doubt(), open(Writer::default()).unwrap().doubt()], [const { None }; 2]);
}

#[test]
fn a_tensor_that_reaches_past_the_end_is_refused_at_once() {
    let short = Writer::default().tensor("a", &[64, 20], kind::Q4_0, &blocks()[..719]);
    assert!(
        message(open(short)).ends_with("720 bytes from byte 96 on, but the file ends at 815; it was cut short: fetch it again")
    );
}

#[test]
fn tensors_without_bytes_lie_nowhere() {
    let file = Writer::default().listed("none", &[0, 4], 0, 0).floats("a", &[2], &[1.0, 2.0]).listed("no", &[0], 0, 0);
    assert_eq!(floats(&open(file).unwrap(), "a"), [1.0, 2.0]);
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

/// A folder with the files of a model of `count` files: each has one tensor of 16 numbers, all of them its place.
fn split(count: u16, name: impl Fn(u16) -> String) -> TempDir {
    let folder = TempDir::new().unwrap();
    for place in 0..count {
        let first = |file: Writer| if place == 0 { file.text("general.architecture", "llama") } else { file };
        let file = first(Writer::default())
            .entry("split.no", 2, &place.to_le_bytes())
            .entry("split.count", 2, &count.to_le_bytes())
            .entry("split.tensors.count", 5, &i32::from(count).to_le_bytes())
            .floats(&format!("t{place}"), &[16], &[f32::from(place); 16]);
        fs::write(folder.path().join(name(place)), file.build()).unwrap();
    }
    folder
}

fn usual(place: u16) -> String {
    format!("m-{:05}-of-00003.gguf", place + 1)
}

#[test]
fn the_files_of_a_model_are_one_model() {
    let folder = split(3, usual);
    for named in 0..3 {
        let file = Gguf::open(folder.path().join(usual(named))).unwrap();
        assert_eq!(file.tensors().iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), ["t0", "t1", "t2"]);
        for place in 0..3_u16 {
            assert_eq!(floats(&file, &format!("t{place}")), [f32::from(place); 16]);
        }
        assert_eq!(file.metadata(), [("general.architecture".to_owned(), Value::String("llama".to_owned()))]);
        assert_eq!(file.paths().collect::<Vec<_>>(), (0..3).map(|place| folder.path().join(usual(place))).collect::<Vec<_>>());
        assert!(file.path().ends_with(usual(named)));
    }
}

#[test]
fn files_that_are_not_all_of_a_model_are_refused() {
    let folder = split(3, usual);
    let path = |place| folder.path().join(usual(place));
    let refused = |place| message(Gguf::open(path(place)));
    let bytes = fs::read(path(0)).unwrap();
    assert!(message(Gguf::from_bytes("x", bytes.clone())).contains("file 1 of the 3 that the model was split into"));

    // A part under the name of another, and one of another model.
    fs::copy(path(1), path(2)).unwrap();
    let twice = refused(0);
    assert!(
        twice.contains("00003-of-00003.gguf: it is file 2 of the 3") && twice.contains("its name says file 3 of 3"),
        "{twice}"
    );
    fs::write(path(2), Writer::default().build()).unwrap();
    assert!(refused(0).contains("it is a whole model, but its name says file 3 of 3"));
    fs::remove_file(path(2)).unwrap();
    let missing = refused(1);
    assert!(missing.contains("it is file 2 of the 3"), "{missing}");
    assert!(missing.contains("\"m-00003-of-00003.gguf\" missing beside it: fetch what is missing, or merge"), "{missing}");

    let other = folder.path().join("other.gguf");
    fs::write(&other, bytes).unwrap();
    assert!(
        message(Gguf::open(other)).contains("it is not called NAME-00001-of-00003.gguf, so that the others cannot be found")
    );
}

#[test]
fn a_name_that_counts_files_is_that_of_one_of_several() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(usual(0));
    fs::write(&path, Writer::default().floats("a", &[2], &[1.0, 2.0]).build()).unwrap();
    let refused = message(Gguf::open(&path));
    assert!(
        refused.ends_with(
            "its name says file 1 of 3, but the file does not (split.count is missing), so that what is missing of the model cannot be \
             known; if it is all of it, give it another name, else fetch its files again"
        ),
        "{refused}"
    );
    for whole in ["m.gguf", "m-00001-of-00001.gguf"] {
        fs::copy(&path, folder.path().join(whole)).unwrap();
        assert_eq!(floats(&Gguf::open(folder.path().join(whole)).unwrap(), "a"), [1.0, 2.0]);
    }
    // Nor is one written that could not be read.
    let name = folder.path().join("new-00001-of-00002.gguf");
    let refused = message(GgufWriter::create(&name, &[], &[]));
    assert!(refused.ends_with("the name says file 1 of 2, and this is a whole model; give it another name"), "{refused}");
    assert!(!name.exists());
}

#[test]
fn a_tensor_is_in_one_of_the_files() {
    let folder = split(3, usual);
    let part = |tensors: i32| {
        Writer::default().entry("split.no", 2, &2_u16.to_le_bytes()).entry("split.count", 2, &3_u16.to_le_bytes()).entry(
            "split.tensors.count",
            5,
            &tensors.to_le_bytes(),
        )
    };
    let with = |last: Writer| {
        fs::write(folder.path().join(usual(2)), last.build()).unwrap();
        message(Gguf::open(folder.path().join(usual(0))))
    };
    assert!(with(part(3)).contains("2 tensors, but the model has 3 (split.tensors.count)"));
    assert!(with(part(3).floats("t1", &[1], &[0.0])).contains("tensor \"t1\" is in two of the model's files"));
    assert!(with(part(4).floats("t2", &[1], &[0.0])).contains("of the model that was opened; fetch that file again"));
}

#[test]
fn a_model_in_one_file_may_say_so() {
    let one = |tensors: i32| {
        Writer::default()
            .entry("split.count", 2, &1_u16.to_le_bytes())
            .entry("split.tensors.count", 5, &tensors.to_le_bytes())
            .floats("a", &[1], &[0.5])
    };
    assert!(open(one(1)).unwrap().metadata().is_empty());
    assert!(message(open(one(2))).contains("1 tensors, but the model has 2"));
}

/// A matrix among tensors that hold no weights.
fn mixed() -> Writer {
    Writer::default()
        .tensor("position_ids", &[16], I32, &[7; 64])
        .tensor("table.weight", &[3, 2], F64, &[9; 48])
        .tensor("one", &[64, 20], kind::Q4_0, &blocks())
        .tensor("old.weight", &[64, 1], GIVEN_UP, &[5; 36])
}

#[test]
fn tensors_without_weights_leave_the_others_usable() {
    let model = Model::new(open(mixed()).unwrap()).unwrap();
    let tensor = |name: &str| model.file().tensor(name).unwrap();
    assert!(matches!(model.kind(tensor("position_ids")).unwrap(), Kind::Items(items) if items.name == "I32"));
    assert_eq!(["position_ids", "table.weight", "one"].map(|name| model.bytes(tensor(name)).unwrap()), [64, 48, 720]);
    let matrices = model.matrices(Layout::Packed, Pool::global()).unwrap();
    assert_eq!(matrices.iter().map(|matrix| matrix.name.as_str()).collect::<Vec<_>>(), ["one"]);

    let weights = |name| message(model.weights(tensor(name), Layout::Packed, Pool::global()));
    assert!(
        weights("table.weight")
            .ends_with("tensor \"table.weight\" has items of F64, which are not weights; name a tensor of weights")
    );
    let gone = weights("old.weight");
    assert!(gone.ends_with("is Q4_0_4_4 (type number 31), which ggml gave up; fetch the Q4_0 file of the model"), "{gone}");

    let targets = Recipes::shipped().unwrap().pure("Q8_0").unwrap().assign(model.file(), false).unwrap();
    assert!(matches!(targets[..2], [Target::Keep, Target::Keep]), "{targets:?}");
}

#[test]
fn tensors_without_weights_are_in_packed_copies() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("packed");
    let packing = Model::new(open(mixed()).unwrap()).unwrap().pack(&path, Pool::global(), &mut |_| {}).unwrap();
    assert_eq!((packing.packed, packing.copied), (1, 3));
    let copy = Model::open(&path).unwrap();
    let bytes = |name: &str, count: usize| {
        let shape = BlockShape { header: 0, weights: 1, bytes: 1 };
        let tensor = copy.file().tensor(name).unwrap();
        copy.file().bytes(tensor, shape).unwrap()[..count].to_vec()
    };
    assert_eq!((bytes("position_ids", 16), bytes("old.weight", 36)), (vec![7; 16], vec![5; 36]));
    assert_eq!(copy.file().tensor("table.weight").unwrap().kind, F64);
    assert_eq!(copy.matrices(Layout::Packed, Pool::global()).unwrap().len(), 1);
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

/// An importance matrix of the older form: a name, calls and sums each; then calls and the name of a text, if there is one.
fn old(entries: &[(&str, i32, &[f32])], text: Option<&str>) -> Vec<u8> {
    let number = |number: usize| (number as i32).to_le_bytes().to_vec();
    let mut bytes = number(entries.len());
    for (name, calls, sums) in entries {
        bytes.extend([number(name.len()), name.as_bytes().to_vec(), calls.to_le_bytes().to_vec(), number(sums.len())].concat());
        bytes.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
    }
    if let Some(text) = text {
        bytes.extend([number(7), number(text.len()), text.as_bytes().to_vec()].concat());
    }
    bytes
}

#[test]
fn the_older_form_of_importance_matrices_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("any.gguf");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Imatrix::open(&path)
    };
    let entries: [(&str, i32, &[f32]); 2] = [("w", 4, &[2.0, 4.0, 6.0, 8.0, 10.0, 12.0]), ("v", 0, &[3.0, 5.0])];
    for text in [None, Some(""), Some("wiki.txt")] {
        let imatrix = open(&old(&entries, text)).unwrap();
        assert!(imatrix.names().eq(["w", "v"]) && imatrix.has("w") && !imatrix.has("u"));
        assert_eq!(imatrix.importance("w", 3, 2).unwrap().unwrap(), [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(imatrix.importance("v", 2, 1).unwrap().unwrap(), [3.0, 5.0]);
        assert_eq!(imatrix.importance("u", 2, 1).unwrap(), None);
        let other = message(imatrix.importance("w", 4, 2));
        assert!(other.ends_with("6 sums for \"w\", which has 2 matrices of 4 columns; it is of another model"), "{other}");
    }
    let negative = message(open(&old(&[("w", 1, &[1.0, -1.0])], None)).unwrap().importance("w", 2, 1));
    assert!(negative.contains("column 1 of \"w\" is not a mean of squares"), "{negative}");
}

#[test]
fn damaged_importance_matrices_of_the_older_form_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("imatrix.dat");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        message(Imatrix::open(&path))
    };
    let whole = old(&[("w", 4, &[2.0, 4.0])], Some("x.txt"));
    let without_text = old(&[("w", 4, &[2.0, 4.0])], None).len();
    for length in (0..whole.len()).filter(|length| *length != without_text) {
        let refused = refused(&whole[..length]);
        assert!(refused.ends_with("it is no importance matrix, or damaged: make it anew, or name another file"), "{refused}");
    }
    let changed = |at: usize, number: i32| {
        let mut bytes = whole.clone();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        refused(&bytes)
    };
    for count in [0, -1, 1000, i32::MAX] {
        assert!(changed(0, count).contains(&format!("at byte 4: a count of {count} matrices before it")));
    }
    assert!(changed(4, i32::MAX).contains("at byte 8: a count of 2147483647 bytes of a name before it"));
    assert!(changed(13, 0).contains("a count of 0 sums before it, where 1 to 5 can be"), "{}", changed(13, 0));
    assert!(changed(13, i32::MAX).contains("sums before it"));
    assert!(refused(&[&whole[..], b"x"].concat()).contains("1 bytes are left"));
    let twice = old(&[("w", 4, &[2.0]), ("w", 4, &[2.0])], None);
    assert!(refused(&twice).contains("matrix \"w\" is there twice"));
}

#[test]
fn a_packed_copy_names_each_format_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("packed");
    Model::new(open(Writer::default().tensor("one", &[64, 20], kind::Q4_0, &blocks())).unwrap())
        .and_then(|model| model.pack(&path, Pool::global(), &mut |_| {}))
        .unwrap();
    let mut metadata = Gguf::open(&path).unwrap().metadata().to_vec();
    for (_, value) in &mut metadata {
        match value {
            Value::Array(Array::String(names)) => names.push(names[0].to_lowercase()),
            Value::Array(Array::U64(layouts)) => layouts.push(layouts[0]),
            _ => {}
        }
    }
    let none: [NewTensor; 0] = [];
    let output = Output::create(&path, [] as [&Path; 0]).unwrap();
    GgufWriter::with_checksums(output, &metadata, &none).unwrap().finish().unwrap();
    let refused = message(Model::open(&path));
    assert!(refused.contains("quantloom.packed.formats lists \"q4_0\" twice"), "{refused}");
}
