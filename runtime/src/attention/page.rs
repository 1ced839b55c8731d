//! Pages of cached keys and values: packed weights, which the kernels of the matmul read.

use std::ops::Range;
use std::sync::Arc;

use quantloom_kernels::abi::{PANEL_ROWS, TILE_ROWS};

use super::encoding::Encoding;
use super::{KvType, SPAN};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::registry::{Format, Packed};
use crate::stored::Stored;

/// How keys are held, or values.
#[derive(Clone, Debug)]
pub struct Side {
    pub kv_type: KvType,
    pub format: &'static Format,
    pub packed: &'static Packed,
    pub encoding: Encoding,
    /// Values of a head, filled up to what the format needs.
    pub size: usize,
    /// Bytes of a panel of a page.
    pub panel_bytes: usize,
    /// Panels of a page.
    pub panels: usize,
}

/// What is cached of a key head.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub pages: Vec<Arc<Page>>,
    /// The stored rows of keys in blocks, which are packed with their panel again: those of the panel that was written last, and of the one
    /// before it, which may be taken back.
    pub recent: Vec<u8>,
}

/// 512 positions of a head; zeros where nothing was appended.
#[derive(Debug)]
pub struct Page {
    /// Positions are the rows of a matrix: panels of 16 positions.
    pub keys: Buffer,
    /// Positions are the columns: panels of 16 values.
    pub values: Buffer,
}

impl Side {
    pub fn of_keys(kv_type: KvType, size: usize) -> Result<Self> {
        let (format, encoding, packed) = stored_as(kv_type)?;
        let size = size.next_multiple_of(encoding.multiple());
        let panel_bytes = size.div_ceil(packed.class.unit_weights) * packed.class.unit_bytes;
        Ok(Self { kv_type, format, packed, encoding, size, panel_bytes, panels: SPAN / PANEL_ROWS })
    }

    pub fn of_values(kv_type: KvType, size: usize) -> Result<Self> {
        let (format, encoding, packed) = stored_as(kv_type)?;
        if matches!(encoding, Encoding::Blocks(_)) {
            let detail = format!(
                "values in {kv_type} would share scales along the head, and are multiplied along positions; store them as {}",
                KvType::F16
            );
            return Err(Error::Attention { detail });
        }
        let panel_bytes = SPAN / packed.class.unit_weights * packed.class.unit_bytes;
        let panels = size.next_multiple_of(TILE_ROWS) / PANEL_ROWS;
        Ok(Self { kv_type, format, packed, encoding, size, panel_bytes, panels })
    }

    pub fn page_bytes(&self) -> usize {
        self.panels * self.panel_bytes
    }

    /// Bytes of a line of a panel: a number for each of 16.
    pub fn line_bytes(&self) -> usize {
        PANEL_ROWS * self.item()
    }

    /// Bytes of the stored row of a position.
    pub fn row_bytes(&self) -> usize {
        self.encoding.row_bytes(self.size)
    }

    /// Bytes of a number, where each is kept as it is.
    fn item(&self) -> usize {
        self.encoding.row_bytes(1)
    }
}

/// The format of a type, how it stores rows, and its packed form.
fn stored_as(kv_type: KvType) -> Result<(&'static Format, Encoding, &'static Packed)> {
    let (format, encoding) = kv_type.encoding()?;
    let packed = format.packed.as_ref().filter(|packed| {
        // Each number as it is: the places of a unit are those of its numbers.
        let class = packed.class;
        let in_place = || class.unit_bytes == class.unit_weights * PANEL_ROWS * encoding.row_bytes(1);
        SPAN.is_multiple_of(class.unit_weights) && (matches!(encoding, Encoding::Blocks(_)) || in_place())
    });
    let none = || Error::Attention { detail: format!("no packed form of {kv_type} can be appended to; choose another type") };
    Ok((format, encoding, packed.ok_or_else(none)?))
}

impl Page {
    /// A page that nothing was written to.
    pub fn zeroed(keys: usize, values: usize) -> Result<Self> {
        let zeroed = |bytes| Buffer::zeroed(bytes).map_err(|_| Error::OutOfMemory { bytes });
        Ok(Self { keys: zeroed(keys)?, values: zeroed(values)? })
    }

