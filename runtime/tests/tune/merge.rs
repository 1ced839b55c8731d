//! Which entry stays when caches come together.

use proptest::prelude::*;
use quantloom::tune::{Effort, Entry, Origin, merge};

use crate::support::{entries, entry, kernels, key, weights};

/// The text in which two lists differ if they differ at all.
fn text(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{entry:?}")).collect()
}

/// An entry for one of two problems, of which little is likely to be equal and much is possible.
fn any_entry() -> impl Strategy<Value = Entry> {
    let two = entries(1, 2);
    let origins = [Origin::Local, Origin::Imported, Origin::Shipped];
    (0..2_usize, 0..2_usize, 0..3_usize, 5..7_usize, 0..2_u8, 0..3_u64).prop_map(
        move |(problem, effort, origin, rounds, spread, ns)| {
            let mut entry = Entry {
                effort: Effort::ALL[effort],
                origin: origins[origin],
                spread: 1.0 + f64::from(spread),
                ..two[problem].clone()
            };
            entry.times[0].rounds = rounds;
            entry.times[1].ns = ns;
            entry
        },
    )
}

fn some_entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(any_entry(), 0..5)
}

proptest! {
    #[test]
    fn neither_order_nor_grouping_matters(a in some_entries(), b in some_entries(), c in some_entries()) {
        let merged = |lists: &[&[Entry]]| merge::merged(lists.concat());
        let at_once = text(&merged(&[&a, &b, &c]));
        prop_assert_eq!(&text(&merged(&[&c, &a, &b])), &at_once);
        prop_assert_eq!(&text(&merged(&[&merged(&[&a, &b]), &c])), &at_once);
        prop_assert_eq!(&text(&merged(&[&a, &merged(&[&c, &b])])), &at_once);
        prop_assert_eq!(&text(&merged(&[&a, &b, &c, &b])), &at_once);
    }
}

#[test]
fn effort_goes_before_rounds_and_rounds_before_origin() {
    let weights = weights(16, 1);
    let base = entry(key(&weights, 1), kernels(&weights)[0]);
    let with = |effort, rounds, origin| {
        let mut entry = Entry { effort, origin, ..base.clone() };
        entry.times[0].rounds = rounds;
        entry
    };
    let ladder = [
        with(Effort::Quick, 4, Origin::Shipped),
        with(Effort::Quick, 4, Origin::Imported),
        with(Effort::Quick, 4, Origin::Local),
        with(Effort::Quick, 9, Origin::Shipped),
        with(Effort::Full, 6, Origin::Shipped),
        with(Effort::Full, 6, Origin::Local),
    ];
    for (rank, winner) in ladder.iter().enumerate() {
        for loser in &ladder[..rank] {
            assert_eq!(merge::merged([winner.clone(), loser.clone()]), std::slice::from_ref(winner));
            assert_eq!(merge::merged([loser.clone(), winner.clone()]), std::slice::from_ref(winner));
        }
    }
}

#[test]
fn only_what_was_measured_here_becomes_imported() {
    let with = |origin| Entry { origin, ..entries(1, 1).remove(0) };
    let found = merge::imported([Origin::Local, Origin::Imported, Origin::Shipped].map(with).to_vec());
    let origins = found.iter().map(|entry| entry.origin).collect::<Vec<_>>();
    assert_eq!(origins, [Origin::Imported, Origin::Imported, Origin::Shipped]);
}
