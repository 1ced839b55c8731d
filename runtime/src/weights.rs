//! Packed weights.

use std::sync::{Arc, Mutex};

use quantloom_kernels::abi::{PANEL_ROWS, Palette};

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::registry::{Class, Format, Packed};
use crate::stored::Stored;

/// A weight matrix of N rows of K weights in its packed layout, which every kernel of its format reads.
#[derive(Debug)]
pub struct Weights {
    format: &'static Format,
    packed: &'static Packed,
    n: usize,
    k: usize,
    panels: Arc<Buffer>,
    /// The panel of `panels` that holds the first row.
    first: usize,
}

impl Weights {
    /// Packs `n` stored rows of `k` weights; `bytes` are as [`Stored::new`] takes them.
    ///
    /// # Errors
    /// As [`Stored::new`] and [`Weights::pack_stored`].
    pub fn pack(format: &'static Format, n: usize, k: usize, bytes: &[u8], pool: &Pool) -> Result<Self> {
        Self::pack_stored(&Stored::new(format, n, k, bytes)?, pool)
    }

    /// Packs a stored matrix.
    ///
    /// # Errors
    /// [`Error::NoKernel`] if the format has no packed form, [`Error::OutOfMemory`].
    pub fn pack_stored(stored: &Stored<'_>, pool: &Pool) -> Result<Self> {
        let (format, n, k) = (stored.format(), stored.n(), stored.k());
        let packed = packed_form(format)?;
        let panel_bytes = panel_bytes(packed.class, k);
        let len = panel_count(packed, n).checked_mul(panel_bytes).ok_or(Error::OutOfMemory { bytes: usize::MAX })?;
        let mut panels = Buffer::zeroed(len).map_err(|_| Error::OutOfMemory { bytes: len })?;
        if n > 0 && k > 0 {
            pack_panels(packed, stored, panels.bytes_mut(), panel_bytes, pool);
        }
        Ok(Self { format, packed, n, k, panels: Arc::new(panels), first: 0 })
    }

    /// Rows.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Weights of a row.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> &'static Format {
        self.format
    }

    /// The packed class.
    #[must_use]
    pub fn class(&self) -> &'static Class {
        self.packed.class
    }

    /// What the codes stand for.
    pub(crate) fn palette(&self) -> &'static Palette {
        &self.packed.palette
    }

    /// Bytes of the packed form.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        panel_count(self.packed, self.n) * panel_bytes(self.packed.class, self.k)
    }

    /// Bytes of the stored form, scales included.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.format.stored_bytes(self.n, self.k).unwrap_or(usize::MAX)
    }

    /// Units of a panel.
    pub(crate) fn units(&self) -> usize {
        self.k.div_ceil(self.packed.class.unit_weights)
    }

    /// Bytes of a tile of `rows` rows.
    pub(crate) fn tile_bytes(&self, rows: usize) -> usize {
        rows / PANEL_ROWS * panel_bytes(self.packed.class, self.k)
    }

    /// `count` tiles of `rows` rows from tile `first` on.
    pub(crate) fn tiles(&self, first: usize, rows: usize, count: usize) -> &[u8] {
        let (panel, panels) = (panel_bytes(self.packed.class, self.k), rows / PANEL_ROWS);
        &self.panels.bytes()[(self.first + first * panels) * panel..][..count * panels * panel]
    }

    /// A whole number of every kernel's tiles: row ranges start at multiples of it.
    pub(crate) fn tile_rows(&self) -> usize {
        tile_rows(self.packed)
    }

    /// `n` rows from row `first`, in the same memory.
    ///
    /// # Panics
    /// If `first` is not a multiple of [`Weights::tile_rows`], or there are not so many rows.
    pub(crate) fn rows(&self, first: usize, n: usize) -> Self {
        assert!(first.is_multiple_of(self.tile_rows()) && first + n <= self.n, "rows {first}..{} of {}", first + n, self.n);
        Self { n, panels: Arc::clone(&self.panels), first: self.first + first / PANEL_ROWS, ..*self }
    }

    /// A copy in memory of its own, for measurements that must not find the weights in a cache.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn duplicate(&self) -> Result<Self> {
        let len = self.packed_bytes();
        let mut panels = Buffer::zeroed(len).map_err(|_| Error::OutOfMemory { bytes: len })?;
        let start = self.first * panel_bytes(self.packed.class, self.k);
        panels.bytes_mut().copy_from_slice(&self.panels.bytes()[start..][..len]);
        Ok(Self { panels: Arc::new(panels), first: 0, ..*self })
    }
}

/// The packed form of a format.
fn packed_form(format: &'static Format) -> Result<&'static Packed> {
    format.packed.as_ref().ok_or_else(|| Error::NoKernel {
        format: format.name.to_owned(),
        wanted: "any class".to_owned(),
        available: Vec::new(),
    })
}

fn panel_bytes(class: &Class, k: usize) -> usize {
    k.div_ceil(class.unit_weights) * class.unit_bytes
}

/// Panels of `n` rows: a whole number of every kernel's tiles, so that no tile needs a special case.
fn panel_count(packed: &Packed, n: usize) -> usize {
    n.next_multiple_of(tile_rows(packed)) / PANEL_ROWS
}

/// The least common multiple of the heights of all tiles.
fn tile_rows(packed: &Packed) -> usize {
    packed.kernels.iter().fold(PANEL_ROWS, |rows, kernel| {
        (rows..).step_by(rows).find(|multiple| multiple.is_multiple_of(kernel.rows)).unwrap_or(rows)
    })
}

/// Packs 16 rows at a time, each panel on the thread that takes it.
fn pack_panels(packed: &Packed, stored: &Stored<'_>, panels: &mut [u8], panel_bytes: usize, pool: &Pool) {
    let blocks = stored.k() / stored.format().block_weights;
    let firsts = (0..stored.n()).step_by(PANEL_ROWS);
    // Each panel is taken once, by one thread: the locks are never contended.
    let jobs = firsts.zip(panels.chunks_mut(panel_bytes)).map(|job| Mutex::new(Some(job))).collect::<Vec<_>>();
    pool.run(jobs.len(), |index| {
        let job = jobs[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some((first, panel)) = job {
            let rows = first..stored.n().min(first + PANEL_ROWS);
            (packed.pack)(stored.tensors(), rows, blocks, panel);
        }
    });
}
