//! A card of every kind, and behind a line of `====` the table `own`; of a format that is right, all that is made from it: its picture,
//! its weights, its encoder and its kernels.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom::encode::Encoder;
use quantloom_codegen::emit::rust;
use quantloom_codegen::plan::{Card, Plan};
use quantloom_codegen::{Config, cards_dir};
use quantloom_fuzz::right;
use quantloom_spec::gpu::read_dialect;
use quantloom_spec::isa::{Isa, read_isa};
use quantloom_spec::kernels::{Kernels, Variant, read_kernels};
use quantloom_spec::model::{Format, Storage};
use quantloom_spec::processor::read_processor;
use quantloom_spec::{Diagnostics, Source, Spec, TableFolder, Tables, draw, eval, read_format};

/// Weights of a block that are decoded.
const FEW: usize = 1 << 12;

static SPEC: LazyLock<Spec> = LazyLock::new(|| Spec::read(cards_dir()).expect("cards that are checked by tests"));

/// The texts of the tables that quantloom ships, by name.
static SHIPPED: LazyLock<BTreeMap<String, Source>> = LazyLock::new(|| {
    let folder = TableFolder::new(cards_dir().join("tables"));
    folder.names().into_iter().map(|name| (name.clone(), folder.open(&name).expect("a table that is listed"))).collect()
});
static ISAS: LazyLock<Vec<Isa>> = LazyLock::new(|| SPEC.isas.iter().map(|(_, isa)| isa.clone()).collect());
static KERNELS: LazyLock<Vec<Kernels>> = LazyLock::new(|| SPEC.kernels.iter().map(|(_, kernels)| kernels.clone()).collect());

/// The instruction set that needs nothing, and what there is for it.
static PLAIN: LazyLock<(Vec<Isa>, Vec<Variant>)> = LazyLock::new(|| {
    let plan = Config::new().cards(cards_dir()).plan().expect("cards that are checked by tests");
    let isas: Vec<Isa> = plan.isas.into_iter().filter(|isa| isa.base.is_none() && isa.arch.is_none()).collect();
    let variants = plan.variants.into_iter().filter(|variant| isas.iter().any(|isa| isa.name == variant.isa));
    (isas.clone(), variants.collect())
});

/// Tables that a card may name: those that quantloom ships, and one of its own.
struct Own<'t>(&'t str);

impl Tables for Own<'_> {
    fn names(&self) -> Vec<String> {
        SHIPPED.keys().cloned().chain(["own".to_owned()]).collect()
    }

    fn open(&self, name: &str) -> io::Result<Source> {
        Ok(SHIPPED.get(name).cloned().unwrap_or_else(|| Source { path: "own.toml".to_owned(), text: self.0.to_owned() }))
    }
}

/// What is wrong is said, with and without colours, and nothing else that a terminal obeys.
fn right_card<T>(card: Result<T, Diagnostics>) -> Option<T> {
    card.map_err(|wrong| {
        assert!(!wrong.is_empty());
        let text = wrong.render(false);
        assert!(text.len() <= wrong.render(true).len() && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    })
    .ok()
}

fn use_format(text: &str, format: Format) {
    assert!(!draw(&format).is_empty() && !format.summary().to_string().is_empty());
    if let Storage::Blocks(blocks) = &format.storage
        && blocks.weights <= FEW
    {
        let row = vec![0xA5; blocks.row_bytes(blocks.weights)];
        assert_eq!(eval::decode_rows(&format, &row, blocks.weights).len(), blocks.weights);
    }
    right(Encoder::of_model(&format));
    let (isas, variants) = PLAIN.clone();
    let card = Card { file: "card".to_owned(), format, text: text.to_owned(), tables: BTreeMap::new() };
    assert!(!rust::files(&Plan::new(vec![card], isas, variants), "crate", "").is_empty());
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (text, table) = text.split_once("\n====\n").unwrap_or((text, ""));
    if let Some(format) = right_card(read_format("card.toml", text, &Own(table))) {
        use_format(text, format);
    }
    right_card(read_isa("card.toml", text));
    right_card(read_dialect("card.toml", text));
    right_card(read_kernels("card.toml", text, &ISAS));
    right_card(read_processor("card.toml", text, &ISAS, &KERNELS));
});
