//! Four rows of four words as four columns: what compilers do word by word.

/// Transposes a square: word `j` of row `i` becomes word `i` of row `j`.
///
/// ```
/// use quantloom_simd::squares::transpose;
///
/// let rows = [[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]];
/// assert_eq!(transpose(rows)[1], [1, 11, 21, 31]);
/// ```
#[inline(always)]
#[must_use]
pub fn transpose(rows: [[u32; 4]; 4]) -> [[u32; 4]; 4] {
    imp::transpose(rows)
}

#[cfg(target_arch = "x86_64")]
mod imp {
    use std::arch::x86_64::{__m128i, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32, _mm_unpacklo_epi64};
    use std::mem::transmute;

    #[inline(always)]
    pub fn transpose(rows: [[u32; 4]; 4]) -> [[u32; 4]; 4] {
        // SAFETY: four words are a vector, and any bits are either; every processor of this architecture has SSE2.
        unsafe {
            let [a, b, c, d] = transmute::<[[u32; 4]; 4], [__m128i; 4]>(rows);
            let (low, high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
            let (other_low, other_high) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
            transmute::<[__m128i; 4], [[u32; 4]; 4]>([
                _mm_unpacklo_epi64(low, other_low),
                _mm_unpackhi_epi64(low, other_low),
                _mm_unpacklo_epi64(high, other_high),
                _mm_unpackhi_epi64(high, other_high),
            ])
        }
    }
}

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod imp {
    use std::arch::aarch64::{uint32x4_t, uint64x2_t, vzip1q_u32, vzip1q_u64, vzip2q_u32, vzip2q_u64};
    use std::mem::transmute;

    #[inline(always)]
    pub fn transpose(rows: [[u32; 4]; 4]) -> [[u32; 4]; 4] {
        // SAFETY: four words are a vector, as two double words are, and any bits are either; the instructions are compiled in.
        unsafe {
            let [a, b, c, d] = transmute::<[[u32; 4]; 4], [uint32x4_t; 4]>(rows);
            let pairs = [vzip1q_u32(a, b), vzip2q_u32(a, b), vzip1q_u32(c, d), vzip2q_u32(c, d)];
            let [low, high, other_low, other_high] = transmute::<[uint32x4_t; 4], [uint64x2_t; 4]>(pairs);
            transmute::<[uint64x2_t; 4], [[u32; 4]; 4]>([
                vzip1q_u64(low, other_low),
                vzip2q_u64(low, other_low),
                vzip1q_u64(high, other_high),
                vzip2q_u64(high, other_high),
            ])
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
mod imp {
    #[inline(always)]
    pub fn transpose(rows: [[u32; 4]; 4]) -> [[u32; 4]; 4] {
        std::array::from_fn(|column| rows.map(|row| row[column]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let rows = std::array::from_fn(|row| std::array::from_fn(|column| u32::MAX - (10 * row + column) as u32));
        let columns = transpose(rows);
        for (row, words) in rows.iter().enumerate() {
            for (column, word) in words.iter().enumerate() {
                assert_eq!(columns[column][row], *word);
            }
        }
        assert_eq!(transpose(columns), rows);
    }
}
