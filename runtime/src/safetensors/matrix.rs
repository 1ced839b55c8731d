//! The tensors of a matrix: found by their names, and checked against what its format needs.

use super::{SafeTensors, Tensor, settings};
use crate::error::{Error, Result, quoted, suggest};
use crate::registry::Format;
use crate::stored::{Axis, Holds, Index, Map, Spec, Storage, Stored};

impl SafeTensors {
    /// The matrix whose tensors are called `name`, a dot, and what the card of `format` calls them. Its N and K follow from the shapes
    /// of the tensors; where files flatten those, `shape` must give them.
    ///
    /// What the file, and a configuration beside it, say of the matrix must not contradict the format: [`SafeTensors::doubt`] tells
    /// what is possible, but unlikely.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`] if a tensor is missing, [`Error::SafeTensors`] if one has another type or shape than the format
    /// needs, its columns are in another order, or something says that the matrix is in another format, [`Error::BadK`] or
    /// [`Error::BadN`] if the format cannot store such a matrix.
    pub fn matrix(&self, format: &'static Format, name: &str, shape: Option<(usize, usize)>) -> Result<Stored<'_>> {
        self.find(format, name, shape).map_err(|fault| match fault {
            Fault::Other(error) => error,
            Fault::Missing(full) => Error::UnknownTensor {
                path: self.path.clone(),
                hint: self.remedy(name, shape).unwrap_or_else(|| {
                    let otherwise = format!("{} stores a matrix in it; name one that the file has", format.name);
                    suggest(&full, self.names().iter().map(String::as_str), &otherwise)
                }),
                name: full,
            },
            Fault::Format(detail) => {
                let remedy =
                    self.remedy(name, shape).unwrap_or_else(|| "name the format and shape it was stored in".to_owned());
                self.wrong(format!("{detail}; {remedy}"))
            }
        })
    }

    /// The matrix, or what speaks against the format.
    pub(super) fn find<'s>(
        &'s self,
        format: &'static Format,
        name: &str,
        shape: Option<(usize, usize)>,
    ) -> Result<Stored<'s>, Fault> {
        let Storage::Tensors { tensors: specs, indices, config, .. } = format.storage else {
            let detail = format!("{} is stored in blocks, not in separate tensors", format.name);
            return Err(Fault::Format(detail));
        };
        let said = self.said(name);
        let tensors = specs.iter().map(|spec| self.part(format, name, spec)).collect::<Result<Vec<_>, _>>()?;
        for setting in config {
            if let Some((place, value)) = settings::contradiction(&said, name, setting) {
                let (key, wanted) = (setting.key, settings::wanted(setting));
                return Err(Fault::Format(format!("{place} says that {key} is {value}, but {} has {wanted}", format.name)));
            }
        }
        let (n, k) = match shape {
            Some(shape) => shape,
            None => match settings::shape(&said, name) {
                Some(shape) => shape,
                None => self.size(name, specs, &tensors)?,
            },
        };
        let shapes = format.shapes(n, k).unwrap_or_default();
        for ((spec, tensor), (shape, _)) in specs.iter().zip(&tensors).zip(&shapes) {
            if !same_items(tensor.shape, shape) {
                return Err(Fault::Format(format!(
                    "tensor {} has the shape {}, but {n} rows of {k} weights in {} need {}",
                    quoted(&full_name(name, spec.name)),
                    lengths(tensor.shape),
                    format.name,
                    lengths(shape)
                )));
            }
        }
        for index in indices {
            self.check_index(format, name, index, (n, k))?;
        }
        let in_full = |(spec, tensor): (&Spec, &Tensor<'s>)| match spec.nested {
            Some(nested) if !tensor.kind.holds(spec.element) => self.unnest(name, &nested, tensor, &said),
            _ => Ok(tensor.bytes.into()),
        };
        let parts = specs.iter().zip(&tensors).map(in_full).collect::<Result<_, _>>()?;
        Ok(Stored::from_parts(format, n, k, parts)?)
    }

    /// One of the tensors of a matrix, of the right type.
    fn part(&self, format: &Format, name: &str, spec: &Spec) -> Result<Tensor<'_>, Fault> {
        let full = full_name(name, spec.name);
        let tensor = self.get(&full).ok_or_else(|| Fault::Missing(full.clone()))?;
        if tensor.kind.holds(spec.element) || (spec.nested.is_some() && tensor.kind.holds(NESTED)) {
            return Ok(tensor);
        }
        Err(Fault::Format(format!(
            "tensor {} has items of type {}, but {} reads {} there",
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
        let deeper = |(spec, tensor): &(&Spec, &Tensor<'_>)| !spec.axes.is_empty() && tensor.shape.len() > spec.axes.len();
        if let (None, Some((spec, tensor))) = (n.zip(k), specs.iter().zip(tensors).find(deeper)) {
            return Err(self.wrong(format!(
                "tensor {} is {}, of {} axes where one matrix has {}: it is a stack of matrices, of which each needs a name of its own",
                quoted(&full_name(name, spec.name)),
                lengths(tensor.shape),
                tensor.shape.len(),
                spec.axes.len()
            )));
        }
        n.zip(k).ok_or_else(|| {
            self.wrong(format!(
                "the tensors of {} are flat, and do not say how many rows and columns it has; give its shape (`--shape NxK`)",
                quoted(name)
            ))
        })
    }

    /// Checks a tensor that says again what is known, if the file has it.
    fn check_index(&self, format: &Format, name: &str, index: &Index, (n, k): (usize, usize)) -> Result<(), Fault> {
        let full = full_name(name, index.name);
        let Some(tensor) = self.get(&full) else { return Ok(()) };
        let count = match index.holds {
            Holds::Column(_) => k,
            Holds::Levels(levels) => levels.len(),
            Holds::Shape => 2,
        };
        let is_wide = index.holds == Holds::Shape && tensor.kind.is_wide();
        let items = tensor.bytes.chunks_exact(if is_wide { size_of::<i64>() } else { index.bytes });
        // Writers leave an empty one where there is nothing to say.
        if tensor.bytes.is_empty() {
            return Ok(());
        }
        if !(is_wide || tensor.kind.holds(index.element)) || items.len() != count {
            let (kind, found) = (tensor.kind, lengths(tensor.shape));
            let wanted = format!("{count} items of type {}", index.element);
            let detail = format!("tensor {} is {found} of type {kind}, not {wanted}; convert it again", quoted(&full));
            return Err(self.wrong(detail).into());
        }
        match index.holds {
            Holds::Column(map) => self.check_order(&full, &map, items),
            Holds::Shape => {
                let said = items.map(integer).collect::<Vec<_>>();
                if said == [n as u64, k as u64] {
                    return Ok(());
                }
                let (said, full) = (lengths(&said), quoted(&full));
                Err(Fault::Format(format!(
                    "tensor {full} says that the matrix is {said}, but in {} it is {n}x{k}",
                    format.name
                )))
            }
            Holds::Levels(levels) => {
                let found = tensor.bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes);
                let wrong = found.zip(levels).enumerate().find(|(_, (found, level))| !is_near(*found, **level, levels));
                wrong.map_or(Ok(()), |(code, (found, level))| {
                    Err(Fault::Format(format!(
                        "tensor {} says that code {code} is {found}, but in {} it is {level}",
                        quoted(&full),
                        format.name
                    )))
                })
            }
        }
    }

    /// Checks that the columns are where they are expected to be.
    fn check_order<'b>(&self, full: &str, map: &Map, items: impl Iterator<Item = &'b [u8]> + Clone) -> Result<(), Fault> {
        // All 0, or all -1: there is no order.
        let says_nothing = |filler: u8| items.clone().all(|item| item.iter().all(|&byte| byte == filler));
        if says_nothing(0) || says_nothing(u8::MAX) {
            return Ok(());
        }
        let wrong = items.map(integer).enumerate().find(|&(k, item)| i64::try_from(item) != Ok(map.of(k)));
        wrong.map_or(Ok(()), |(at, item)| {
            let detail = format!(
                "tensor {} holds {item} for column {at}, not {}: its columns are in another order (act-order), which no format \
                 here has; quantise again without it",
                quoted(full),
                map.of(at)
            );
            Err(self.wrong(detail).into())
        })
    }
}

