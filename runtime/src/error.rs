//! What can go wrong in the library: one enum, whose messages are one line each and end with a remedy.

use std::io;
use std::path::PathBuf;

use quantloom_spec::text::{escaped, shown};

/// A result of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that the library reports. Its `Display` is one line: where, what is wrong, what to do. What the operating system said is
/// part of that line, and what [`std::error::Error::source`] gives as well, for programs that tell one cause from another. What it repeats
/// of files and names is escaped, so that a terminal obeys none of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file.
    #[error("{}: {}", shown(path), escaped(&cause.to_string()))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },

    /// An output cannot be written. A file that was there is as it was.
    #[error("{}: cannot be written ({}); {remedy}", shown(path), escaped(&cause.to_string()))]
    Output {
        /// The output.
        path: PathBuf,
        /// What stands in the way.
        #[source]
        cause: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },

    /// An output is one of the files that it is made from, perhaps under another name.
    #[error("{}: the output would overwrite the input {}; name another file", shown(output), shown(input))]
    SameFile {
        /// The output.
        output: PathBuf,
        /// The input.
        input: PathBuf,
    },

    /// A file is not a GGUF file that this reader takes, or a damaged one.
    #[error("{}: {}", shown(path), escaped(detail))]
    Gguf {
        /// The file.
        path: PathBuf,
        /// Byte, key or tensor, what is wrong there, and the remedy.
        detail: String,
    },

    /// A file is not a safetensors file, a damaged one, or its tensors are not what a format needs.
    #[error("{}: {}", shown(path), escaped(detail))]
    SafeTensors {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },

    /// A file is not an importance matrix, a damaged one, or one of another model.
    #[error("{}: {detail}", path.display())]
    Imatrix {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },

    /// A file has no tensor of that name.
    #[error("{}: no tensor {}; {hint}", shown(path), quoted(name))]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
        /// The nearest names that exist, or where to find them.
        hint: String,
    },

    /// A tensor is stored in a format without a card, or does not hold weights.
    #[error("{}: tensor {} {}", shown(path), quoted(tensor), escaped(why))]
    UnknownTensorType {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its type number in the file.
        kind: u32,
        /// What is known of that type, and the remedy.
        why: String,
    },

    /// A buffer does not have the size that the shapes of the call ask for.
    #[error("{what}: {found} {unit} given, {wanted} needed; check the shape that goes with it")]
    Shape {
        /// Which buffer.
        what: &'static str,
        /// What is counted, in the plural.
        unit: &'static str,
        /// How many were given.
        found: usize,
        /// How many the shapes ask for.
        wanted: usize,
    },

    /// An input is not `batch` rows of K values.
    #[error(
        "the input has {found} values, but a batch of {batch} rows of K = {k} needs {}; {}",
        batch.saturating_mul(*k),
        batch_remedy(*found, *k)
    )]
    Batch {
        /// Values in the input.
        found: usize,
        /// Rows that were announced.
        batch: usize,
        /// Values of a row.
        k: usize,
    },

    /// K is not a whole number of a format's blocks.
    #[error(
        "{format} needs K to be a multiple of {multiple}, and {k} is not; pad the rows with zeros to {}",
        k.div_ceil((*multiple).max(1)).saturating_mul(*multiple)
    )]
    BadK {
        /// Name of the format.
        format: String,
        /// The K that was given.
        k: usize,
        /// Weights of a block.
        multiple: usize,
    },

    /// N is not a whole number of the rows that a format stores together.
    #[error(
        "{format} needs N to be a multiple of {multiple}, and {n} is not; pad with rows of zeros to {}",
        n.div_ceil((*multiple).max(1)).saturating_mul(*multiple)
    )]
    BadN {
        /// Name of the format.
        format: String,
        /// The N that was given.
        n: usize,
        /// Rows that are stored together.
        multiple: usize,
    },

    /// No card has that name.
    #[error("no format is called {}; {hint}", quoted(name))]
    UnknownFormat {
        /// The name that was asked for.
        name: String,
        /// The nearest names that exist, or where to find them.
        hint: String,
    },

    /// A format that is to be registered shares its name or its type number with another.
    #[error("format {format} cannot be registered: {other} has the same {key}; change `{key}` in one of the cards")]
    AlreadyRegistered {
        /// Name of the format.
        format: String,
        /// Name of the format that was there before.
        other: String,
        /// The key that they share: `name` or `gguf`.
        key: &'static str,
    },

    /// No kernel has that name.
    #[error("no kernel is called {}; {hint}", quoted(name))]
    UnknownKernel {
        /// The name that was asked for.
        name: String,
        /// The nearest names that exist, or where to find them.
        hint: String,
    },

    /// No instruction set has that name.
    #[error("no instruction set is called {}; {hint}", quoted(name))]
    UnknownIsa {
        /// The name that was asked for.
        name: String,
        /// The nearest names that exist, or all of them.
        hint: String,
    },

    /// This processor lacks an instruction set.
    #[error("this processor does not have the instruction set {name}; the best that it has is {best}")]
    MissingIsa {
        /// The instruction set that was asked for.
        name: String,
        /// The best that there is.
        best: String,
    },

    /// The format has no kernels of a numerics class: the levels of `int8` are integers of 8 bits.
    #[error("{format} has no class {wanted}, which needs levels that are integers of 8 bits; use {}", classes.join(" or "))]
    NoClass {
        /// Name of the format.
        format: String,
        /// The class.
        wanted: String,
        /// The classes that it has.
        classes: Vec<String>,
    },

    /// No kernel covers the card of the format, which can be decoded and not multiplied.
    #[error("{format} can be decoded only: no kernel covers {what}")]
    Uncovered {
        /// Name of the format.
        format: String,
        /// What of its card, and the rule that it does not keep.
        what: &'static str,
    },

    /// Nothing in the registry does what was asked on this processor.
    #[error("{format} has no kernel for {}; {hint}", escaped(wanted))]
    NoKernel {
        /// Name of the format.
        format: String,
        /// What was asked for: an instruction set, a numerics class, a kernel's name.
        wanted: String,
        /// What could have been asked for instead, or how to get what was.
        hint: String,
    },

    /// The kernel that was named cannot do what else was asked.
    #[error("{kernel} {why}")]
    Unfit {
        /// Its name.
        kernel: String,
        /// In what they differ, and what to do.
        why: String,
    },

    /// No operation has that name.
    #[error("no operation {}; {hint}", quoted(name))]
    UnknownOperation {
        /// The name that was asked for.
        name: String,
        /// The nearest names that exist, or where to find them.
        hint: String,
    },

    /// An operation takes other operands than those of a call.
    #[error("the operation {operation} {what}; see `quantloom explain {operation}`")]
    Operands {
        /// Name of the operation.
        operation: String,
        /// What it takes, and what was given.
        what: String,
    },

    /// An activation is infinite or not a number, which quantisation cannot represent.
    #[error("activation {index} (counted from 0) is infinite or not a number; check what produced the input")]
    NotFinite {
        /// Its place in the input.
        index: usize,
    },

    /// Attention cannot be computed as it was asked for.
    #[error("attention: {detail}")]
    Attention {
        /// What is wrong, and the remedy.
        detail: String,
    },

    /// A weight or an importance has no meaning for an encoder, or a key or value none for attention.
    #[error("{}: value {index} (counted from 0) must be {wanted}; check what produced it", escaped(what))]
    BadValue {
        /// What the value is one of: a tensor, say.
        what: String,
        /// Its place.
        index: usize,
        /// What it should be.
        wanted: &'static str,
    },

    /// A file of recipes cannot be used.
    #[error("{}: {}", shown(path), escaped(detail))]
    Recipe {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },

    /// The search for codes cannot deal with the structure of a format.
    #[error("{format} cannot be encoded: {why}; choose another format")]
    NotEncodable {
        /// Name of the format.
        format: String,
        /// What stands in the way.
        why: String,
    },

    /// The system has not got the memory.
    #[error("{bytes} bytes of memory are not to be had; close other programs or use a smaller model")]
    OutOfMemory {
        /// How much was asked for.
        bytes: usize,
    },

    /// An environment variable says what cannot be followed.
    #[error("{variable}={}: {}", escaped(value), escaped(detail))]
    Setting {
        /// Which.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        detail: String,
    },

    /// A list of problems cannot be used.
    #[error("{}: {}", shown(path), escaped(detail))]
    List {
        /// The file.
        path: PathBuf,
        /// Where, what is wrong, and the remedy.
        detail: String,
        /// What the operating system said, if it did.
        #[source]
        cause: Option<io::Error>,
    },

    /// The tuner's cache cannot be read or written.
    #[error("{}: {}", shown(path), escaped(detail))]
    Cache {
        /// The cache file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
        /// What the operating system said, if it did.
        #[source]
        cause: Option<io::Error>,
    },

    /// A process disappeared while it ran a kernel for the first time on this machine.
    #[error(
        "{}: a process ended while it ran this kernel for the first time, so it is not used here until it passed in a process of its own",
        escaped(kernel)
    )]
    Abandoned {
        /// Name of the kernel.
        kernel: String,
    },

    /// Kernels could not be tried in a process of their own.
    #[error("kernels cannot be tried in a process of their own: {}", escaped(detail))]
    Child {
        /// What is wrong, and the remedy.
        detail: String,
        /// What the operating system said, if it did.
        #[source]
        cause: Option<io::Error>,
    },
}

