//! What cannot be right in a list of variants.

use crate::diagnostic::{Sink, Span};
use crate::isa::Isa;
use crate::walk::At;

use quantloom_abi::PANEL_ROWS;

use super::{Distances, Numerics, Prefetch, Set, Variant, Written};

/// A tile that does not fit the registers would spill in its inner loop. With one column that may be worth it: more rows are more panels
/// side by side, and a processor reads several streams faster than one.
pub(super) fn check_registers(variant: &Variant, isa: &Isa, [rows, cols]: [Span; 2], sink: &mut Sink) {
    let needed = variant.registers(isa);
    if !isa.is_scalar() && variant.cols > 1 && needed > isa.registers {
        sink.error(cols, format!("the tile needs {needed} registers, and `{}` has {}", isa.name, isa.registers))
            .label("too many columns")
            .also(rows, "for so many rows");
    }
}

/// A tile is taken in whole turns, each within one panel, unless there is only one.
pub(super) fn check_vectors(variant: &Variant, isa: &Isa, span: Span, sink: &mut Sink) {
    let all = variant.rows / isa.lanes();
    if variant.vectors_of(isa) < all && variant.rows > PANEL_ROWS {
        sink.error(span, format!("a tile of {} rows works on all of its {all} vectors at a time", variant.rows))
            .label(format!("only one of {PANEL_ROWS} rows can be taken in several turns"))
            .help("leave `vectors` out");
    } else if !all.is_multiple_of(variant.vectors_of(isa)) {
        sink.error(
            span,
            format!("{} vectors at a time are no whole turns over {} rows", variant.vectors_of(isa), variant.rows),
        )
        .label(format!("a vector of `{}` holds {} of them", isa.name, isa.lanes()))
        .help(if all == 1 { "leave `vectors` out".to_owned() } else { format!("take a divisor of {all}") });
    }
}

/// A variant says the distances that its kernel takes, and no others: `far`, then `near`, each as it was read if it was there.
pub(super) fn check_distances(
    prefetch: &At<Prefetch>,
    [far, near]: [Option<Option<At<usize>>>; 2],
    sink: &mut Sink,
) -> Option<Distances> {
    let mut distance = |key, wanted: bool, written: Option<Option<At<usize>>>| match (wanted, written) {
        (true, None) => {
            sink.error(prefetch.span, format!("`{}` needs a distance `{key}`", prefetch.value.name()));
            None
        }
        (false, Some(written)) => {
            let span = written?.span;
            sink.error(span, format!("`{key}` is a distance that the kernel does not take"))
                .also(prefetch.span, format!("`{}` asks for no such lines", prefetch.value.name()));
            None
        }
        (_, written) => written.map_or(Some(0), |written| written.map(|at| at.value)),
    };
    let (far, near) = (distance("far", prefetch.value.is_far(), far), distance("near", prefetch.value.is_near(), near));
    Some(Distances { far: far?, near: near? })
}

/// Sums in f32 have a fixed order: each cell is one chain.
pub(super) fn check_steps(variant: &Variant, span: Span, sink: &mut Sink) {
    if variant.numerics == Numerics::Exact && variant.steps > 1 {
        sink.error(span, "`exact` adds in the order of k, one step after the other").help("leave `steps` out");
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
    same_family(one, other) && other.batch.contains(&1)
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
    if let Some(first) = written.batch.first()
        && written.variant.set == Set::All
    {
        sink.error(first.span, "a default for a batch must be in every build")
            .also(written.set, "generated only when all variants are asked for");
    }
    let family = before.iter().filter(|other| same_family(&written.variant, &other.variant));
    let taken = family.flat_map(|other| &other.batch).collect::<Vec<_>>();
    for batch in &written.batch {
        if let Some(first) = taken.iter().find(|other| other.value == batch.value) {
            sink.error(batch.span, "two variants are the default from the same batch").also(first.span, "the first");
        }
    }
}

fn check_family(written: &Written, sink: &mut Sink) {
    let Variant { isa, numerics, .. } = &written.variant;
    sink.error(written.span, format!("no `{}` variant for `{isa}` is the default from batch 1", numerics.name()))
        .help("give the variant for single columns `batch = 1`");
}
