//! Metadata values: thirteen types, arrays of any of them.

use super::cursor::{Cursor, DAMAGED, Fault};

/// Arrays within arrays, at most. Files in the wild have none.
const MAX_DEPTH: usize = 4;

/// The type number of arrays.
const ARRAY: u32 = 9;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Type 0.
    U8(u8),
    /// Type 1.
    I8(i8),
    /// Type 2.
    U16(u16),
    /// Type 3.
    I16(i16),
    /// Type 4.
    U32(u32),
    /// Type 5.
    I32(i32),
    /// Type 6.
    F32(f32),
    /// Type 7: a byte that is 0 or 1.
    Bool(bool),
    /// Type 8.
    String(String),
    /// Type 9.
    Array(Array),
    /// Type 10.
    U64(u64),
    /// Type 11.
    I64(i64),
    /// Type 12.
    F64(f64),
    /// Type 8, when the text is not UTF-8.
    Bytes(Vec<u8>),
}

/// An array of the metadata: all elements have one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Elements of type 0.
    U8(Vec<u8>),
    /// Elements of type 1.
    I8(Vec<i8>),
    /// Elements of type 2.
    U16(Vec<u16>),
    /// Elements of type 3.
    I16(Vec<i16>),
    /// Elements of type 4.
    U32(Vec<u32>),
    /// Elements of type 5.
    I32(Vec<i32>),
    /// Elements of type 6.
    F32(Vec<f32>),
    /// Elements of type 7.
    Bool(Vec<bool>),
    /// Elements of type 8.
    String(Vec<String>),
    /// Elements of type 9, which may differ in the types of theirs.
    Array(Vec<Array>),
    /// Elements of type 10.
    U64(Vec<u64>),
    /// Elements of type 11.
    I64(Vec<i64>),
    /// Elements of type 12.
    F64(Vec<f64>),
    /// Elements of type 8, when not all of them are UTF-8: some tokens are parts of a character.
    Bytes(Vec<Vec<u8>>),
}

impl Value {
    /// The number, if it is an integer that is not negative, of whatever width.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::U64(v) => Some(v),
            Self::I8(v) => v.try_into().ok(),
            Self::I16(v) => v.try_into().ok(),
            Self::I32(v) => v.try_into().ok(),
            Self::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// The number, if it is a float of either width.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// The text, if it is one in UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(v) => Some(v),
            _ => None,
        }
    }

    /// The array, if it is one.
    #[must_use]
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(v) => Some(v),
            _ => None,
        }
    }

    /// Reads a type number and a value of it.
    pub(super) fn read(from: &mut Cursor) -> Result<Self, Fault> {
        let at = from.at();
        Ok(match from.u32()? {
            0 => Self::U8(u8::from_le_bytes(from.array()?)),
            1 => Self::I8(i8::from_le_bytes(from.array()?)),
            2 => Self::U16(u16::from_le_bytes(from.array()?)),
            3 => Self::I16(i16::from_le_bytes(from.array()?)),
            4 => Self::U32(from.u32()?),
            5 => Self::I32(i32::from_le_bytes(from.array()?)),
            6 => Self::F32(f32::from_le_bytes(from.array()?)),
            7 => Self::Bool(boolean(from)?),
            8 => text(from.bytes()?),
            ARRAY => Self::Array(Array::read(from, 1)?),
            10 => Self::U64(from.u64()?),
            11 => Self::I64(i64::from_le_bytes(from.array()?)),
            12 => Self::F64(f64::from_le_bytes(from.array()?)),
            kind => return Err(unknown_type(at, kind)),
        })
    }
}

impl Array {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::String(v) => v.len(),
            Self::Array(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Bytes(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the type number of the elements, their count, and them; `depth` arrays are open.
    fn read(from: &mut Cursor, depth: usize) -> Result<Self, Fault> {
        let at = from.at();
        Ok(match from.u32()? {
            0 => Self::U8(numbers(from, u8::from_le_bytes)?),
            1 => Self::I8(numbers(from, i8::from_le_bytes)?),
            2 => Self::U16(numbers(from, u16::from_le_bytes)?),
            3 => Self::I16(numbers(from, i16::from_le_bytes)?),
            4 => Self::U32(numbers(from, u32::from_le_bytes)?),
            5 => Self::I32(numbers(from, i32::from_le_bytes)?),
            6 => Self::F32(numbers(from, f32::from_le_bytes)?),
            7 => Self::Bool(elements(from, 1, boolean)?),
            8 => texts(from)?,
            ARRAY if depth == MAX_DEPTH => {
                let detail = format!("more than {MAX_DEPTH} arrays within each other; {DAMAGED}");
                return Err(Fault::new(at, detail));
            }
            ARRAY => Self::Array(elements(from, 12, |from| Self::read(from, depth + 1))?),
            10 => Self::U64(numbers(from, u64::from_le_bytes)?),
            11 => Self::I64(numbers(from, i64::from_le_bytes)?),
            12 => Self::F64(numbers(from, f64::from_le_bytes)?),
            kind => return Err(unknown_type(at, kind)),
        })
    }
}

/// A text, or bytes if it is not UTF-8.
fn text(bytes: &[u8]) -> Value {
    str::from_utf8(bytes).map_or_else(|_| Value::Bytes(bytes.to_vec()), |text| Value::String(text.to_owned()))
}

/// A count and as many texts, all as bytes if one is not UTF-8.
fn texts(from: &mut Cursor) -> Result<Array, Fault> {
    let count = from.count("texts", 8)?;
    let mut texts = from.room::<String>(count)?;
    for read in 0..count {
        let bytes = from.bytes()?;
        match str::from_utf8(bytes) {
            Ok(text) => texts.push(text.to_owned()),
            Err(_) => {
                let mut all = texts.into_iter().map(String::into_bytes).collect::<Vec<_>>();
                all.push(bytes.to_vec());
                for _ in read + 1..count {
                    all.push(from.bytes()?.to_vec());
                }
                return Ok(Array::Bytes(all));
            }
        }
    }
    Ok(Array::String(texts))
}

/// A count and as many numbers of `N` bytes.
fn numbers<T, const N: usize>(from: &mut Cursor, number: fn([u8; N]) -> T) -> Result<Vec<T>, Fault> {
    let count = from.count("numbers", N)?;
    let (numbers, _) = from.take(count * N)?.as_chunks();
    Ok(numbers.iter().copied().map(number).collect())
}

/// A count and as many elements of at least `least` bytes.
fn elements<'a, T>(
    from: &mut Cursor<'a>,
    least: usize,
    mut element: impl FnMut(&mut Cursor<'a>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let count = from.count("elements", least)?;
    let mut elements = from.room(count)?;
    for _ in 0..count {
        elements.push(element(from)?);
    }
    Ok(elements)
}

fn boolean(from: &mut Cursor) -> Result<bool, Fault> {
    let at = from.at();
    match from.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [byte] => Err(Fault::new(at, format!("a truth value of {byte}; {DAMAGED}"))),
    }
}

fn unknown_type(at: usize, kind: u32) -> Fault {
    Fault::new(at, format!("a value of type {kind}, and types go from 0 to 12; {DAMAGED}"))
}
