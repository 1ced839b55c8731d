//! Numbers, and the plain form of a product.

use quantloom_codegen::lower::class::SEGMENT;

/// Numbers that look random and are the same every time: splitmix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// The class `exact`, as plainly as it can be said: segments from +0 in K order, then their sums from +0 in order.
pub fn product(weights: &[f32], x: &[f32], multiply_add: impl Fn(f32, f32, f32) -> f32) -> Vec<f32> {
    let dot = |row: &[f32]| {
        let segments = row.chunks(SEGMENT).zip(x.chunks(SEGMENT));
        let sums = segments.map(|(w, x)| w.iter().zip(x).fold(0.0, |sum, (w, x)| multiply_add(*w, *x, sum)));
        sums.fold(0.0, |sum, segment| sum + segment)
    };
    weights.chunks(x.len()).map(dot).collect()
}
