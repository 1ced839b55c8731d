//! Models in several safetensors files: by the index, by any of the files, by the folder; and what is wrong with them.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use quantloom::Error;
use quantloom::registry;
use quantloom::safetensors::SafeTensors;
use serde_json::Value as Json;
use support::tensors::{INDEX, PREFIX as MATRIX, file, in_two, write_index};
use support::testdata;
use tempfile::TempDir;

/// A file in `testdata/tensors`.
const WHOLE: &str = "gptq_4bit_g128.safetensors";

/// Tensors of it that go to the second of two files; all else goes to the first.
const SECOND: [&str; 2] = ["qzeros", "scales"];

fn whole() -> PathBuf {
    testdata("tensors").join(WHOLE)
}

fn part(number: usize) -> String {
    format!("model-{number:05}-of-00002.safetensors")
}

/// A folder with the file in two and an index, and its weight map.
fn split() -> (TempDir, Json) {
    let folder = TempDir::new().unwrap();
    let map = in_two(&whole(), folder.path(), &SECOND.map(|name| format!("{MATRIX}.{name}")));
    (folder, map)
}

fn index(folder: &TempDir, map: &Json) {
    write_index(folder.path(), map);
}

fn decoded(file: &SafeTensors) -> Vec<f32> {
    let stored = file.matrix(registry::format_by_name("GPTQ-4bit-g128").unwrap(), MATRIX, None).unwrap();
    let mut values = vec![0.0; stored.n() * stored.k()];
    stored.decode(0..stored.n(), &mut values).unwrap();
    values
}

/// The one-line message of what must be refused.
fn refused(path: &Path) -> String {
    let message = SafeTensors::open(path).expect_err("refused").to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn the_files_of_a_model_are_one_model() {
    let (folder, _) = split();
    let (wanted, files) =
        (decoded(&SafeTensors::open(whole()).unwrap()), [1, 2].map(|number| folder.path().join(part(number))));
    let agrees = |named: &Path, index: Option<&Path>| {
        let open = SafeTensors::open(named).unwrap();
        assert!(decoded(&open) == wanted, "{}", named.display());
        assert_eq!(open.paths().collect::<Vec<_>>(), files);
        assert_eq!((open.path(), open.index()), (named, index));
        assert_eq!(open.names().len(), SafeTensors::open(whole()).unwrap().names().len());
    };
    let index = folder.path().join(INDEX);
    for named in [&index, folder.path(), &files[0], &files[1]] {
        agrees(named, Some(&index));
    }
    // Without an index, by their names.
    fs::remove_file(&index).unwrap();
    for named in [folder.path(), &files[0], &files[1]] {
        agrees(named, None);
    }
    fs::remove_file(&files[1]).unwrap();
    let missing = refused(&files[0]);
    assert!(
        missing.contains("it is file 1 of the 2") && missing.contains(&format!("{:?} missing beside it", part(2))),
        "{missing}"
    );
}

#[test]
fn names_need_not_count_where_an_index_lists_them() {
    let (folder, map) = split();
    for (number, name) in [(1, "a.safetensors"), (2, "b.safetensors")] {
        fs::rename(folder.path().join(part(number)), folder.path().join(name)).unwrap();
    }
    let text = map.to_string().replace(&part(1), "a.safetensors").replace(&part(2), "b.safetensors");
    index(&folder, &serde_json::from_str(&text).unwrap());
    assert_eq!(SafeTensors::open(folder.path().join("b.safetensors")).unwrap().paths().len(), 2);
    // A file that no index lists is whole, whatever else is in the folder.
    fs::copy(whole(), folder.path().join("other.safetensors")).unwrap();
    assert_eq!(SafeTensors::open(folder.path().join("other.safetensors")).unwrap().paths().len(), 1);
}

#[test]
fn an_index_says_what_is_in_the_files() {
    let (folder, map) = split();
    let [path, scales] = [folder.path().join(INDEX).display().to_string(), format!("{MATRIX}.scales")];
    let again = "fetch the index and the files of the model again";
    let with = |edit: &dyn Fn(&mut serde_json::Map<String, Json>)| {
        let mut map = map.clone();
        edit(map.as_object_mut().unwrap());
        index(&folder, &map);
        refused(&folder.path().join(part(1)))
    };
    let elsewhere = with(&|map| drop(map.insert(scales.clone(), part(1).into())));
    assert_eq!(elsewhere, format!("{path}: tensor {scales:?} is in {:?}, not in {:?}; {again}", part(2), part(1)));
    let unlisted = with(&|map| drop(map.remove(&scales)));
    assert_eq!(unlisted, format!("{path}: tensor {scales:?} of {:?} is not listed; {again}", part(2)));
    let missing = with(&|map| drop(map.insert("more".to_owned(), part(2).into())));
    assert_eq!(missing, format!("{path}: tensor \"more\" is not in {:?}; {again}", part(2)));
    let absent = with(&|map| drop(map.insert("more".to_owned(), "x.safetensors".into())));
    assert_eq!(absent, format!("{path}: the index lists 3 files; \"x.safetensors\" missing beside it: fetch what is missing"));
    let outside = with(&|map| drop(map.insert("more".to_owned(), "../x.safetensors".into())));
    assert!(outside.contains("\"../x.safetensors\" is not the name of a file beside it"), "{outside}");

    // In two files.
    let from = SafeTensors::open(whole()).unwrap();
    fs::write(folder.path().join(part(1)), file(&from, &from.names())).unwrap();
    index(&folder, &map);
    assert!(
        refused(&folder.path().join(INDEX)).contains(&format!("is also in {:?}; fetch the files of the model again", part(1)))
    );
}

#[test]
fn what_is_no_index_or_no_model_is_said() {
    let (folder, _) = split();
    let path = folder.path().join(INDEX);
    for text in ["{", "[]", r#"{"weight_map": [1]}"#, r#"{"metadata": {}}"#] {
        fs::write(&path, text).unwrap();
        for named in [&path, &folder.path().join(part(1))] {
            let message = refused(named);
            assert!(message.contains("it is not an index of safetensors files ("), "{message}");
            assert!(message.ends_with("; fetch it again, or name a model file"), "{message}");
        }
    }
    fs::write(&path, r#"{"weight_map": {}}"#).unwrap();
    assert!(refused(&path).ends_with("it lists no tensors; fetch it again"));
    fs::remove_file(&path).unwrap();
    fs::copy(whole(), folder.path().join("other.safetensors")).unwrap();
    assert!(refused(folder.path()).ends_with("several models are in this folder; name the index or a file of one"));
    let empty = TempDir::new().unwrap();
    assert!(refused(empty.path()).ends_with("no safetensors file is in this folder; name a model file"));
    assert!(matches!(SafeTensors::open(empty.path().join("none.safetensors")), Err(Error::Io { .. })));
}
