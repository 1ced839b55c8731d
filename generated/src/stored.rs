//! Stored weights, as decoders and packers read them.

/// Most axes of a tensor.
pub const MAX_AXES: usize = 8;

/// A stored tensor: the rows of a block format, or one of the separate tensors of another.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    bytes: &'a [u8],
    /// Bytes from one index of an axis to the next.
    strides: [usize; MAX_AXES],
}

impl<'a> Tensor<'a> {
    /// A row-major tensor of little-endian items of `item` bytes; `None` if `bytes` are not as many as `shape` asks for, or there
    /// are too many axes.
    #[must_use]
    pub fn new(shape: &[usize], item: usize, bytes: &'a [u8]) -> Option<Self> {
        let mut strides = [0; MAX_AXES];
        let mut stride = item;
        for (axis, length) in shape.iter().enumerate().rev() {
            *strides.get_mut(axis)? = stride;
            stride = stride.checked_mul(*length)?;
        }
        (stride == bytes.len()).then_some(Self { bytes, strides })
    }

    /// The bytes at one index of the slowest axis.
    #[must_use]
    pub fn row(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.strides[0]..][..self.strides[0]]
    }

    /// The bits of an item.
    #[inline]
    #[must_use]
    pub fn item<const BYTES: usize, const AXES: usize>(&self, index: [usize; AXES]) -> u64 {
        let at = index.iter().zip(self.strides).map(|(index, stride)| index * stride).sum::<usize>();
        let mut word = [0; 8];
        word[..BYTES].copy_from_slice(&self.bytes[at..][..BYTES]);
        u64::from_le_bytes(word)
    }

    /// `bits` bits from bit `bit` of an item on; they run on into the items that follow along `axis`.
    #[inline]
    #[must_use]
    pub fn stream<const BYTES: usize, const AXES: usize>(
        &self,
        mut index: [usize; AXES],
        axis: usize,
        bit: usize,
        bits: u32,
    ) -> u64 {
        let width = 8 * BYTES;
        index[axis] += bit / width;
        let mut value = self.item::<BYTES, AXES>(index) >> (bit % width);
        let mut taken = width - bit % width;
        while taken < bits as usize {
            index[axis] += 1;
            value |= self.item::<BYTES, AXES>(index) << taken;
            taken += width;
        }
        value & (u64::MAX >> (64 - bits))
    }
}

/// `bits` bits, 1 to 48, from bit `bit` of a run of bytes on.
#[inline]
#[must_use]
pub fn stream(bytes: &[u8], bit: usize, bits: u32) -> u64 {
    let (first, shift) = (bit / 8, bit % 8);
    let end = (bit + bits as usize).div_ceil(8);
    let word = bytes[first..end].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    word >> shift & (u64::MAX >> (64 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 12] = [0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb, 0xed, 0x0f, 0x11, 0x22, 0x33, 0x44];

    #[test]
    fn items_lie_row_by_row() {
        let tensor = Tensor::new(&[2, 3], 2, &BYTES).unwrap();
        assert_eq!(tensor.item::<2, 2>([0, 2]), 0xcba9);
        assert_eq!(tensor.item::<2, 2>([1, 0]), 0x0fed);
        assert_eq!(tensor.row(1), &BYTES[6..]);
        assert_eq!(Tensor::new(&[], 4, &BYTES[..4]).unwrap().item::<4, 0>([]), 0x8765_4321);
        assert!(Tensor::new(&[2, 3], 4, &BYTES).is_none());
        assert!(Tensor::new(&[usize::MAX, usize::MAX], 1, &BYTES).is_none());
        assert!(Tensor::new(&[1; MAX_AXES + 1], 1, &BYTES[..1]).is_none());
    }

    #[test]
    fn streams_run_on_along_their_axis() {
        let tensor = Tensor::new(&[3, 2], 2, &BYTES).unwrap();
        // Down the first column lie 0x4321, 0xcba9 and 0x2211.
        assert_eq!(tensor.stream::<2, 2>([0, 0], 0, 12, 8), 0x94);
        assert_eq!(tensor.stream::<2, 2>([0, 0], 0, 12, 24), 0x11_cba9_4 & 0xff_ffff);
        assert_eq!(tensor.stream::<2, 2>([1, 0], 0, 4, 4), 0xa);
        assert_eq!(stream(&BYTES, 12, 8), 0x54);
        assert_eq!(stream(&BYTES, 4, 44), 0xcba9_8765_432);
        assert_eq!(stream(&BYTES, 88, 8), 0x44);
    }
}
