//! `docs/card-reference.md` is what the doc comments of the checked models say: it cannot be out of date.
//!
//! `BLESS=1 cargo test -p quantloom-spec --test reference` rewrites it.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use syn::{Attribute, Expr, ExprLit, Fields, Item, Lit, Meta, Visibility};

/// The parts of the reference: a heading, and the source that describes that kind of card.
const PARTS: [(&str, &str); 8] = [
    ("Formats", "model.rs"),
    ("Instruction sets", "isa.rs"),
    ("Kernels", "kernels.rs"),
    ("Operations", "operation.rs"),
    ("Processors", "processor.rs"),
    ("GPU dialects", "gpu.rs"),
    ("Language models", "architecture/mod.rs"),
    ("Words of several cards", "../../runtime/abi/src/words.rs"),
];

/// Sources that ask cards and tables for their keys.
const READERS: [&str; 15] = [
    "raw/mod.rs",
    "raw/number.rs",
    "isa.rs",
    "kernels.rs",
    "operation.rs",
    "processor.rs",
    "processor/identity.rs",
    "processor/peers.rs",
    "processor/pipes.rs",
    "processor/start.rs",
    "gpu.rs",
    "table.rs",
    "architecture/read.rs",
    "architecture/section.rs",
    "architecture/layer.rs",
];

const PREFACE: &str = "# Reference of the cards

What each part of a card says, part by part, in the words of the checked model. A part that begins with a key is written in the card
under that key; the others follow from what is written. `docs/cards.md` is the introduction.

Generated from the doc comments in `kernel-spec/src/` and `runtime/abi/src/words.rs` by `BLESS=1 cargo test -p quantloom-spec --test reference`: edit those.
";

fn source(name: &str) -> String {
    fs::read_to_string(common::root().join("src").join(name)).unwrap()
}

/// The doc comment, as one paragraph for each of its own.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    // Links are for rustdoc.
    let lines = lines.map(|line| if line.is_empty() { "\n\n".to_owned() } else { line.replace("[`", "`").replace("`]", "`") });
    lines.fold(String::new(), |text, line| {
        let gap = if text.is_empty() || text.ends_with('\n') || line.starts_with('\n') { "" } else { " " };
        text + gap + &line
    })
}

/// One part: under its key, if the comment begins with one, or else under what the model calls it.
fn part(name: &str, attributes: &[Attribute]) -> String {
    let doc = doc(attributes);
    assert!(!doc.is_empty(), "{name} has no doc comment");
    if doc.starts_with('`') { format!("- {doc}\n") } else { format!("- *{name}*: {doc}\n") }
}

fn fields(fields: &Fields) -> String {
    fields.iter().filter_map(|field| Some(part(&field.ident.as_ref()?.to_string(), &field.attrs))).collect()
}

/// A struct or an enum of the model, whose fields and variants are parts of a card.
fn section(item: &Item) -> Option<String> {
    let (name, attributes, parts) = match item {
        // What borrows is given to those who read cards, and no part of one.
        Item::Struct(item) if is_public(&item.vis) && item.generics.lifetimes().next().is_none() => {
            (&item.ident, &item.attrs, fields(&item.fields))
        }
        Item::Enum(item) if is_public(&item.vis) => {
            let variants = item.variants.iter().map(|variant| {
                let inner = fields(&variant.fields).lines().map(|line| format!("  {line}\n")).collect::<String>();
                part(&variant.ident.to_string().to_lowercase(), &variant.attrs) + &inner
            });
            (&item.ident, &item.attrs, variants.collect())
        }
        _ => return None,
    };
    Some(format!("\n### {name}\n\n{}\n\n{parts}", doc(attributes)))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn reference() -> String {
    let mut text = PREFACE.to_owned();
    for (heading, file) in PARTS {
        write!(text, "\n## {heading}\n").unwrap();
        let file = syn::parse_file(&source(file)).unwrap();
        text.extend(file.items.iter().filter_map(section));
    }
    text
}

#[test]
fn the_reference_says_what_the_model_says() {
    let path: PathBuf = [&common::root(), &PathBuf::from("../docs/card-reference.md")].iter().collect();
    common::compare(&path, &reference());
}

#[test]
fn every_key_is_in_the_reference() {
    let reference = reference();
    // Every second part lies between backquotes.
    let quoted = reference.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_')).collect::<BTreeSet<_>>();
    let mut keys = BTreeSet::new();
    for text in READERS.map(source) {
        let asked = ["need(\"", "get(\"", "name(\"", "optional(\""].into_iter().flat_map(|call| text.split(call).skip(1));
        keys.extend(asked.filter_map(|rest| Some(rest.split('"').next()?.to_owned())));
    }
    let unexplained = keys.iter().filter(|key| !words.contains(key.as_str())).collect::<Vec<_>>();
    assert!(unexplained.is_empty(), "no doc comment of a model explains the keys {unexplained:?}");
    assert!(keys.len() > 30, "{keys:?}");
}