/// What a tensor that is nested holds.
const NESTED: &str = "u8";

/// Why a matrix is not read.
#[derive(Debug)]
pub(super) enum Fault {
    /// A tensor is not there.
    Missing(String),
    /// It is in another format.
    Format(String),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Whether a level is what a file says, which may have been rounded.
fn is_near(found: f32, level: f32, levels: &[f32]) -> bool {
    let largest = levels.iter().fold(0.0_f32, |largest, level| largest.max(level.abs()));
    (found - level).abs() <= largest / 1000.0
}

/// What a file calls a tensor of a matrix.
pub(super) fn full_name(matrix: &str, part: &str) -> String {
    format!("{matrix}.{part}")
}

/// Whether two shapes are the same items in the same order: equal but for axes of length 1, or one of them flattened.
fn same_items(found: &[usize], wanted: &[usize]) -> bool {
    let long = |shape: &[usize]| shape.iter().copied().filter(|&length| length != 1).collect::<Vec<_>>();
    let (found, wanted) = (long(found), long(wanted));
    let flat = found.len() == 1 && wanted.iter().try_fold(1, |all: usize, length| all.checked_mul(*length)) == Some(found[0]);
    flat || found == wanted
}

/// An item of at most 64 bits.
fn integer(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |item, &byte| item << 8 | u64::from(byte))
}

/// A shape as users write it.
fn lengths(shape: &[impl ToString]) -> String {
    let lengths = shape.iter().map(ToString::to_string).collect::<Vec<_>>();
    if lengths.is_empty() { "of one item".to_owned() } else { lengths.join("x") }
}
