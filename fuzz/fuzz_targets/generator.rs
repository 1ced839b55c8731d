//! The generator: a card of a format that is right becomes Rust code.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom_codegen::emit::rust;
use quantloom_codegen::plan::{Card, Plan};
use quantloom_codegen::{Config, cards_dir};
use quantloom_fuzz::cards::formats;
use quantloom_spec::isa::Isa;
use quantloom_spec::kernels::Variant;

/// Formats of a family that code is generated for.
const FEW: usize = 2;

/// The instruction set that needs nothing, and what there is for it.
static PLAIN: LazyLock<(Vec<Isa>, Vec<Variant>)> = LazyLock::new(|| {
    let plan = Config::new().cards(cards_dir()).plan().expect("cards that are checked by tests");
    let isas: Vec<Isa> = plan.isas.into_iter().filter(|isa| isa.base.is_none() && isa.arch.is_none()).collect();
    let variants = plan.variants.into_iter().filter(|variant| isas.iter().any(|isa| isa.name == variant.isa));
    (isas.clone(), variants.collect())
});

fuzz_target!(init: LazyLock::force(&PLAIN), |bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let cards = formats(text).into_iter().take(FEW).map(|format| Card {
        file: "card".to_owned(),
        format,
        text: text.to_owned(),
        tables: BTreeMap::new(),
    });
    let (isas, variants) = PLAIN.clone();
    assert!(!rust::files(&Plan::new(cards.collect(), isas, variants), "crate", "").is_empty());
});
