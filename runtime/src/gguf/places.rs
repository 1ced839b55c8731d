//! Whether the bytes of tensors lie in the file, one tensor after the other: none in those of another, and none between or behind them that
//! belong to no tensor.

use super::tensor::TensorInfo;
use crate::error::quoted;

/// What is wrong with the place of a tensor; ends without a remedy.
#[derive(Debug)]
pub(crate) struct Misplaced<'t> {
    pub tensor: &'t TensorInfo,
    pub detail: String,
    /// Whether the file is too short, rather than a tensor too long.
    pub cut_short: bool,
}

/// Where the data of a file is.
#[derive(Debug)]
pub(crate) struct Data {
    /// Its first byte.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
    /// What tensors start at a multiple of.
    pub alignment: u64,
}

/// Checks the tensors of a file. `size` says how many bytes a tensor has; of those that it does not know, only the start counts.
pub(crate) fn check<'t>(
    tensors: impl IntoIterator<Item = &'t TensorInfo>,
    &Data { start: data, end, alignment }: &Data,
    size: impl Fn(&TensorInfo) -> Option<u64>,
) -> Result<(), Misplaced<'t>> {
    // Tensors without bytes lie nowhere.
    let mut tensors = tensors.into_iter().filter(|tensor| !tensor.dims.contains(&0)).collect::<Vec<_>>();
    tensors.sort_by_key(|tensor| tensor.offset);
    for (at, tensor) in tensors.iter().enumerate() {
        let (start, length) = (data.saturating_add(tensor.offset), size(tensor));
        let wrong = |detail, cut_short| Err(Misplaced { tensor, detail, cut_short });
        if let Some(length) = length
            && start.saturating_add(length) > end
        {
            return wrong(format!("{length} bytes from byte {start} on, but the file ends at {end}"), true);
        }
        let Some(next) = tensors.get(at + 1) else { break };
        let gap = next.offset - tensor.offset;
        let padded = length.map_or(gap, |length| length.next_multiple_of(alignment));
        if length.unwrap_or(1) <= gap && gap <= padded {
            continue;
        }
        let (other, kind) = (quoted(&next.name), tensor.kind);
        return match length {
            Some(length) if gap > padded => wrong(
                format!(
                    "its {length} bytes from byte {start} on (type number {kind}) are followed by {} that belong to no tensor, before {other} \
                     starts at byte {}",
                    gap - length,
                    start + gap
                ),
                false,
            ),
            Some(length) if gap > 0 => wrong(
                format!(
                    "its {length} bytes from byte {start} on (type number {kind}) reach into tensor {other}, which starts {gap} \
                     bytes on, at byte {}",
                    start + gap
                ),
                false,
            ),
            _ => wrong(format!("it starts at byte {start}, where tensor {other} starts too"), false),
        };
    }
    Ok(())
}

/// The last tensor of a file and the byte up to which it is padded, if the file goes on there. `size` is as for [`check`].
pub(crate) fn last<'t>(
    tensors: &'t [TensorInfo],
    &Data { start: data, end, alignment }: &Data,
    size: impl Fn(&TensorInfo) -> Option<u64>,
) -> Option<(&'t TensorInfo, u64)> {
    let with_bytes = tensors.iter().filter(|tensor| !tensor.dims.contains(&0));
    let last = with_bytes.max_by_key(|tensor| tensor.offset)?;
    let padded = last.offset.saturating_add(size(last)?).checked_next_multiple_of(alignment)?;
    let padded = data.saturating_add(padded);
    (padded < end).then_some((last, padded))
}

/// For each tensor, in the order in which they are given, the bytes from its start to that of the next or to the end of the data.
pub(crate) fn extents(tensors: &[TensorInfo], data_bytes: u64) -> Vec<u64> {
    let mut starts = tensors.iter().map(|tensor| tensor.offset).collect::<Vec<_>>();
    starts.sort_unstable();
    let extent = |tensor: &TensorInfo| {
        let next = starts.partition_point(|&start| start <= tensor.offset);
        starts.get(next).map_or(data_bytes, |&start| start.min(data_bytes)).saturating_sub(tensor.offset)
    };
    tensors.iter().map(extent).collect()
}
