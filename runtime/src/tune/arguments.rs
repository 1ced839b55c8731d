//! The arguments that a kernel may be run with: what the second stage of a race tries.

use super::Effort;
use crate::matmul::Launch;
use crate::registry::Schedule;

/// Distances into the second-level cache, in bytes: from a few lines, which cover the latency of a near memory, to what a slow one takes at
/// the pace of the fastest kernel.
const FAR: [usize; 6] = [512, 1024, 2048, 4096, 8192, 16384];

/// Distances into the first-level cache, in bytes.
const NEAR: [usize; 4] = [256, 512, 1024, 2048];

/// Tiles of a call. One is read as it lies in memory; more share the activations of a segment while those are in the nearest cache.
const TILES: [usize; 4] = [1, 2, 8, 32];

/// Launches of the same kernel that differ from `launch` in one argument each. A quick look takes the nearest distances only.
/// The order of tiles matters where more than one column is multiplied: the activations of one stay in the nearest cache.
pub fn alternatives(launch: Launch, batch: usize, effort: Effort) -> Vec<Launch> {
    let Launch { kernel, far, near, tiles, keep } = launch;
    let pick = |values: &[usize], now: usize, takes: bool| {
        let neighbour = |value: usize| value == now * 2 || value * 2 == now;
        let wanted = |value: &usize| takes && *value != now && (effort == Effort::Full || neighbour(*value));
        values.iter().copied().filter(wanted).collect::<Vec<_>>()
    };
    let fars = pick(&FAR, far, kernel.prefetch.is_far()).into_iter().map(|far| Launch { far, ..launch });
    let nears = pick(&NEAR, near, kernel.prefetch.is_near()).into_iter().map(|near| Launch { near, ..launch });
    let orders = pick(&TILES, tiles, batch > 1 && effort == Effort::Full).into_iter().map(|tiles| Launch { tiles, ..launch });
    let kept = (kernel.schedule == Schedule::Direct).then_some(Launch { keep: !keep, ..launch });
    fars.chain(nears).chain(orders).chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use quantloom_kernels::abi::Prefetch;

    use super::*;
    use crate::registry::Kernel;
    use crate::tune::fake;

    fn launch(prefetch: Prefetch) -> Launch {
        let kernel = fake::kernel(&fake::weights(1, 1), "any");
        Launch::of(Box::leak(Box::new(Kernel { prefetch, distances: (2048, 512), ..kernel })))
    }

    #[test]
    fn one_argument_changes_at_a_time() {
        for (prefetch, wanted) in
            [(Prefetch::None, 1), (Prefetch::Far, FAR.len()), (Prefetch::Both, FAR.len() + NEAR.len() - 1)]
        {
            let now = launch(prefetch);
            let of_one = alternatives(now, 1, Effort::Full);
            assert_eq!(of_one.len(), wanted);
            let of_many = alternatives(now, 8, Effort::Full);
            assert_eq!(of_many.len(), wanted + TILES.len());
            for other in of_many {
                let changed = [other.far != now.far, other.near != now.near, other.tiles != now.tiles, other.keep != now.keep];
                assert_eq!(changed.into_iter().filter(|changed| *changed).count(), 1, "{other}");
            }
        }
    }

    #[test]
    fn a_quick_look_takes_neighbours() {
        let quick = alternatives(launch(Prefetch::Far), 8, Effort::Quick);
        assert_eq!(quick.iter().map(|launch| launch.far).collect::<Vec<_>>(), [1024, 4096, 2048]);
        assert_eq!(alternatives(launch(Prefetch::None), 8, Effort::Quick).len(), 1);
    }
}
