//! An instruction set runs the kernels of its base for a class that it has none of, and what is known of those holds for it.

use quantloom::matmul::{Request, candidates, matmul, select};
use quantloom::pool::Pool;
use quantloom::registry::{self, Isa, Numerics, kernel_isa};
use quantloom::tune::{Choices, Keep, Key};

use super::support::{entry, weights};

/// The pairs of an instruction set of this processor and a class, and whose kernels they run.
fn pairs() -> impl Iterator<Item = (&'static Isa, Numerics, &'static Isa)> {
    let here = registry::isas().iter().copied().filter(|isa| isa.is_available());
    let pairs = here.flat_map(|isa| Numerics::ALL.map(|numerics| (isa, numerics)));
    pairs.map(|(isa, numerics)| (isa, numerics, kernel_isa(super::support::format(), numerics, isa)))
}

#[test]
fn every_instruction_set_runs_every_class() {
    let weights = weights(20, 2);
    let x = vec![0.5; weights.k()];
    for (isa, numerics, owner) in pairs() {
        assert!(isa.lineage().any(|other| std::ptr::eq(other, owner)), "{} runs kernels of {}", isa.name, owner.name);
        let request = Request::default().numerics(numerics).isa(isa);
        let mut y = vec![0.0; weights.n()];
        let used = matmul(&weights, &x, 1, &mut y, &request, Pool::global()).unwrap();
        assert_eq!(
            (used.launch.kernel.isa().name, used.launch.kernel.numerics),
            (owner.name, numerics),
            "asked for {}",
            isa.name
        );
        let all = candidates(&weights, numerics, isa).unwrap();
        assert!(all.iter().all(|kernel| kernel.isa().name == owner.name && kernel.numerics == numerics));
        for kernel in all {
            let pinned = request.launch(kernel);
            assert_eq!(select(&weights, 1, &pinned, Pool::global()).unwrap().launch, kernel.into());
        }
    }
}

#[test]
fn a_choice_holds_for_all_that_run_the_kernel() {
    let weights = weights(20, 2);
    for (isa, numerics, owner) in pairs() {
        let kernel = *candidates(&weights, numerics, isa).unwrap().last().unwrap();
        let choices = Choices::new(None);
        choices.record(entry(Key::new(&weights, 1, numerics, isa, 1), kernel), Keep::InMemory);
        let found = choices.find(&Key::new(&weights, 1, numerics, owner, 1)).unwrap();
        assert_eq!(found.0, kernel.into(), "{numerics} on {}", isa.name);
    }
}

#[test]
fn what_an_instruction_set_does_not_run_is_refused() {
    let weights = weights(20, 2);
    for (isa, numerics, owner) in pairs() {
        let others = registry::kernels(weights.format()).iter().filter(|kernel| kernel.numerics == numerics);
        for kernel in others.filter(|kernel| kernel.isa().name != owner.name) {
            let request = Request::default().numerics(numerics).isa(isa).launch(kernel);
            assert!(select(&weights, 1, &request, Pool::global()).is_err(), "{} on {}", kernel.name, isa.name);
        }
    }
}