    pub fn duplicate(&self) -> Result<Self> {
        let mut copy = Self::zeroed(self.keys.bytes().len(), self.values.bytes().len())?;
        copy.keys.bytes_mut().copy_from_slice(self.keys.bytes());
        copy.values.bytes_mut().copy_from_slice(self.values.bytes());
        Ok(copy)
    }
}

impl Head {
    /// A page that is written to.
    pub fn page(&mut self, place: usize) -> &mut Page {
        Arc::get_mut(&mut self.pages[place]).expect("what is written to was made that of nobody else")
    }

    /// Writes the stored rows of some positions, which follow those that were written before.
    pub fn write(&mut self, keys: &Side, values: &Side, positions: Range<usize>, rows: (&[u8], &[u8])) {
        let of_values = rows.1.chunks_exact(values.row_bytes());
        for (position, row) in positions.clone().zip(of_values) {
            write_column(values, self.page(position / SPAN).values.bytes_mut(), position % SPAN, row);
        }
        let of_keys = rows.0.chunks_exact(keys.row_bytes());
        for (position, row) in positions.clone().zip(of_keys) {
            let (page, lane) = (self.page(position / SPAN).keys.bytes_mut(), position % PANEL_ROWS);
            let panel = &mut page[position % SPAN / PANEL_ROWS * keys.panel_bytes..][..keys.panel_bytes];
            if !matches!(keys.encoding, Encoding::Blocks(_)) {
                write_row(keys, panel, lane, row);
                continue;
            }
            if lane == 0 {
                let older = self.recent.len().saturating_sub(PANEL_ROWS * keys.row_bytes());
                self.recent.drain(..older);
            }
            self.recent.extend_from_slice(row);
            if lane == PANEL_ROWS - 1 || position == positions.end - 1 {
                self.pack_recent(keys, lane + 1, position / SPAN, position % SPAN / PANEL_ROWS);
            }
        }
    }

    /// Packs the panel that was written last, of which there are `rows`.
    fn pack_recent(&mut self, keys: &Side, rows: usize, page: usize, panel: usize) {
        let start = self.recent.len() - rows * keys.row_bytes();
        let rest = &self.recent[start..];
        let page = Arc::get_mut(&mut self.pages[page]).expect("as in `Head::page`").keys.bytes_mut();
        pack_rows(keys, &mut page[panel * keys.panel_bytes..][..keys.panel_bytes], rows, rest);
    }

    /// Makes what the last positions have zero again, and gives back pages that nothing is left in.
    pub fn truncate(&mut self, keys: &Side, values: &Side, positions: Range<usize>) {
        self.pages.truncate(positions.start.div_ceil(SPAN));
        let in_blocks = matches!(keys.encoding, Encoding::Blocks(_));
        let end = positions.end.min(self.pages.len() * SPAN);
        let (no_key, no_value) = (vec![0; keys.row_bytes()], vec![0; values.row_bytes()]);
        for position in positions.start..end {
            let page = self.page(position / SPAN);
            write_column(values, page.values.bytes_mut(), position % SPAN, &no_value);
            let panel = &mut page.keys.bytes_mut()[position % SPAN / PANEL_ROWS * keys.panel_bytes..][..keys.panel_bytes];
            if in_blocks {
                panel.fill(0);
            } else {
                write_row(keys, panel, position % PANEL_ROWS, &no_key);
            }
        }
        if in_blocks {
            let left = self.recent.len().saturating_sub(positions.len() * keys.row_bytes());
            self.recent.truncate(left);
            let (rows, last) = (positions.start % PANEL_ROWS, positions.start);
            if rows > 0 {
                self.pack_recent(keys, rows, last / SPAN, last % SPAN / PANEL_ROWS);
            }
        }
    }
}

