//! Parts of a text.

use quantloom_codegen::emit::device::Entry;

/// A text without the kernels that are not wanted.
pub fn only(text: &str, entries: &[Entry], wanted: impl Fn(&str) -> bool) -> String {
    let mut text = text.to_owned();
    for entry in entries.iter().filter(|entry| !wanted(&entry.name)) {
        let begin = text.find(&format!("KERNEL({}, ", entry.name)).unwrap_or_else(|| panic!("no kernel {}", entry.name));
        let end = begin + text[begin..].find("\n}\n").expect("kernels end") + 3;
        text.replace_range(begin..end, "");
    }
    text
}
