//! Rotary position embedding.

/// Rotates pairs of values of a head by the angles of a position, whose cosines and sines are given: `y0 = fma(x0, c, -(x1 * s))` and
/// `y1 = fma(x1, c, x0 * s)`. Pair i of n is values 2i and 2i + 1 where pairs are neighbours, else values i and i + n; values beyond
/// stay.
///
/// # Panics
/// If there are not as many sines as cosines, or fewer values than pairs need.
#[inline(always)]
pub fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32], neighbours: bool) {
    let pairs = cos.len();
    assert!(sin.len() == pairs && head.len() >= 2 * pairs, "{pairs} pairs of {} values", head.len());
    let head = &mut head[..2 * pairs];
    if neighbours {
        for ((pair, c), s) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
            *pair = rotated(*pair, *c, *s);
        }
    } else {
        let (low, high) = head.split_at_mut(pairs);
        for (((x0, x1), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            [*x0, *x1] = rotated([*x0, *x1], *c, *s);
        }
    }
}

#[inline(always)]
fn rotated([x0, x1]: [f32; 2], c: f32, s: f32) -> [f32; 2] {
    [x0.mul_add(c, -(x1 * s)), x1.mul_add(c, x0 * s)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_turn_and_the_rest_stays() {
        let (cos, sin) = ([0.0, -1.0], [1.0, 0.0]);
        let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
        rotate(&mut head, &cos, &sin, true);
        assert_eq!(head, [-2.0, 1.0, -3.0, -4.0, 5.0]);
        let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
        rotate(&mut head, &cos, &sin, false);
        assert_eq!(head, [-3.0, -2.0, 1.0, -4.0, 5.0]);
        let [x0, x1, c, s] = [0.3_f32, 0.7, 0.8, 0.6];
        let mut head = [x0, x1];
        rotate(&mut head, &[c], &[s], false);
        assert_eq!(head, [x0.mul_add(c, -(x1 * s)), x1.mul_add(c, x0 * s)]);
    }
}
