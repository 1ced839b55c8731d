//! What an instruction set that contains another must have of it.

use std::sync::Arc;

use super::{Isa, Written};
use crate::diagnostic::{Diagnostics, Sink, Span};
use crate::nearest::listing;

/// Checks the bases of all instruction sets against each other.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn check(cards: &[&Written]) -> Result<(), Diagnostics> {
    let isas: Vec<Isa> = cards.iter().map(|card| card.isa.clone()).collect();
    let mut found = Diagnostics::default();
    for card in cards {
        let mut sink = Sink::new(Arc::clone(&card.source));
        if let (Some(name), Some(span)) = (&card.isa.base, card.base) {
            check_base(card, name, span, &isas, &mut sink);
        }
        found.append(sink.finish(Some(())).err().unwrap_or_default());
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn check_base(card: &Written, name: &str, span: Span, isas: &[Isa], sink: &mut Sink) {
    let isa = &card.isa;
    let Some(base) = isas.iter().find(|other| other.name == name) else {
        let others = isas.iter().map(|other| other.name.as_str()).filter(|other| *other != isa.name);
        sink.error(span, format!("no instruction set is called `{name}`")).suggest(name, "instruction sets", others);
        return;
    };
    // A lineage that comes back does not end.
    let ancestors: Vec<&str> = base.lineage(isas).take(isas.len()).map(|isa| isa.name.as_str()).collect();
    if let Some(back) = ancestors.iter().position(|ancestor| *ancestor == isa.name) {
        let way = listing(ancestors[..back].iter().copied());
        let way = if way.is_empty() { way } else { format!(", by way of {way}") };
        sink.error(span, format!("`{}` is its own base{way}", isa.name));
        return;
    }
    if base.arch.is_some() && base.arch != isa.arch {
        let arch = |isa: &Isa| isa.arch.as_ref().map_or_else(|| "any architecture".to_owned(), |arch| format!("`{arch}`"));
        sink.error(span, format!("`{}` is for {}, and `{name}` for {}", isa.name, arch(isa), arch(base)));
    }
    let lacking: Vec<&str> =
        base.features.iter().filter(|feature| !isa.features.contains(feature)).map(String::as_str).collect();
    if !lacking.is_empty() {
        sink.error(card.features, format!("the base `{name}` has features that are not among these"))
            .label(format!("add {}", listing(lacking)))
            .also(span, "the base");
    }
    if base.rank >= isa.rank {
        sink.error(card.rank, format!("`rank` must be above {}, the rank of the base", base.rank)).also(span, "the base");
    }
}
