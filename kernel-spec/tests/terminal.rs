//! What a card says never reaches a terminal as more than text.

mod common;

use std::fs;
use std::path::Path;

use quantloom_spec::text::{self, is_unseen};
use quantloom_spec::{Diagnostics, read_folder, read_format};

/// What a terminal obeys, of every kind.
const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\r";

/// Renders what is wrong, for a terminal and for a file, and holds that nothing in it is obeyed but colours.
fn is_tame(wrong: &Diagnostics) {
    let plain = wrong.render(false);
    assert!(plain.chars().all(|c| c == '\n' || !is_unseen(c)), "{plain:?}");
    let styled = wrong.render(true);
    let mut parts = styled.split('\u{1b}');
    let seen = |part: &str| part.chars().all(|c| c == '\n' || !is_unseen(c));
    assert!(parts.next().is_some_and(seen), "{styled:?}");
    for part in parts {
        let codes = part.strip_prefix('[').and_then(|part| part.split_once('m')).map(|(codes, _)| codes);
        assert!(codes.is_some_and(|codes| codes.chars().all(|c| c.is_ascii_digit() || c == ';')), "{styled:?}");
        assert!(seen(part), "{styled:?}");
    }
}

#[test]
fn names_values_and_paths_are_shown_and_not_obeyed() {
    let quoted =
        HOSTILE.replace('\u{1b}', "\\u001b").replace('\u{7}', "\\u0007").replace('\r', "\\r").replace('\u{9b}', "\\u009b");
    let card = fs::read_to_string(common::root().join("formats/q4_0.toml")).unwrap();
    for text in [
        format!("{card}\n\"{quoted}\" = 1\n"),
        card.replace("name ", &format!("# {HOSTILE}\nnaem ")),
        card.replace("[fields]", &format!("[fields]\n\"{quoted}\" = {{ at = 0, type = \"{quoted}\" }}")),
        format!("{HOSTILE} = "),
    ] {
        let wrong = read_format(&format!("folder{HOSTILE}/card.toml"), &text, &common::tables()).unwrap_err();
        is_tame(&wrong);
    }
    is_tame(&read_folder(Path::new(HOSTILE), &common::tables()).unwrap_err());
}

#[test]
fn only_regular_files_are_read() {
    assert!(text::read(Path::new(".")).is_err_and(|cause| cause.to_string() == "not a regular file"));
    assert!(text::read(&common::root().join("formats/q4_0.toml")).is_ok_and(|text| text.contains("name")));
}
