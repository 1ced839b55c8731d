//! Tensors that are themselves quantised.

use std::borrow::Cow;

use super::matrix::{Fault, full_name};
use super::settings::{self, Settings};
use super::{SafeTensors, Tensor};
use crate::error::{Error, quoted};
use crate::machine::StandardFloats;
use crate::stored::Nested;

/// Levels of a byte.
const LEVELS: usize = 256;

impl SafeTensors {
    /// The items of a tensor in full, which the file has in bytes: `levels[byte i] * scales[i / group] + offset`.
    pub(super) fn unnest(
        &self,
        matrix: &str,
        nested: &Nested,
        tensor: &Tensor<'_>,
        said: &[&Settings],
    ) -> Result<Cow<'_, [u8]>, Fault> {
        let (levels, scales) = (self.floats(matrix, nested.levels)?, self.floats(matrix, nested.scales)?);
        let groups = tensor.bytes.len().div_ceil(nested.group);
        for (name, found, wanted) in [(nested.levels, levels.len(), LEVELS), (nested.scales, scales.len(), groups)] {
            if found != wanted {
                let name = quoted(&full_name(matrix, name));
                return Err(self.wrong(format!("tensor {name} has {found} items, not {wanted}; convert it again")).into());
            }
        }
        let Some(offset) = settings::number(said, matrix, nested.offset) else {
            return Err(self
                .wrong(format!(
                    "the scales of {} are quantised, but nothing says their {}; convert it again",
                    quoted(matrix),
                    nested.offset
                ))
                .into());
        };
        let mut items = Vec::new();
        let size = tensor.bytes.len().saturating_mul(size_of::<f32>());
        items.try_reserve_exact(size).map_err(|_| Error::OutOfMemory { bytes: size })?;
        let _floats = StandardFloats::set();
        for (bytes, scale) in tensor.bytes.chunks(nested.group).zip(&scales) {
            // Two operations, each rounded by itself.
            items.extend(bytes.iter().flat_map(|&byte| (levels[usize::from(byte)] * scale + offset).to_le_bytes()));
        }
        Ok(items.into())
    }

    /// The items of a tensor of f32 beside those of a matrix.
    fn floats(&self, matrix: &str, name: &str) -> Result<Vec<f32>, Fault> {
        let full = full_name(matrix, name);
        let tensor = self.tensor(&full)?;
        if !tensor.kind.holds("f32") {
            return Err(self
                .wrong(format!("tensor {} has items of type {}, not F32; convert it again", quoted(&full), tensor.kind))
                .into());
        }
        Ok(tensor.bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect())
    }
}
