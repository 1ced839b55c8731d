//! Who races: of many kernels those that may win.

use super::cost::{Model, Problem};
use super::{Digest, Effort, Key};
use crate::machine::Caches;
use crate::registry::Kernel;

/// So many kernels race that the cost model thinks best. They held the fastest in 98% of the problems that the model was judged by.
const BEST: usize = 3;

/// The kernels that race for a problem, in card order: all, or, where a quick look must do and there is a cost model, its best ones, the
/// default, and one besides, which differs from problem to problem, so that what the model does not know has a chance.
pub fn field(
    kernels: &[&'static Kernel],
    default: &'static Kernel,
    key: &Key,
    batch: usize,
    effort: Effort,
    caches: &Caches,
) -> Vec<&'static Kernel> {
    let Some(model) = Model::here(default.isa(), default.numerics).filter(|_| effort == Effort::Quick) else {
        return kernels.to_vec();
    };
    let problem = Problem { n: key.n, k: key.k, batch, threads: key.threads };
    let ranked = model.rank(kernels, &problem, caches).into_iter().map(|(kernel, _)| kernel).collect::<Vec<_>>();
    let (best, others) = ranked.split_at(BEST.min(ranked.len()));
    let wild = Digest::of(&[&key.format, &key.batch.to_string(), &format!("{}x{}", key.n, key.k)]).0 as usize;
    let wild = others.get(wild % others.len().max(1)).copied();
    let races = |kernel: &&'static Kernel| {
        let same = |other: &'static Kernel| std::ptr::eq(*kernel, other);
        same(default) || wild.is_some_and(same) || best.iter().copied().any(same)
    };
    kernels.iter().copied().filter(races).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matmul;
    use crate::registry::{self, Numerics};
    use crate::tune::fake;

    #[test]
    fn a_quick_race_has_the_default_and_few_others() {
        let weights = fake::weights(256, 4);
        let caches = Caches { l1d: 32 << 10, l2: 1 << 20, l3: 0, l3_sharers: 1 };
        for isa in registry::isas().iter().copied().filter(|isa| isa.is_available()) {
            let Ok(kernels) = matmul::candidates(&weights, Numerics::Exact, isa) else { continue };
            for batch in [1, 5, 40, 300] {
                let default = matmul::default(&kernels, batch).kernel;
                let key = Key::new(&weights, batch, Numerics::Exact, isa, 1);
                let of = |effort| field(&kernels, default, &key, batch, effort, &caches);
                assert_eq!(of(Effort::Full).len(), kernels.len());
                let quick = of(Effort::Quick);
                assert!(quick.iter().any(|kernel| std::ptr::eq(*kernel, default)), "{}", default.name);
                let modelled = Model::here(default.isa(), Numerics::Exact).is_some();
                assert!(quick.len() <= if modelled { BEST + 2 } else { kernels.len() });
                assert!(quick.is_sorted_by_key(|kernel| kernels.iter().position(|other| std::ptr::eq(*other, *kernel))));
            }
        }
    }
}
