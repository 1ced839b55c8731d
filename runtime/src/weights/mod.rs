//! Weights that kernels multiply by.

mod decode;
mod kept;
mod layout;
mod panels;
mod shape;
mod shared;

use std::ops::Range;
use std::sync::Arc;

use quantloom_kernels::abi::{ALIGNMENT, PANEL_ROWS, Palette, TILE_ROWS};

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::registry::{self, Class, Format, Packed};
use crate::stored::Stored;
use kept::Kept;
pub(crate) use kept::Scratch;
pub use layout::Layout;
use panels::pack_panels;
pub use shape::Shape;
pub(crate) use shared::Shared;

/// Stored bytes that are packed before whoever reads them hears of it.
const STEP: usize = 16 << 20;

/// A weight matrix of N rows of K weights, in a form that every kernel of its format reads. Clones of parts share its memory.
#[derive(Debug)]
pub struct Weights {
    format: &'static Format,
    packed: &'static Packed,
    n: usize,
    k: usize,
    held: Held,
    /// The panel that holds the first row.
    first: usize,
}

/// The bytes of weights.
#[derive(Clone, Debug)]
enum Held {
    Panels(Shared),
    Kept(Arc<Kept>),
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
        Self::pack_by_steps(stored, pool, &mut |_| {})
    }

    /// Packs a stored matrix; `done` hears of rows that will not be read again.
    ///
    /// # Errors
    /// As [`Weights::pack_stored`].
    pub(crate) fn pack_by_steps(stored: &Stored<'_>, pool: &Pool, done: &mut dyn FnMut(Range<usize>)) -> Result<Self> {
        let (format, n, k) = (stored.format(), stored.n(), stored.k());
        let packed = packed_form(format)?;
        let len = panels_bytes(packed, n, k)?;
        let mut panels = Buffer::zeroed(len).map_err(|_| Error::OutOfMemory { bytes: len })?;
        if n > 0 && k > 0 {
            let row_bytes = (format.stored_bytes(n, k).unwrap_or(usize::MAX) / n).max(1);
            let rows = (STEP / row_bytes).max(PANEL_ROWS * pool.threads()).next_multiple_of(PANEL_ROWS);
            let panel = panel_bytes(packed.class, k);
            for (first, panels) in (0..n).step_by(rows).zip(panels.bytes_mut().chunks_mut(rows / PANEL_ROWS * panel)) {
                let rows = first..n.min(first + rows);
                pack_panels(packed, stored, rows.clone(), panels, panel, pool);
                done(rows);
            }
        }
        Ok(Self { format, packed, n, k, held: Held::Panels(panels.into()), first: 0 })
    }

    /// Takes a stored matrix in one layout or the other; in [`Layout::Stored`], a copy of its bytes.
    ///
    /// # Errors
    /// As [`Weights::pack_stored`].
    pub fn with_layout(stored: &Stored<'_>, layout: Layout, pool: &Pool) -> Result<Self> {
        match layout {
            Layout::Packed => Self::pack_stored(stored, pool),
            Layout::Stored => Self::keep(stored.format(), stored.n(), stored.k(), Kept::copy(stored)?),
        }
    }

    /// The stored tensors of `n` rows of `k` weights, where they are.
    ///
    /// # Errors
    /// As [`Stored::from_tensors`], [`Error::NoKernel`] if the format has no packed form.
    pub(crate) fn in_place(format: &'static Format, n: usize, k: usize, tensors: Vec<Shared>) -> Result<Self> {
        Self::keep(format, n, k, Kept::new(format, n, k, tensors)?)
    }

    fn keep(format: &'static Format, n: usize, k: usize, kept: Kept) -> Result<Self> {
        Ok(Self { format, packed: packed_form(format)?, n, k, held: Held::Kept(Arc::new(kept)), first: 0 })
    }

    /// The panels of `n` rows of `k` weights that were packed before.
    ///
    /// # Errors
    /// [`Error::NoKernel`] if the format has no packed form, [`Error::BadK`] if it cannot have such rows, [`Error::Shape`] if the
    /// panels are not as many bytes as they need, [`Error::OutOfMemory`].
    pub(crate) fn from_panels(format: &'static Format, n: usize, k: usize, panels: Shared) -> Result<Self> {
        let packed = packed_form(format)?;
        if !k.is_multiple_of(format.block_weights) {
            return Err(Error::BadK { format: format.name.to_owned(), k, multiple: format.block_weights });
        }
        let (found, wanted) = (panels.len(), panels_bytes(packed, n, k)?);
        if found != wanted {
            return Err(Error::Shape { what: "packed weights", unit: "bytes", found, wanted });
        }
        Ok(Self { format, packed, n, k, held: Held::Panels(panels.aligned(ALIGNMENT)?), first: 0 })
    }

    /// Bytes that `n` rows of `k` weights of a format take when they are packed.
    ///
    /// # Errors
    /// [`Error::NoKernel`] if the format has no packed form, [`Error::OutOfMemory`] if they are beyond all memory.
    pub fn bytes_packed(format: &'static Format, n: usize, k: usize) -> Result<usize> {
        panels_bytes(packed_form(format)?, n, k)
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

    /// The form that is held.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match self.held {
            Held::Panels(_) => Layout::Packed,
            Held::Kept(_) => Layout::Stored,
        }
    }

    /// Bytes of the packed form, whether it is held or not.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        panel_count(self.n) * panel_bytes(self.packed.class, self.k)
    }

    /// Bytes of the form that is held: what a multiplication reads.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        match self.layout() {
            Layout::Packed => self.packed_bytes(),
            Layout::Stored => self.stored_bytes(),
        }
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

    /// `count` tiles of `rows` rows from tile `first` on, packed: as they are held, or in `scratch`.
    pub(crate) fn tiles<'a>(&'a self, first: usize, rows: usize, count: usize, scratch: &'a mut Scratch) -> &'a [u8] {
        let (panel, panels) = (panel_bytes(self.packed.class, self.k), rows / PANEL_ROWS);
        let first = self.first + first * panels;
        match &self.held {
            Held::Panels(bytes) => &bytes[first * panel..][..count * panels * panel],
            Held::Kept(kept) => kept.pack(self.packed, first, count * panels, panel, scratch),
        }
    }

    /// Something about the panels of all rows: as they are held, or packed for that.
    #[cfg(feature = "wgpu")]
    pub(crate) fn with_panels<T>(&self, about: impl FnOnce(&[u8]) -> T) -> T {
        about(self.tiles(0, PANEL_ROWS, self.n.div_ceil(PANEL_ROWS), &mut Scratch::default()))
    }

    /// The panels of all rows, if they are held.
    pub(crate) fn panels(&self) -> Option<&[u8]> {
        let start = self.first * panel_bytes(self.packed.class, self.k);
        match &self.held {
            Held::Panels(bytes) => Some(&bytes[start..][..self.packed_bytes()]),
            Held::Kept(_) => None,
        }
    }

    /// `n` rows from row `first`, in the same memory.
    ///
    /// # Panics
    /// If `first` is not a multiple of [`TILE_ROWS`], or there are not so many rows.
    pub(crate) fn rows(&self, first: usize, n: usize) -> Self {
        assert!(first.is_multiple_of(TILE_ROWS) && first + n <= self.n, "rows {first}..{} of {}", first + n, self.n);
        Self { n, held: self.held.clone(), first: self.first + first / PANEL_ROWS, ..*self }
    }

    /// A copy in memory of its own, for measurements that must not find the weights in a cache.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn duplicate(&self) -> Result<Self> {
        let (held, first) = match (&self.held, self.panels()) {
            (_, Some(panels)) => (Held::Panels(Shared::copy(panels)?), 0),
            (Held::Kept(kept), None) => (Held::Kept(Arc::new(kept.duplicate()?)), self.first),
            (Held::Panels(panels), None) => (Held::Panels(panels.clone()), self.first),
        };
        Ok(Self { held, first, ..*self })
    }
}

/// The packed form of a format.
fn packed_form(format: &'static Format) -> Result<&'static Packed> {
    format.packed.as_ref().ok_or_else(|| match format.uncovered {
        Some(what) => Error::Uncovered { format: format.name.to_owned(), what },
        None => registry::no_kernel(format, "any class", []),
    })
}

/// Bytes of the panels of `n` rows of `k` weights.
fn panels_bytes(packed: &Packed, n: usize, k: usize) -> Result<usize> {
    let panel = k.div_ceil(packed.class.unit_weights).checked_mul(packed.class.unit_bytes);
    let rows = n.checked_next_multiple_of(TILE_ROWS);
    let bytes = panel.zip(rows).and_then(|(panel, rows)| panel.checked_mul(rows / PANEL_ROWS));
    bytes.ok_or(Error::OutOfMemory { bytes: usize::MAX })
}

fn panel_bytes(class: &Class, k: usize) -> usize {
    k.div_ceil(class.unit_weights) * class.unit_bytes
}

/// Panels of `n` rows: a whole number of every kernel's tiles, so that no tile needs a special case.
const fn panel_count(n: usize) -> usize {
    n.next_multiple_of(TILE_ROWS) / PANEL_ROWS
}
