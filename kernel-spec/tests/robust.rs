//! No text makes the reader panic, and whatever it accepts can be evaluated and drawn.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use quantloom_spec::eval::{Items, decode_rows, decode_tensors};
use quantloom_spec::gpu::read_dialect;
use quantloom_spec::isa::{Isa, read_isa};
use quantloom_spec::kernels::{Kernels, read_kernels};
use quantloom_spec::model::Storage;
use quantloom_spec::operation::read_operation;
use quantloom_spec::processor::read_processor;
use quantloom_spec::{Diagnostics, Tables, draw, read_format};

/// The text of every card of this crate.
static CARDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folders = ["formats", "formats/tensors", "isa", "kernels", "operations", "processors", "gpu"]
        .map(|folder| common::root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut cards: Vec<PathBuf> = files.filter(|path| path.extension().is_some()).collect();
    cards.sort();
    cards.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
});

static ISAS: LazyLock<Vec<Isa>> = LazyLock::new(|| common::spec().isas.into_iter().map(|(_, isa)| isa).collect());

static KERNELS: LazyLock<Vec<Kernels>> =
    LazyLock::new(|| common::spec().kernels.into_iter().map(|(_, kernels)| kernels).collect());

/// Reads a text as a card of every kind; what is wrong is said in words, and what is right is used.
fn try_all(text: &str) {
    let tables = common::tables();
    match read_format("card.toml", text, &tables) {
        Err(wrong) => check_wrong(&wrong),
        Ok(format) => {
            assert!(!draw(&format).is_empty());
            assert!(!format.summary().to_string().is_empty());
            match &format.storage {
                Storage::Blocks(blocks) => {
                    let row = vec![0xA5; blocks.row_bytes(blocks.weights)];
                    assert_eq!(decode_rows(&format, &row, blocks.weights).len(), blocks.weights);
                }
                Storage::Tensors(tensors) => {
                    let shapes = common::shapes(&format, tensors, 1);
                    let bytes = vec![0xA5; 8 * shapes.iter().map(|shape| shape.iter().product::<usize>()).max().unwrap_or(0)];
                    let items: Vec<Items<'_>> = shapes.iter().map(|shape| Items { shape, bytes: &bytes }).collect();
                    assert_eq!(decode_tensors(&format, &items, 1, 1).len(), 1);
                }
            }
        }
    }
    let others = [read_isa("card.toml", text).err(), read_dialect("card.toml", text).err()];
    let beside = [
        read_kernels("card.toml", text, &ISAS).err(),
        read_operation("card.toml", text, &KERNELS).err(),
        read_processor("card.toml", text, &ISAS, &KERNELS).err(),
    ];
    others.into_iter().chain(beside).flatten().for_each(|wrong| check_wrong(&wrong));
}

fn check_wrong(wrong: &Diagnostics) {
    assert!(!wrong.is_empty());
    assert!(wrong.render(true).len() >= wrong.render(false).len());
}

/// Words that cards are made of, and some that they are not.
fn soup() -> impl Strategy<Value = String> {
    let words = select(vec![
        "name",
        "doc",
        "gguf",
        "weights",
        "bytes",
        "index",
        "rows",
        "row",
        "stream",
        "fields",
        "tensors",
        "code",
        "zero",
        "sign",
        "scale",
        "min",
        "from",
        "item",
        "planes",
        "bit",
        "bits",
        "trit",
        "as",
        "levels",
        "step",
        "offset",
        "super",
        "at",
        "type",
        "sums",
        "axes",
        "lane",
        "half",
        "\"qs\"",
        "\"d\"",
        "\"u8[4]\"",
        "\"f16\"",
        "\"code\"",
        "\"signs7\"",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ",",
        ".",
        "=",
        "=",
        "=",
        "\n",
        "\n",
        "\n",
        "0",
        "1",
        "4",
        "32",
        "-1",
        "0x7fffffffffffffff",
        "0.5",
        "1e300",
        "inf",
        "nan",
        "true",
        "\"\"\"",
        "'",
        "#",
        "\u{e9}",
        "\t",
    ]);
    vec(words, 0..60).prop_map(|words| words.join(" "))
}

/// A card with some of its bytes replaced, doubled or left out.
fn mangled() -> impl Strategy<Value = String> {
    let change = (any::<Index>(), 0..12usize, select(vec!["", "0", "1", "9", "-", "\"", "=", "{", "]", "\n", "lane", "at"]));
    (any::<Index>(), vec(change, 1..4)).prop_map(|(card, changes)| {
        let mut text: Vec<char> = card.get(&CARDS).chars().collect();
        for (place, length, new) in changes {
            let start = place.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, new.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        try_all(&text);
    }

    #[test]
    fn any_words(text in soup()) {
        try_all(&text);
    }

    #[test]
    fn any_change_of_a_card(text in mangled()) {
        try_all(&text);
    }
}

/// Names of tables come from cards: they must not lead out of the folder.
#[test]
fn tables_stay_in_their_folder() {
    let tables = common::tables();
    assert!(!tables.names().is_empty());
    for name in ["../formats/q4_0", "/etc/passwd", "signs7.toml", ""] {
        let card = fs::read_to_string(common::root().join("formats/q4_0.toml")).unwrap();
        let card = card.replace("offset = -8", &format!("levels = {name:?}"));
        let wrong = read_format("card.toml", &card, &tables).unwrap_err();
        assert_eq!(wrong.iter().next().unwrap().message(), format!("no table `{name}`"));
    }
}

/// Deep nesting must not exhaust the stack.
#[test]
fn nesting_has_a_limit() {
    for deep in
        ["[".to_owned() + &"a.".repeat(20_000) + "a]", "a.".repeat(20_000) + "a = 1", "a = ".to_owned() + &"[".repeat(20_000)]
    {
        try_all(&deep);
    }
}
