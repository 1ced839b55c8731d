//! What runs when nothing has been measured: what the card of the processor begins with, or else the kernel cards.

use quantloom_kernels::abi::Start;

use super::Launch;
use crate::machine::processor::{self, Processor};
use crate::registry::{Isa, Kernel, Numerics};

/// What runs a batch of those kernels, at least one, of one instruction set and numerics class: of what the card of the processor begins
/// with, or else of what the kernel card says, that from the largest batch that is not larger than this one.
pub fn default(kernels: &[&'static Kernel], batch: usize) -> Launch {
    default_on(card(), kernels, batch)
}

/// As [`default`], for a processor of that card.
fn default_on(card: Option<&'static Processor>, kernels: &[&'static Kernel], batch: usize) -> Launch {
    let started = starts(card, kernels[0].isa(), kernels[0].numerics).filter_map(|start| {
        let from = start.batch.iter().filter(|from| **from <= batch).max()?;
        let kernel = kernels.iter().find(|kernel| suits(start, kernel))?;
        Some((*from, start.bits.unwrap_or(f64::INFINITY), launch(kernel, start)))
    });
    // From the largest batch, for the fewest bits.
    if let Some((.., launch)) = started.max_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1))) {
        return launch;
    }
    let from = |kernel: &&&Kernel| kernel.batch.iter().filter(|from| **from <= batch).max();
    Launch::of(kernels.iter().filter(|kernel| from(kernel).is_some()).max_by_key(from).unwrap_or(&kernels[0]))
}

/// A kernel with the arguments that it has when nothing has been measured: those of the card of the processor, if that begins with it.
pub fn begun(kernel: &'static Kernel) -> Launch {
    let start = starts(card(), kernel.isa(), kernel.numerics).find(|start| suits(start, kernel));
    start.map_or_else(|| Launch::of(kernel), |start| launch(kernel, start))
}

/// Whether the card of this processor begins with a kernel, at some batch size.
#[must_use]
pub fn is_start(kernel: &Kernel) -> bool {
    starts(card(), kernel.isa(), kernel.numerics).any(|start| suits(start, kernel))
}

/// Whether a start is for a kernel.
fn suits(start: &Start, kernel: &Kernel) -> bool {
    let counts = &kernel.counts;
    let bits = (8 * counts.bytes) as f64 / (kernel.rows * counts.weights) as f64;
    (kernel.schedule, kernel.tile) == (start.schedule, start.tile) && start.bits.is_none_or(|most| bits <= most)
}

/// The batch sizes from which the default of an instruction set and numerics class is another one; those of `kernels`, if the card of the
/// processor begins with none.
pub fn changes<'a>(
    isa: &Isa,
    numerics: Numerics,
    kernels: impl IntoIterator<Item = &'a Kernel>,
) -> impl Iterator<Item = usize> {
    let is_begun = starts(card(), isa, numerics).next().is_some();
    let of_kernels = kernels.into_iter().filter(move |_| !is_begun).flat_map(|kernel| kernel.batch);
    starts(card(), isa, numerics).flat_map(|start| start.batch).chain(of_kernels).copied()
}

/// The card of this processor. A variable that names no card is reported where calls are selected.
fn card() -> Option<&'static Processor> {
    processor::here().ok().and_then(|known| known.card)
}

/// What a card begins with.
fn starts(card: Option<&'static Processor>, isa: &Isa, numerics: Numerics) -> impl Iterator<Item = &'static Start> {
    let all = card.map_or(&[][..], |card| card.starts);
    let name = isa.name;
    all.iter().filter(move |start| start.isa == name && start.numerics == numerics)
}

fn launch(kernel: &'static Kernel, start: &Start) -> Launch {
    let Launch { far, near, .. } = Launch::of(kernel);
    Launch {
        kernel,
        far: start.far.unwrap_or(far),
        near: start.near.unwrap_or(near),
        tiles: start.tiles.unwrap_or_default(),
        keep: start.keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    /// The kernels of every format, instruction set and numerics class.
    fn families() -> Vec<Vec<&'static Kernel>> {
        let mut families = Vec::<Vec<&Kernel>>::new();
        for kernel in registry::formats().flat_map(registry::kernels) {
            let family = |other: &Kernel| (other.format, other.isa().name, other.numerics);
            match families.iter_mut().find(|known| family(known[0]) == family(kernel)) {
                Some(known) => known.push(kernel),
                None => families.push(vec![kernel]),
            }
        }
        families
    }

    #[test]
    fn a_processor_without_a_card_begins_with_what_the_kernel_card_says() {
        let card = processor::find("NobodyWeKnow", 1, 2);
        assert!(card.is_none());
        for kernels in families() {
            for batch in [1, 2, 7, 100, 5000] {
                let Launch { kernel, far, near, tiles, keep } = default_on(card, &kernels, batch);
                assert!(kernel.batch.iter().any(|from| *from <= batch), "{} at {batch}", kernel.name);
                assert_eq!((far, near, tiles, keep), (kernel.distances.0, kernel.distances.1, 0, false));
            }
        }
    }

    #[test]
    fn every_card_begins_with_kernels_that_there_are() {
        for (card, kernels) in
            processor::all().iter().flat_map(|card| families().into_iter().map(move |kernels| (card, kernels)))
        {
            let (isa, numerics) = (kernels[0].isa(), kernels[0].numerics);
            if starts(Some(card), isa, numerics).next().is_none() {
                continue;
            }
            for batch in [1, 3, 8, 600] {
                let Launch { kernel, .. } = default_on(Some(card), &kernels, batch);
                let begins = starts(Some(card), isa, numerics)
                    .any(|start| suits(start, kernel) && start.batch.iter().any(|from| *from <= batch));
                assert!(begins, "{}: {} at {batch}", card.name, kernel.name);
            }
        }
    }

    #[test]
    fn weights_of_few_bits_have_starts_of_their_own() {
        let of_bits = |start: &&Start| start.bits.is_some() && start.batch.contains(&1);
        let mut chosen_by_bits = 0;
        for (card, kernels) in
            processor::all().iter().flat_map(|card| families().into_iter().map(move |kernels| (card, kernels)))
        {
            let Kernel { counts, rows, .. } = kernels[0];
            let bits = (8 * counts.bytes) as f64 / (rows * counts.weights) as f64;
            let own = |start: &&Start| kernels[0].isa().name == start.isa && kernels[0].numerics == start.numerics;
            let suiting =
                card.starts.iter().filter(of_bits).filter(own).filter(|start| start.bits.is_some_and(|most| bits <= most));
            let fewest = suiting.min_by(|one, other| one.bits.partial_cmp(&other.bits).expect("bits are numbers"));
            let Some(start) = fewest else { continue };
            let chosen = default_on(Some(card), &kernels, 1).kernel;
            assert_eq!((chosen.tile, chosen.schedule), (start.tile, start.schedule), "{}: {}", card.name, chosen.name);
            chosen_by_bits += 1;
        }
        // Only cards of x86 processors have some.
        assert!(chosen_by_bits > 0 || !cfg!(target_arch = "x86_64"));
    }
}
