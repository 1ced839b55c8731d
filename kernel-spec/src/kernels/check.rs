//! What cannot be right in a list of variants.

use crate::diagnostic::{Sink, Span};
use crate::isa::Isa;

use super::{Numerics, PANEL_ROWS, Set, Variant, Written};

/// A tile that does not fit the registers would spill in its inner loop.
pub(super) fn check_registers(variant: &Variant, isa: &Isa, [rows, cols]: [Span; 2], sink: &mut Sink) {
    let needed = variant.registers(isa);
    if !isa.is_scalar() && needed > isa.registers {
        sink.error(cols, format!("the tile needs {needed} registers, and `{}` has {}", isa.name, isa.registers))
            .label("too many columns")
            .also(rows, "for so many rows");
    }
}

/// Vectors at a time share a panel, and take it in whole turns.
pub(super) fn check_vectors(variant: &Variant, isa: &Isa, span: Span, sink: &mut Sink) {
    let parts = PANEL_ROWS / isa.lanes();
    if !parts.is_multiple_of(variant.vectors) {
        let remedy = if parts == 1 { "leave `vectors` out".to_owned() } else { format!("take a divisor of {parts}") };
        sink.error(span, format!("{} vectors at a time are no whole turns over {PANEL_ROWS} rows", variant.vectors))
            .label(format!("a vector of `{}` holds {} of them", isa.name, isa.lanes()))
            .help(remedy);
    }
}

/// Sums in f32 have a fixed order, and so one accumulator.
pub(super) fn check_accumulators(variant: &Variant, span: Span, sink: &mut Sink) {
    if variant.numerics == Numerics::Exact && variant.accumulators > 1 {
        sink.error(span, "`exact` adds in the order of k, so a cell has one accumulator").help("leave `accumulators` out");
    }
}

/// Checks the variants against each other.
pub(super) fn check(variants: &[Written], sink: &mut Sink) {
    for (i, written) in variants.iter().enumerate() {
        let before = &variants[..i];
        check_unique(written, before, sink);
        check_selectable(written, before, sink);
        let first_of_family = !before.iter().any(|other| same_family(&written.variant, &other.variant));
        if first_of_family && !variants.iter().any(|other| starts_at_one(&written.variant, &other.variant)) {
            check_family(written, sink);
        }
    }
}

/// Variants that compete: the same instruction set and numerics.
fn same_family(one: &Variant, other: &Variant) -> bool {
    one.isa == other.isa && one.numerics == other.numerics
}

fn starts_at_one(one: &Variant, other: &Variant) -> bool {
    same_family(one, other) && other.batch == Some(1)
}

fn check_unique(written: &Written, before: &[Written], sink: &mut Sink) {
    let name = |variant: &Variant| (variant.schedule, variant.tile_name());
    let same = |other: &Variant| same_family(&written.variant, other) && name(&written.variant) == name(other);
    if let Some(first) = before.iter().find(|other| same(&other.variant)) {
        let (schedule, tile) = name(&written.variant);
        sink.error(written.span, format!("two variants are called `{}` `{tile}`", schedule.name()))
            .also(first.span, "the first");
    }
}

/// Every variant can be the default of some batch, or be found by the tuner.
fn check_selectable(written: &Written, before: &[Written], sink: &mut Sink) {
    let Some(span) = written.batch else { return };
    if written.variant.set == Set::All {
        sink.error(span, "a default for a batch must be in every build")
            .also(written.set, "generated only when all variants are asked for");
    }
    let same = |other: &&Written| same_family(&written.variant, &other.variant) && written.variant.batch == other.variant.batch;
    if let Some(first) = before.iter().find(same).and_then(|other| other.batch) {
        sink.error(span, "two variants are the default from the same batch").also(first, "the first");
    }
}

fn check_family(written: &Written, sink: &mut Sink) {
    let Variant { isa, numerics, .. } = &written.variant;
    sink.error(written.span, format!("no `{}` variant for `{isa}` is the default from batch 1", numerics.name()))
        .help("give the variant for single columns `batch = 1`");
}
