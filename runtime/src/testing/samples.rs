//! Blocks and activations to test with: random ones, and those that are hard to get right.

use quantloom_spec::model::{self, Element, Home};

use super::Failure;
use crate::registry::Format;

/// Numbers that repeat from run to run: splitmix64.
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// A value of either sign below 1.
    fn unit(&mut self) -> f32 {
        self.bits() as i32 as f32 / 2_f32.powi(31)
    }
}

/// Blocks in which a decoder meets every bit alone, all bits at once, and the special values of every float that the card has.
pub fn hard_blocks(card: &model::Format) -> Vec<Vec<u8>> {
    let Some(storage) = card.blocks() else { return Vec::new() };
    let mut random = Random(1);
    let mut blocks = [0x00, 0xFF, 0x55, 0xAA, 0x80].map(|byte| vec![byte; storage.bytes]).to_vec();
    blocks.extend((0..8 * storage.bytes).map(|bit| {
        let mut block = vec![0; storage.bytes];
        block[bit / 8] = 1 << (bit % 8);
        block
    }));
    for field in storage.fields.iter().filter(|field| field.home == Home::Block) {
        let size = field.element.bits() as usize / 8;
        for value in special_values(field.element) {
            let mut block = random.bytes(storage.bytes);
            for item in block[field.at..][..size * field.count.unwrap_or(1)].chunks_exact_mut(size) {
                item.copy_from_slice(&value.to_le_bytes()[..size]);
            }
            blocks.push(block);
        }
    }
    blocks
}

/// The bits of floats at the ends of their ranges: zeros, subnormals, the smallest normal, one, infinity and what is beyond.
fn special_values(element: Element) -> &'static [u64] {
    match element {
        Element::Unsigned(_) | Element::Signed(_) => &[],
        Element::F16 => &[0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x3C00, 0x7BFF, 0x7C00, 0xFC00, 0x7E01],
        Element::Bf16 => &[0, 0x8000, 1, 0x8001, 0x7F, 0x80, 0x3F80, 0x7F7F, 0x7F80, 0xFF80, 0x7FC1],
        Element::F32 => {
            &[0, 0x8000_0000, 1, 0x8000_0001, 0x7F_FFFF, 0x80_0000, 0x3F80_0000, 0x7F7F_FFFF, 0x7F80_0000, 0x7FC0_0001]
        }
        Element::E8m0 => &[0, 1, 127, 254, 255],
        Element::E4m3 | Element::Ue4m3 => &[0, 1, 7, 8, 0x38, 0x7E, 0x7F, 0x80, 0xFE, 0xFF],
    }
}

/// The largest weight that products are tested with: sums of many of them times [`activations`] stay finite.
const LARGEST: f32 = 1e4;

/// `count` blocks of weights that are finite and not too large: random ones, and hard ones among them.
///
/// # Errors
/// Random bits hardly ever make such a block.
pub fn moderate_blocks(format: &Format, card: &model::Format, count: usize) -> Result<Vec<u8>, Failure> {
    const DISTINCT: usize = 128;
    const TRIES: usize = 1 << 14;
    let mut weights = vec![0.0_f32; format.block_weights];
    let mut moderate = |block: &[u8]| {
        (format.decode)(block, &mut weights);
        weights.iter().all(|weight| weight.abs() <= LARGEST)
    };
    let hard = hard_blocks(card).into_iter().filter(|block| moderate(block)).collect::<Vec<_>>();
    let mut random = Random(2);
    let tries = (0..TRIES).map(|_| random.bytes(format.block_bytes));
    let usual = tries.filter(|block| moderate(block)).take(DISTINCT).collect::<Vec<_>>();
    if usual.is_empty() {
        let what = format!("none of {TRIES} random blocks has weights up to {LARGEST}: nothing can be multiplied");
        return Err(Failure::new(format, what));
    }
    let mut pick = |blocks: &[Vec<u8>]| blocks[random.bits() as usize % blocks.len()].clone();
    let blocks = (0..count).flat_map(|index| if index % 4 == 3 && !hard.is_empty() { pick(&hard) } else { pick(&usual) });
    Ok(blocks.collect())
}

/// `batch` rows of `k` activations: some are zero, tiny, of very different sizes or at the limit of the quantised range, the rest
/// are random. All are finite.
pub fn activations(batch: usize, k: usize) -> Vec<f32> {
    const HARD: [fn(usize) -> f32; 7] = [
        |_| 0.0,
        |_| 1e-42,
        |index| if index % 2 == 0 { 1.0 } else { -1.0 },
        |index| if index % 256 == 3 { 1e30 } else { 1e-30 },
        |_| -1.0,
        |index| if index % 32 < 16 { -0.0 } else { 3.0 },
        |index| 1.5_f32.powi(index as i32 / 97 % 20 - 10),
    ];
    let mut random = Random(3);
    let row = |row: usize| match HARD.get(row / 2) {
        Some(hard) if row % 2 == 1 => (0..k).map(hard).collect::<Vec<_>>(),
        _ => (0..k).map(|_| random.unit()).collect(),
    };
    (0..batch).flat_map(row).collect()
}
