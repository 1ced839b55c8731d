//! The numbers that a format can store.

use quantloom_spec::model::{Format, Number};

/// A run as long as the row is.
pub const ROW: usize = usize::MAX;

/// Something for each number that a format can store.
#[derive(Debug, Default)]
pub struct Numbers<T> {
    /// For the code.
    pub code: T,
    /// For the sign.
    pub sign: T,
    /// For the zero.
    pub zero: T,
    /// For the scale.
    pub scale: T,
    /// For the super of the scale.
    pub scale_root: T,
    /// For the min.
    pub min: T,
    /// For the super of the min.
    pub min_root: T,
}

impl<T> Numbers<T> {
    /// All of them.
    pub fn all(&self) -> [&T; 7] {
        let Self { code, sign, zero, scale, scale_root, min, min_root } = self;
        [code, sign, zero, scale, scale_root, min, min_root]
    }

    /// All of them, to change.
    pub fn all_mut(&mut self) -> [&mut T; 7] {
        let Self { code, sign, zero, scale, scale_root, min, min_root } = self;
        [code, sign, zero, scale, scale_root, min, min_root]
    }

    /// What `map` makes of each.
    pub fn map<U>(&self, map: impl FnMut(&T) -> U) -> Numbers<U> {
        let [code, sign, zero, scale, scale_root, min, min_root] = self.all().map(map);
        Numbers { code, sign, zero, scale, scale_root, min, min_root }
    }
}

impl<T, E> Numbers<Result<T, E>> {
    /// All of them, or the first error.
    pub fn transpose(self) -> Result<Numbers<T>, E> {
        Ok(Numbers {
            code: self.code?,
            sign: self.sign?,
            zero: self.zero?,
            scale: self.scale?,
            scale_root: self.scale_root?,
            min: self.min?,
            min_root: self.min_root?,
        })
    }
}

impl<'f> Numbers<Vec<&'f Number>> {
    /// Those of a format, piece by piece; none where it has no such number.
    pub fn of(format: &'f Format) -> Self {
        let everywhere = |number: Option<&'f Number>| number.map_or_else(Vec::new, |number| vec![number; format.pieces.len()]);
        let root = |number: &'f Option<Number>| everywhere(number.as_ref().and_then(|number| number.outer.as_deref()));
        Self {
            code: format.pieces.iter().map(|piece| &piece.code).collect(),
            sign: everywhere(format.sign.as_ref()),
            zero: everywhere(format.zero.as_ref()),
            scale: everywhere(format.scale.as_ref()),
            scale_root: root(&format.scale),
            min: everywhere(format.min.as_ref()),
            min_root: root(&format.min),
        }
    }
}
