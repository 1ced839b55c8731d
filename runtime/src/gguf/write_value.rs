//! Metadata values as bytes: what the reader reads.

use super::value::{Array, Value};

impl Value {
    /// Appends the type number and the value.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let mut number = |kind: u32, bytes: &[u8]| {
            to.extend(kind.to_le_bytes());
            to.extend_from_slice(bytes);
        };
        match self {
            Self::U8(v) => number(0, &v.to_le_bytes()),
            Self::I8(v) => number(1, &v.to_le_bytes()),
            Self::U16(v) => number(2, &v.to_le_bytes()),
            Self::I16(v) => number(3, &v.to_le_bytes()),
            Self::U32(v) => number(4, &v.to_le_bytes()),
            Self::I32(v) => number(5, &v.to_le_bytes()),
            Self::F32(v) => number(6, &v.to_le_bytes()),
            Self::Bool(v) => number(7, &[u8::from(*v)]),
            Self::U64(v) => number(10, &v.to_le_bytes()),
            Self::I64(v) => number(11, &v.to_le_bytes()),
            Self::F64(v) => number(12, &v.to_le_bytes()),
            Self::String(v) => {
                number(8, &[]);
                write_string(v, to);
            }
            Self::Bytes(v) => {
                number(8, &[]);
                write_bytes(v, to);
            }
            Self::Array(v) => {
                number(9, &[]);
                v.write(to);
            }
        }
    }
}

impl Array {
    /// Appends the type number of the elements, their count, and them.
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::U8(v) => numbers(0, v, u8::to_le_bytes, to),
            Self::I8(v) => numbers(1, v, i8::to_le_bytes, to),
            Self::U16(v) => numbers(2, v, u16::to_le_bytes, to),
            Self::I16(v) => numbers(3, v, i16::to_le_bytes, to),
            Self::U32(v) => numbers(4, v, u32::to_le_bytes, to),
            Self::I32(v) => numbers(5, v, i32::to_le_bytes, to),
            Self::F32(v) => numbers(6, v, f32::to_le_bytes, to),
            Self::Bool(v) => numbers(7, v, |v| [u8::from(v)], to),
            Self::String(v) => elements(8, v, |v, to| write_string(v, to), to),
            Self::Array(v) => elements(9, v, Self::write, to),
            Self::U64(v) => numbers(10, v, u64::to_le_bytes, to),
            Self::I64(v) => numbers(11, v, i64::to_le_bytes, to),
            Self::F64(v) => numbers(12, v, f64::to_le_bytes, to),
            Self::Bytes(v) => elements(8, v, |v, to| write_bytes(v, to), to),
        }
    }
}

fn numbers<T: Copy, const N: usize>(kind: u32, numbers: &[T], bytes: fn(T) -> [u8; N], to: &mut Vec<u8>) {
    elements(kind, numbers, |number, to| to.extend(bytes(*number)), to);
}

fn elements<T>(kind: u32, elements: &[T], write: impl Fn(&T, &mut Vec<u8>), to: &mut Vec<u8>) {
    to.extend(kind.to_le_bytes());
    to.extend((elements.len() as u64).to_le_bytes());
    elements.iter().for_each(|element| write(element, to));
}

/// Appends a length and the text.
pub(super) fn write_string(text: &str, to: &mut Vec<u8>) {
    write_bytes(text.as_bytes(), to);
}

/// Appends a length and the bytes.
fn write_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    to.extend((bytes.len() as u64).to_le_bytes());
    to.extend_from_slice(bytes);
}
