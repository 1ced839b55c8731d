//! Packing the panels of a matrix.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use quantloom_kernels::abi::{PANEL_ROWS, SEGMENT};

use crate::pool::Pool;
use crate::registry::{Format, Packed};
use crate::stored::{Axis, Spec, Storage, Stored};

/// Rows that are packed together where tensors have them side by side: as many as have 4-bit codes in a line of memory.
const BAND: usize = 128;

/// Packs `rows`, which begin a panel, a band of panels at a time, each on the thread that takes it.
pub fn pack_panels(
    packed: &Packed,
    stored: &Stored<'_>,
    rows: Range<usize>,
    panels: &mut [u8],
    panel_bytes: usize,
    pool: &Pool,
) {
    let (tensors, block) = (stored.tensors(), stored.format().block_weights);
    let (blocks, end) = (stored.k() / block, rows.end);
    // One line of memory may hold items of all rows of a band: it is read once if no more of K is packed at a time than a
    // cache holds: a segment, which whole units fill.
    let (band, stretch) = if by_columns(stored.format()) { (BAND, (SEGMENT / block).max(1)) } else { (PANEL_ROWS, blocks) };
    // Each band is taken once, by one thread: the locks are never contended.
    let bands = panels.chunks_mut(band / PANEL_ROWS * panel_bytes);
    let jobs = rows.step_by(band).zip(bands).map(|job| Mutex::new(Some(job))).collect::<Vec<_>>();
    pool.run(jobs.len(), |index| {
        let Some((first, panels)) = jobs[index].lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let rows = first..end.min(first + band);
        for start in (0..blocks).step_by(stretch) {
            let blocks = start..blocks.min(start + stretch);
            for (row, panel) in rows.clone().step_by(PANEL_ROWS).zip(panels.chunks_mut(panel_bytes)) {
                (packed.pack)(&tensors, row..rows.end.min(row + PANEL_ROWS), blocks.clone(), panel);
            }
        }
    });
}

/// Whether a tensor of a format has the rows of the matrix along its fastest axis.
fn by_columns(format: &Format) -> bool {
    let of_rows = |spec: &Spec| spec.axes.len() > 1 && matches!(spec.axes.last(), Some(Axis::Rows { .. }));
    matches!(format.storage, Storage::Tensors { tensors, .. } if tensors.iter().any(of_rows))
}