impl Error {
    /// An [`Error::Io`] at `path`: for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |cause| Self::Io { path, cause }
    }
}

/// What to do about an input of `found` values when rows have `k`.
fn batch_remedy(found: usize, k: usize) -> String {
    match found.checked_div(k) {
        Some(rows) if rows > 0 && rows * k == found => format!("it is a batch of {rows}"),
        _ => format!("its size must be a multiple of {k}"),
    }
}

/// Longest part of a name that a message shows.
const SHOWN: usize = 80;

/// A name from a file or a user as a message shows it: quoted, on one line, not too long.
pub(crate) fn quoted(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}...", &name[..end]),
    }
}

/// Names in a hint, at most.
const SUGGESTIONS: usize = 3;

/// A hint for a name that does not exist: the nearest of the `known` ones, or `otherwise` if none is near.
pub(crate) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    let near = nearest(name, known);
    if near.is_empty() {
        return otherwise.to_owned();
    }
    let near: Vec<_> = near.into_iter().map(quoted).collect();
    format!("did you mean {}?", near.join(" or "))
}

/// The known names nearest to `name`, nearest first.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().take(SHOWN).collect();
    let mut near: Vec<_> =
        known.into_iter().filter_map(|candidate| Some((closeness(&wanted, candidate)?, candidate))).collect();
    near.sort_unstable();
    near.truncate(SUGGESTIONS);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// How far `candidate` is from `wanted` without regard to case, or nothing if it is too far to suggest: the whole name with
