//! Blocks and activations to test with: random ones, and those that are hard to get right.

use quantloom_spec::model::{self, Blocks, Element, Home, Storage};

use super::Failure;
use super::joined::Joined;
use crate::registry::Format;

/// Bytes that fill hard blocks.
pub const EVERYWHERE: [u8; 5] = [0x00, 0xFF, 0x55, 0xAA, 0x80];

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
    pub fn unit(&mut self) -> f32 {
        self.bits() as i32 as f32 / 2_f32.powi(31)
    }
}

/// Rows of one block, headers included, in which a decoder meets every bit alone, all bits at once, and the special values of every
/// float that the card has.
pub fn hard_rows(blocks: &Blocks) -> Vec<Vec<u8>> {
    let bytes = blocks.header + blocks.bytes;
    let mut random = Random(1);
    let mut rows = EVERYWHERE.map(|byte| vec![byte; bytes]).to_vec();
    rows.extend((0..8 * bytes).map(|bit| {
        let mut row = vec![0; bytes];
        row[bit / 8] = 1 << (bit % 8);
        row
    }));
    for field in &blocks.fields {
        let at = if field.home == Home::Block { blocks.header + field.at } else { field.at };
        let size = field.element.bits() as usize / 8;
        for value in special_values(field.element) {
            let mut row = random.bytes(bytes);
            for item in row[at..][..size * field.count.unwrap_or(1)].chunks_exact_mut(size) {
                item.copy_from_slice(&value.to_le_bytes()[..size]);
            }
            rows.push(row);
        }
    }
    rows
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

/// The stored bytes of `n` rows of `k` weights that are finite and not too large: random ones, and hard ones among them.
///
/// # Errors
/// Random bits hardly ever make such weights.
pub fn moderate(format: &'static Format, card: &model::Format, n: usize, k: usize) -> Result<Vec<u8>, Failure> {
    let mut random = Random(2);
    match &card.storage {
        Storage::Blocks(blocks) => {
            let hard = hard_rows(blocks);
            let rows = (0..n).map(|_| moderate_row(format, blocks, &hard, k / blocks.weights, &mut random));
            rows.collect::<Option<Vec<_>>>().map(|rows| rows.concat()).ok_or_else(|| {
                Failure::new(format, format!("random bits do not make weights up to {LARGEST}: nothing can be multiplied"))
            })
        }
        Storage::Tensors(tensors) => {
            let shapes = format.shapes(n, k).unwrap_or_default();
            let items = |(shape, _): &(Vec<usize>, usize)| shape.iter().product::<usize>();
            let tensors = tensors.tensors.iter().zip(&shapes);
            let mut bytes: Vec<u8> =
                tensors.flat_map(|(tensor, shape)| moderate_items(tensor.element, items(shape), &mut random)).collect();
            Joined::all(card, &shapes).for_each(|joined| joined.moderate(n, k, &mut bytes));
            Ok(bytes)
        }
    }
}

/// A header and blocks that are moderate under it; every fourth is hard, if there is such a one.
fn moderate_row(
    format: &'static Format,
    blocks: &Blocks,
    hard: &[Vec<u8>],
    count: usize,
    random: &mut Random,
) -> Option<Vec<u8>> {
    const HEADERS: usize = 256;
    const TRIES: usize = 64;
    let mut weights = vec![0.0; blocks.weights];
    let mut fits = |row: &[u8]| {
        let decoded = crate::decode(format, 1, blocks.weights, row, &mut weights);
        decoded.is_ok() && weights.iter().all(|weight| weight.abs() <= LARGEST)
    };
    (0..HEADERS).find_map(|_| {
        let head = random.bytes(blocks.header);
        let mut row = head.clone();
        for index in 0..count {
            let candidates = (0..TRIES).map(|_| match index % 4 {
                3 => hard[random.bits() as usize % hard.len()][blocks.header..].to_vec(),
                _ => random.bytes(blocks.bytes),
            });
            row.extend(candidates.into_iter().find(|block| fits(&[&head[..], block].concat()))?);
        }
        Some(row)
    })
}

/// Items of a separate tensor: any integers and small floats; floats of about 1/2, and among them some zeros and subnormals.
fn moderate_items(element: Element, count: usize, random: &mut Random) -> Vec<u8> {
    let size = element.bits() as usize / 8;
    (0..count).flat_map(|_| moderate_item(element, random.bits()).to_le_bytes().into_iter().take(size)).collect()
}

/// One of them, by random bits.
pub fn moderate_item(element: Element, bits: u64) -> u64 {
    // An exponent has none of those.
    let tiny = special_values(element).get(..5).filter(|_| element != Element::E8m0).unwrap_or_default();
    let usual = match element {
        Element::Unsigned(_) | Element::Signed(_) => bits,
        Element::F16 => 0x3800 | bits & 0x3FF,
        Element::Bf16 => 0x3F00 | bits & 0x7F,
        Element::F32 => 0x3F00_0000 | bits & 0x7F_FFFF,
        Element::E8m0 => 0x78 | bits & 7,
        Element::E4m3 | Element::Ue4m3 if bits & 0x7F == 0x7F => 0x30,
        Element::E4m3 | Element::Ue4m3 => bits & 0xFF,
    };
    tiny.get((bits >> 56) as usize % 40).copied().unwrap_or(usual)
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
