//! Formats over separate tensors: data packed by hand here, against their formulas.

mod common;

use quantloom_spec::eval::{Items, decode_tensors};

const ROWS: usize = 24;
const COLUMNS: usize = 384;

/// A number below `limit` for each row and column or group.
fn noise(row: usize, column: usize, limit: u32) -> u32 {
    let mixed = ((row * 7919 + column) as u32).wrapping_mul(2_654_435_761);
    (mixed >> 13) % limit
}

fn code(row: usize, column: usize) -> u32 {
    noise(row, column, 16)
}

fn zero(row: usize, group: usize) -> u32 {
    noise(row + 100, group, 16)
}

/// A scale as the bits of an f16: 1 to 2.
fn scale_bits(row: usize, group: usize) -> u16 {
    0x3C00 + noise(row + 200, group, 1024) as u16
}

fn scale(row: usize, group: usize) -> f32 {
    1.0 + noise(row + 200, group, 1024) as f32 / 1024.0
}

/// Eight nibbles as the bytes of a word; nibble i is `nibble(order[i])`.
fn word(order: [usize; 8], nibble: impl Fn(usize) -> u32) -> [u8; 4] {
    let word = order.iter().enumerate().fold(0, |word, (i, &which)| word | (nibble(which) << (4 * i)));
    word.to_le_bytes()
}

const STRAIGHT: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Scales, group by group.
fn scales(groups: usize) -> Vec<u8> {
    let each = (0..groups).flat_map(|group| (0..ROWS).map(move |row| scale_bits(row, group)));
    each.flat_map(u16::to_le_bytes).collect()
}

/// Zero points: for each group, words of eight rows.
fn zeros(groups: usize, order: [usize; 8]) -> Vec<u8> {
    let words = (0..groups).flat_map(|group| (0..ROWS / 8).map(move |octet| (group, octet)));
    words.flat_map(|(group, octet)| word(order, |row| zero(8 * octet + row, group))).collect()
}

fn compare(card: &str, tensors: &[(&[usize], &[u8])], weight: impl Fn(usize, usize) -> f32) {
    let items: Vec<Items<'_>> = tensors.iter().map(|&(shape, bytes)| Items { shape, bytes }).collect();
    let decoded = decode_tensors(&common::format(card), &items, ROWS, COLUMNS);
    assert_eq!(decoded.len(), ROWS * COLUMNS);
    for (i, value) in decoded.into_iter().enumerate() {
        let (row, column) = (i / COLUMNS, i % COLUMNS);
        assert_eq!(value.to_bits(), weight(row, column).to_bits(), "{card}: row {row}, column {column}");
    }
}

#[test]
fn words_along_the_columns() {
    let groups = COLUMNS / 128;
    let words = (0..COLUMNS / 8).flat_map(|octet| (0..ROWS).map(move |row| (octet, row)));
    let codes: Vec<u8> = words.flat_map(|(octet, row)| word(STRAIGHT, |lane| code(row, 8 * octet + lane))).collect();
    let tensors: [(&[usize], &[u8]); 3] =
        [(&[COLUMNS / 8, ROWS], &codes), (&[groups, ROWS / 8], &zeros(groups, STRAIGHT)), (&[groups, ROWS], &scales(groups))];
    compare("gptq_4bit_g128", &tensors, |row, column| {
        let group = column / 128;
        scale(row, group) * (code(row, column) as f32 - (zero(row, group) + 1) as f32)
    });
}

#[test]
fn words_along_the_rows() {
    let (groups, order) = (COLUMNS / 128, [0, 2, 4, 6, 1, 3, 5, 7]);
    let words = (0..COLUMNS).flat_map(|column| (0..ROWS / 8).map(move |octet| (column, octet)));
    let codes: Vec<u8> = words.flat_map(|(column, octet)| word(order, |row| code(8 * octet + row, column))).collect();
    let tensors: [(&[usize], &[u8]); 3] =
        [(&[COLUMNS, ROWS / 8], &codes), (&[groups, ROWS / 8], &zeros(groups, order)), (&[groups, ROWS], &scales(groups))];
    compare("awq_4bit_g128", &tensors, |row, column| {
        let group = column / 128;
        scale(row, group) * (code(row, column) as f32 - zero(row, group) as f32)
    });
}

#[test]
fn levels_high_nibble_first() {
    let groups = COLUMNS / 64;
    let pairs = (0..ROWS).flat_map(|row| (0..COLUMNS / 2).map(move |byte| (row, 2 * byte)));
    let data: Vec<u8> = pairs.map(|(row, column)| (code(row, column) << 4 | code(row, column + 1)) as u8).collect();
    let each = (0..ROWS).flat_map(|row| (0..groups).map(move |group| scale(row, group)));
    let absmax: Vec<u8> = each.flat_map(f32::to_le_bytes).collect();
    let levels = common::format("nf4").pieces[0].code.levels.clone().unwrap().values;
    let tensors: [(&[usize], &[u8]); 2] = [(&[ROWS, COLUMNS / 2], &data), (&[ROWS, groups], &absmax)];
    compare("nf4", &tensors, |row, column| scale(row, column / 64) * levels[code(row, column) as usize]);
}