/// something around it comes first, then what differs in about a third of its letters.
fn closeness(wanted: &[char], candidate: &str) -> Option<(bool, usize)> {
    let candidate: Vec<char> = candidate.to_lowercase().chars().take(2 * SHOWN).collect();
    let around = candidate.len().saturating_sub(wanted.len());
    if !wanted.is_empty() && candidate.windows(wanted.len()).any(|part| part == wanted) {
        return Some((false, around));
    }
    let distance = edits(wanted, &candidate);
    (distance <= (wanted.len() + 1) / 3).then_some((true, distance))
}

/// Letters to insert, delete or replace to turn `a` into `b` (Levenshtein's distance, one row of the table at a time).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use quantloom_spec::text::is_unseen;

    use super::*;

    #[test]
    fn a_hint_names_what_is_near() {
        let known = ["blk.0.attn_q.weight", "blk.0.attn_k.weight", "output.weight"];
        let hint = |name| suggest(name, known, "none");
        assert_eq!(hint("blk.0.attn_q"), r#"did you mean "blk.0.attn_q.weight"?"#);
        assert_eq!(hint("OUTPUT.wieght"), r#"did you mean "output.weight"?"#);
        assert_eq!(hint("blk.0.attn_w.weight"), r#"did you mean "blk.0.attn_k.weight" or "blk.0.attn_q.weight"?"#);
        assert_eq!(hint("nothing like it"), "none");
        assert_eq!(hint(""), "none");
    }

    #[test]
    fn edits_are_counted() {
        let count = |a: &str, b: &str| edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("same", "same"), 0);
    }

    #[test]
    fn what_a_message_repeats_is_escaped() {
        let hostile = "\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\r\n";
        let (path, text) = (PathBuf::from(hostile), hostile.to_owned());
        let cause = || io::Error::other(hostile);
        for error in [
            Error::Io { path: path.clone(), cause: cause() },
            Error::Output { path: path.clone(), cause: cause(), remedy: "" },
            Error::SameFile { output: path.clone(), input: path.clone() },
            Error::Gguf { path: path.clone(), detail: text.clone() },
            Error::SafeTensors { path: path.clone(), detail: text.clone() },
            Error::UnknownTensor { path: path.clone(), name: text.clone(), hint: String::new() },
            Error::UnknownTensorType { path: path.clone(), tensor: text.clone(), kind: 0, why: text.clone() },
            Error::UnknownFormat { name: text.clone(), hint: String::new() },
            Error::UnknownIsa { name: text.clone(), hint: String::new() },
            Error::NoKernel { format: String::new(), wanted: text.clone(), hint: String::new() },
            Error::BadValue { what: text.clone(), index: 0, wanted: "" },
            Error::Recipe { path: path.clone(), detail: text.clone() },
            Error::Setting { variable: "", value: text.clone(), detail: text.clone() },
            Error::List { path: path.clone(), detail: text.clone(), cause: None },
            Error::Cache { path, detail: text.clone(), cause: None },
            Error::Abandoned { kernel: text.clone() },
            Error::Child { detail: text, cause: None },
        ] {
            let message = error.to_string();
            assert!(!message.chars().any(is_unseen) && message.contains("\\u{1b}]0;title\\u{7}"), "{message:?}");
        }
    }

    #[test]
    fn names_are_quoted_on_one_short_line() {
        assert_eq!(quoted("a\nb\u{1b}"), r#""a\nb\u{1b}""#);
        assert_eq!(quoted(&"x".repeat(100)), format!("\"{}\"...", "x".repeat(80)));
    }

    #[test]
    fn the_cause_is_told_to_programs_too() {
        let kind = |error: &Error| {
            let source = std::error::Error::source(error)?;
            source.downcast_ref::<io::Error>().map(io::Error::kind)
        };
        let cause = || io::Error::from(io::ErrorKind::StorageFull);
        let path = PathBuf::from("a");
        for error in [
            Error::Io { path: path.clone(), cause: cause() },
            Error::Output { path: path.clone(), cause: cause(), remedy: "" },
            Error::Cache { path: path.clone(), detail: String::new(), cause: Some(cause()) },
            Error::List { path: path.clone(), detail: String::new(), cause: Some(cause()) },
            Error::Child { detail: String::new(), cause: Some(cause()) },
        ] {
            assert_eq!(kind(&error), Some(io::ErrorKind::StorageFull), "{error:?}");
        }
        assert!(kind(&Error::Cache { path, detail: String::new(), cause: None }).is_none());
    }

    #[test]
    fn messages_say_what_to_do() {
        let batch = |found| Error::Batch { found, batch: 4, k: 512 }.to_string();
        assert!(batch(2560).ends_with("needs 2048; it is a batch of 5"), "{}", batch(2560));
        assert!(batch(100).ends_with("its size must be a multiple of 512"), "{}", batch(100));
        let k = Error::BadK { format: "a".into(), k: 300, multiple: 256 };
        assert!(k.to_string().ends_with("to 512"), "{k}");
    }
}