/// Puts a row of numbers into a lane of a panel.
fn write_row(side: &Side, panel: &mut [u8], lane: usize, row: &[u8]) {
    fn put<const ITEM: usize>(panel: &mut [u8], lane: usize, row: &[u8]) {
        // Units follow each other without a gap: a line of 16 lanes for each number.
        let places = panel.as_chunks_mut::<ITEM>().0[lane..].iter_mut().step_by(PANEL_ROWS);
        for (place, item) in places.zip(row.as_chunks::<ITEM>().0) {
            *place = *item;
        }
    }
    match side.item() {
        2 => put::<2>(panel, lane, row),
        _ => put::<4>(panel, lane, row),
    }
}

/// Puts the numbers of a position into a column of a page of values.
fn write_column(side: &Side, page: &mut [u8], position: usize, row: &[u8]) {
    let lanes = side.line_bytes();
    for (panel, items) in page.chunks_exact_mut(side.panel_bytes).zip(row.chunks(lanes)) {
        panel[position * lanes..][..items.len()].copy_from_slice(items);
    }
}

/// Packs the first rows of a panel from their stored form.
fn pack_rows(side: &Side, panel: &mut [u8], count: usize, rows: &[u8]) {
    let stored = Stored::new(side.format, count, side.size, rows).expect("as many whole rows as were appended");
    panel.fill(0);
    (side.packed.pack)(&stored.tensors(), 0..count, 0..side.size / side.format.block_weights, panel);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    /// Pages are packed weights: what is appended lies where the packer of the format puts it.
    #[test]
    fn pages_are_what_packers_make() {
        let positions = 37;
        for kv_type in KvType::ALL {
            for size in [8, 64, 72, 96] {
                let side = Side::of_keys(kv_type, size).unwrap();
                let mut rows = vec![0_u32; (positions * side.row_bytes()).div_ceil(4)];
                let rows = &mut bytemuck::cast_slice_mut(&mut rows)[..positions * side.row_bytes()];
                for (position, row) in rows.chunks_exact_mut(side.row_bytes()).enumerate() {
                    let mut values =
                        (0..size).map(|index| ((position * 31 + index * 7) % 53) as f32 - 20.0).collect::<Vec<_>>();
                    values.resize(side.size, 0.0);
                    assert!(side.encoding.encode(registry::best_isa().rows(), &values, row));
                }
                let of_values =
                    if kv_type == KvType::Q8 { Side::of_values(KvType::F32, size) } else { Side::of_values(kv_type, size) };
                let of_values = of_values.unwrap();
                let value_rows = vec![0; positions * of_values.row_bytes()];
                let value_rows = if kv_type == KvType::Q8 { &value_rows[..] } else { &*rows };
                let page = Page::zeroed(side.page_bytes(), of_values.page_bytes()).unwrap();
                let mut head = Head { pages: vec![Arc::new(page)], ..Head::default() };
                // In uneven parts.
                for part in [0..1, 1..18, 18..37] {
                    let bytes = |of: &Side| part.start * of.row_bytes()..part.end * of.row_bytes();
                    head.write(&side, &of_values, part.clone(), (&rows[bytes(&side)], &value_rows[bytes(&of_values)]));
                }
                let pack = |side: &Side, n: usize, k: usize, stored: &[u8], page: &Buffer| {
                    let stored = Stored::new(side.format, n, k, stored).unwrap();
                    let mut wanted = vec![0_u8; side.page_bytes()];
                    for (first, panel) in (0..n).step_by(PANEL_ROWS).zip(wanted.chunks_exact_mut(side.panel_bytes)) {
                        let blocks = 0..k / side.format.block_weights;
                        (side.packed.pack)(&stored.tensors(), first..n.min(first + PANEL_ROWS), blocks, panel);
                    }
                    assert!(page.bytes() == wanted, "{kv_type}, {size}");
                };
                pack(&side, positions, side.size, rows, &head.pages[0].keys);
                if kv_type != KvType::Q8 {
                    // Transposed, and filled up with zeros to a span.
                    let item = side.item();
                    let mut columns = vec![0; size * SPAN * item];
                    for (index, bytes) in rows.chunks_exact(item).enumerate() {
                        let (position, value) = (index / size, index % size);
                        columns[(value * SPAN + position) * item..][..item].copy_from_slice(bytes);
                    }
                    pack(&of_values, size, SPAN, &columns, &head.pages[0].values);
                }
            }
        }
    }
}
