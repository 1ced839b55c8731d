//! What runs when nothing has been measured: what the card of the processor begins with, or else the kernel cards.

use quantloom_kernels::abi::Start;

use super::Launch;
use crate::machine::processor;
use crate::registry::{Isa, Kernel, Numerics};

/// What runs a batch of those kernels, at least one, of one instruction set and numerics class: of what the card of the processor begins
/// with, or else of what the kernel card says, that from the largest batch that is not larger than this one.
pub fn default(kernels: &[&'static Kernel], batch: usize) -> Launch {
    let started = starts(kernels[0].isa, kernels[0].numerics).filter_map(|start| {
        let from = start.batch.iter().filter(|from| **from <= batch).max()?;
        let kernel = kernels.iter().find(|kernel| suits(start, kernel))?;
        Some((*from, start.bits.is_some(), launch(kernel, start)))
    });
    if let Some((.., launch)) = started.max_by_key(|&(from, of_few_bits, _)| (from, of_few_bits)) {
        return launch;
    }
    let from = |kernel: &&&Kernel| kernel.batch.iter().filter(|from| **from <= batch).max();
    Launch::of(kernels.iter().filter(|kernel| from(kernel).is_some()).max_by_key(from).unwrap_or(&kernels[0]))
}

/// A kernel with the arguments that it has when nothing has been measured: those of the card of the processor, if that begins with it.
pub fn begun(kernel: &'static Kernel) -> Launch {
    let start = starts(kernel.isa, kernel.numerics).find(|start| suits(start, kernel));
    start.map_or_else(|| Launch::of(kernel), |start| launch(kernel, start))
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
    let is_begun = starts(isa, numerics).next().is_some();
    let of_kernels = kernels.into_iter().filter(move |_| !is_begun).flat_map(|kernel| kernel.batch);
    starts(isa, numerics).flat_map(|start| start.batch).chain(of_kernels).copied()
}

/// What the card of the processor begins with. A variable that names no card is reported where calls are selected.
fn starts(isa: &Isa, numerics: Numerics) -> impl Iterator<Item = &'static Start> {
    let card = processor::here().ok().and_then(|known| known.card);
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
