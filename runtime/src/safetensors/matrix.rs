//! The tensors of a matrix: found by their names, and checked against what its format needs.

use super::{SafeTensors, Tensor};
use crate::error::{Error, Result, quoted, suggest};
use crate::registry::Format;
use crate::stored::{Axis, Index, Spec, Storage, Stored};

impl SafeTensors {
    /// The matrix whose tensors are called `name`, a dot, and what the card of `format` calls them. Its N and K follow from the shapes
    /// of the tensors; where files flatten those, `shape` must give them.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`] if a tensor is missing, [`Error::SafeTensors`] if one has another type or shape than the format
    /// needs, or its columns are in another order, [`Error::BadK`] or [`Error::BadN`] if the format cannot store such a matrix.
    pub fn matrix(&self, format: &'static Format, name: &str, shape: Option<(usize, usize)>) -> Result<Stored<'_>> {
        let Storage::Tensors { tensors: specs, indices, .. } = format.storage else {
            return Err(self.wrong(format!(
                "{} is stored in blocks, not in separate tensors; name the format of {}",
                format.name,
                quoted(name)
            )));
        };
        let tensors = specs.iter().map(|spec| self.part(format, name, spec)).collect::<Result<Vec<_>>>()?;
        let (n, k) = match shape {
            Some(shape) => shape,
            None => self.size(name, specs, &tensors)?,
        };
        let parts = tensors.iter().map(|tensor| tensor.bytes).collect::<Vec<_>>();
        let shapes = format.shapes(n, k).unwrap_or_default();
        for ((spec, tensor), (shape, _)) in specs.iter().zip(&tensors).zip(&shapes) {
            if !same_items(tensor.shape, shape) {
                return Err(self.wrong(format!(
                    "tensor {} has the shape {}, but {n} rows of {k} weights in {} need {}; name the format and shape it was \
                     stored in",
                    quoted(&full_name(name, spec.name)),
                    lengths(tensor.shape),
                    format.name,
                    lengths(shape)
                )));
            }
        }
        for index in indices {
            self.check_order(name, index, k)?;
        }
        Stored::from_tensors(format, n, k, &parts)
    }

    /// One of the tensors of a matrix, of the right type.
    fn part(&self, format: &Format, name: &str, spec: &Spec) -> Result<Tensor<'_>> {
        let full = full_name(name, spec.name);
        let tensor = self.get(&full).ok_or_else(|| Error::UnknownTensor {
            path: self.path.clone(),
            hint: suggest(
                &full,
                self.names().iter().map(String::as_str),
                &format!("{} stores a matrix in it; `quantloom inspect` lists the tensors that there are", format.name),
            ),
            name: full.clone(),
        })?;
        if tensor.kind.holds(spec.element) {
            return Ok(tensor);
        }
        Err(self.wrong(format!(
            "tensor {} has items of type {}, but {} reads {} there; name the format it was stored in",
            quoted(&full),
            tensor.kind,
            format.name,
            spec.element
        )))
    }

    /// N and K, from the lengths of axes.
    fn size(&self, name: &str, specs: &[Spec], tensors: &[Tensor<'_>]) -> Result<(usize, usize)> {
        let (mut n, mut k) = (None, None);
        for (spec, tensor) in specs.iter().zip(tensors).filter(|(spec, tensor)| spec.axes.len() == tensor.shape.len()) {
            for (axis, &length) in spec.axes.iter().zip(tensor.shape) {
                let whole = |per, items| length.is_multiple_of(items).then(|| (length / items).checked_mul(per)).flatten();
                match *axis {
                    Axis::Fixed(_) => {}
                    Axis::Rows { per, items } => n = n.or(whole(per, items)),
                    Axis::Columns { per, items } => k = k.or(whole(per, items)),
                }
            }
        }
        n.zip(k).ok_or_else(|| {
            let stacked = specs.iter().zip(tensors).find(|(spec, tensor)| tensor.shape.len() > spec.axes.len());
            if let Some((spec, tensor)) = stacked {
                let (full, shape) = (quoted(&full_name(name, spec.name)), lengths(tensor.shape));
                return self.wrong(format!(
                    "tensor {full} has {} axes ({shape}), but a matrix has {} there: it is a stack of matrices, which no format here has; \
                     save each of them by itself",
                    tensor.shape.len(),
                    spec.axes.len()
                ));
            }
            self.wrong(format!(
                "the tensors of {} are flat, and do not say how many rows and columns it has; give its shape (`--shape NxK`)",
                quoted(name)
            ))
        })
    }

    /// Checks a tensor that holds what follows from k, if the file has it.
    fn check_order(&self, name: &str, index: &Index, k: usize) -> Result<()> {
        let full = full_name(name, index.name);
        let Some(tensor) = self.get(&full) else { return Ok(()) };
        let items = tensor.bytes.chunks_exact(index.bytes);
        if !tensor.kind.holds(index.element) || items.len() != k {
            let (kind, found) = (tensor.kind, lengths(tensor.shape));
            let wanted = format!("{k} items of type {}", index.element);
            return Err(
                self.wrong(format!("tensor {} is {found} of type {kind}, not {wanted}; convert it again", quoted(&full)))
            );
        }
        let item = |bytes: &[u8]| bytes.iter().rev().fold(0, |item, &byte| item << 8 | i64::from(byte));
        let wrong = items.map(item).enumerate().find(|&(k, item)| item != index.of(k));
        wrong.map_or(Ok(()), |(at, item)| {
            Err(self.wrong(format!(
                "tensor {} holds {item} for column {at}, not {}: its columns are in another order (act-order), which no format \
                 here has; quantise again without it",
                quoted(&full),
                index.of(at)
            )))
        })
    }
}

/// What a file calls a tensor of a matrix.
fn full_name(matrix: &str, part: &str) -> String {
    format!("{matrix}.{part}")
}

/// Whether two shapes are the same items in the same order: equal but for axes of length 1, or one of them flattened.
fn same_items(found: &[usize], wanted: &[usize]) -> bool {
    let long = |shape: &[usize]| shape.iter().copied().filter(|&length| length != 1).collect::<Vec<_>>();
    let (found, wanted) = (long(found), long(wanted));
    let flat = found.len() == 1 && wanted.iter().try_fold(1, |all: usize, length| all.checked_mul(*length)) == Some(found[0]);
    flat || found == wanted
}

/// A shape as users write it.
fn lengths(shape: &[usize]) -> String {
    let lengths = shape.iter().map(usize::to_string).collect::<Vec<_>>();
    if lengths.is_empty() { "of one item".to_owned() } else { lengths.join("x") }
}
