//! Lists of kernels: the only ones that a slim build has.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostics, Source};
use crate::walk::read_document;

/// Reads a list of kernels: the key `kernels` with names, each one of `known`. `path` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with the list.
pub fn read_list(path: &str, text: &str, known: &BTreeSet<String>) -> Result<BTreeSet<String>, Diagnostics> {
    read_document(Source::shared(path, text), "the list", |mut list, sink| {
        let names = list.need("kernels").and_then(|node| node.list(sink)).unwrap_or_default();
        list.finish(sink);
        let mut found = BTreeSet::new();
        for name in &names {
            let Some(name) = name.text(sink) else { continue };
            if known.contains(name.value) {
                found.insert(name.value.to_owned());
            } else {
                let error = sink.error(name.span, format!("no kernel is called `{}`", name.value));
                error.label("the cards have no such format, instruction set or tile");
                let of_format = |known: &&String| known.split('.').next() == name.value.split('.').next();
                match crate::nearest::nearest(name.value, known.iter().filter(of_format).map(String::as_str)) {
                    Some(meant) => error.help(format!("did you mean `{meant}`? Else take the line out")),
                    None => error.help("take the line out; `quantloom explain FORMAT` lists the kernels of a format"),
                };
            }
        }
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeSet<String>, String> {
        let known = ["F.gemv.int8.scalar.r16c1", "F.gemm.int8.scalar.r16c4", "G.gemv.int8.scalar.r16c1"].map(str::to_owned);
        read_list("slim.toml", text, &known.into()).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn names_are_read() {
        let text = "# Anything.\nkernels = [\n    'G.gemv.int8.scalar.r16c1',\n    'F.gemm.int8.scalar.r16c4',\n]\n";
        let names = read(text).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["F.gemm.int8.scalar.r16c4", "G.gemv.int8.scalar.r16c1"]);
        assert!(read("kernels = []").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_shown_with_a_remedy() {
        for (text, place, part) in [
            ("kernels = [\n'F.gemv.int8.scalar.r16c2']", "slim.toml:2:1", "did you mean `F.gemv.int8.scalar.r16c1`?"),
            ("kernels = ['H.gemv']", "slim.toml:1:12", "take the line out"),
            ("kernels = [3]", "slim.toml:1:12", "must be a text"),
            ("kernel = []", "slim.toml:1:1", "did you mean `kernels`?"),
            ("", "slim.toml", "needs the key `kernels`"),
            ("kernels = [", "slim.toml:1", "error: "),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.contains(place) && wrong.contains(part), "{text}: {wrong}");
        }
    }
}
