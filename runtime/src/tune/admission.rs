//! Which kernels may be measured: those that give the right bits on the weights at hand, and kill nobody.

use super::State;
use super::gate::Gate;
use super::turn::Turn;
use crate::error::Result;
use crate::matmul::candidates;
use crate::pool::Pool;
use crate::registry::{self, Kernel};
use crate::weights::Weights;

/// Lets kernels of one class through the gate, and records what is found out about them. Those that may run, in the order given.
///
/// A kernel that nothing is known of is compared with the scalar reference, under the eyes of the journal. Kernels that have passed
/// on this machine need not be compared with it again, but must agree with each other on these weights, which costs a tenth.
///
/// # Errors
/// What [`Gate::bits`] reports.
pub fn admit(kernels: &[&'static Kernel], weights: &Weights, pool: &Pool, turn: &Turn<'_>) -> Result<Vec<&'static Kernel>> {
    let variants = turn.variants();
    let healthy = variants.healthy(kernels);
    let Some(widest) = healthy.iter().map(|kernel| kernel.cols).max() else { return Ok(healthy) };
    let gate = Gate::new(weights, widest, pool)?;
    let (passed, unknown) = healthy.iter().copied().partition::<Vec<_>, _>(|kernel| variants.state(kernel).is_some());
    let suspects = if agree(&passed, &gate)? { unknown } else { healthy };
    let Some(first) = suspects.first() else { return Ok(passed) };

    let references = candidates(weights, first.numerics, registry::isas()[0]).unwrap_or_default();
    let reference = variants.healthy(&references).first().copied().unwrap_or(first);
    let wanted = turn.watch(reference, || gate.bits(reference))?;
    variants.record(reference, State::Passed, "");
    for kernel in suspects {
        let right = turn.watch(kernel, || gate.bits(kernel))? == wanted;
        variants.record(kernel, if right { State::Passed } else { State::Wrong }, "");
    }
    Ok(variants.healthy(kernels))
}

/// Whether some kernels give the same bits.
fn agree(kernels: &[&'static Kernel], gate: &Gate<'_>) -> Result<bool> {
    let [first, others @ ..] = kernels else { return Ok(true) };
    let wanted = gate.bits(first)?;
    for kernel in others {
        if gate.bits(kernel)? != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::{Choices, fake};

    /// The names of those that may run.
    fn admitted(kernels: &[&'static Kernel], weights: &Weights, choices: &Choices) -> Vec<&'static str> {
        let admitted = admit(kernels, weights, Pool::global(), &choices.turn().unwrap()).unwrap();
        admitted.iter().map(|kernel| kernel.name).collect()
    }

    fn names(kernels: &[&'static Kernel]) -> Vec<&'static str> {
        kernels.iter().map(|kernel| kernel.name).collect()
    }

    #[test]
    fn right_kernels_pass() {
        let weights = fake::weights(70, 3);
        let (kernels, choices) = (fake::kernels(&weights), Choices::new(None));
        // Unknown, then known.
        for _ in 0..2 {
            assert_eq!(admitted(&kernels, &weights, &choices), names(&kernels));
            assert!(kernels.iter().all(|kernel| choices.variants().state(kernel) == Some(State::Passed)));
        }
        assert!(admitted(&[], &weights, &choices).is_empty());
    }

    #[test]
    fn a_wrong_last_bit_is_found() {
        // Fewer rows than a tile, and many tiles.
        for n in [1, 70, 500] {
            let weights = fake::weights(n, 2);
            let (right, culprit) = (fake::kernels(&weights), fake::wrong_kernel(&weights));
            let choices = Choices::new(None);
            let kernels = [&right[..1], &[culprit], &right[1..]].concat();
            assert_eq!(admitted(&kernels, &weights, &choices), names(&right), "{n}");
            assert_eq!(choices.variants().state(culprit), Some(State::Wrong));
            assert!(choices.variants().is_quarantined(culprit) && !choices.variants().is_quarantined(right[0]));
        }
    }

    #[test]
    fn a_kernel_that_passed_before_must_agree_with_others() {
        let weights = fake::weights(70, 3);
        let (right, culprit) = (fake::kernels(&weights), fake::wrong_kernel(&weights));
        // Whether it comes first or last.
        for kernels in [[&[culprit], &right[..]].concat(), [&right[..], &[culprit]].concat()] {
            let choices = Choices::new(None);
            kernels.iter().for_each(|kernel| choices.variants().record(kernel, State::Passed, ""));
            assert_eq!(admitted(&kernels, &weights, &choices), names(&right));
            assert_eq!(choices.variants().state(culprit), Some(State::Wrong));
        }
    }

    #[test]
    fn what_is_quarantined_is_not_run() {
        let weights = fake::weights(70, 3);
        let right = fake::kernels(&weights);
        let trap = fake::trap(&weights);
        for state in [State::Abandoned, State::Crashed, State::Wrong] {
            let choices = Choices::new(None);
            choices.variants().record(trap, state, "");
            assert_eq!(admitted(&[&right[..], &[trap]].concat(), &weights, &choices), names(&right));
        }
    }
}
