//! From bytes to what they list. Nothing is allocated by a length that was not checked against the file.

use std::collections::HashSet;

use super::cursor::{Cursor, DAMAGED, Fault};
use super::tensor::TensorInfo;
use super::value::Value;

pub(super) const MAGIC: [u8; 4] = *b"GGUF";
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
const MAX_DIMS: u32 = 4;

/// Bytes that must be there before a text in JSON is told from others.
const LEAST_HEADER: usize = 64;

pub(super) const ALIGNMENT_KEY: &str = "general.alignment";
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;
const LEAST_ALIGNMENT: u64 = 8;
/// The largest page that a processor maps by itself, about. What a file is padded to must not be much larger than what is in it.
const MOST_ALIGNMENT: u64 = 2 << 20;

/// What is wrong with an alignment that is none.
pub(super) const WRONG_ALIGNMENT: &str = "not a power of two from 8 to 2097152";

/// Bytes of the shortest entry: an empty key, a type, a value of one byte.
const LEAST_ENTRY: usize = 8 + 4 + 1;
/// Bytes of the shortest tensor: an empty name, no axes, a type, an offset.
const LEAST_TENSOR: usize = 8 + 4 + 4 + 8;

/// What a file lists, in file order.
#[derive(Debug)]
pub(super) struct Contents {
    pub version: u32,
    pub metadata: Vec<(String, Value)>,
    pub tensors: Vec<TensorInfo>,
    /// What the data and each tensor in it start at a multiple of.
    pub alignment: u64,
    /// Where the data starts.
    pub data: u64,
}

/// Reads all but the data.
pub(super) fn contents(bytes: &[u8]) -> Result<Contents, Fault> {
    let mut from = Cursor::new(bytes);
    if !bytes.starts_with(&MAGIC) {
        return Err(Fault::new(0, other_kind(bytes)));
    }
    let version = version(&mut from)?;
    let tensor_count = from.count("tensors", LEAST_TENSOR)?;
    let entry_count = from.count("keys", LEAST_ENTRY)?;
    let (metadata, alignment) = metadata(&mut from, entry_count)?;
    let tensors = tensors(&mut from, tensor_count, alignment)?;
    let data = (from.at() as u64).next_multiple_of(alignment);
    for tensor in &tensors {
        check_start(tensor, data, bytes.len())?;
    }
    Ok(Contents { version, metadata, tensors, alignment, data })
}

/// What a file is instead, and what to do.
fn other_kind(bytes: &[u8]) -> &'static str {
    let is_json = |text: &[u8]| text.trim_ascii_start().starts_with(b"{");
    match bytes.split_first_chunk() {
        _ if is_json(&bytes[..bytes.len().min(LEAST_HEADER)]) => {
            "a JSON file, not a GGUF file; open the index of a model in several safetensors files as those, or convert the model to GGUF"
        }
        Some((length, header)) if is_json(header) && u64::from_le_bytes(*length) <= header.len() as u64 => {
            "a safetensors file, not a GGUF file; open it as one, or convert the model to GGUF"
        }
        _ => "not a GGUF file, as it does not start with \"GGUF\"; name one that does",
    }
}

fn version(from: &mut Cursor) -> Result<u32, Fault> {
    from.take(MAGIC.len())?;
    let at = from.at();
    let detail = match from.u32()? {
        version if VERSIONS.contains(&version) => return Ok(version),
        version if VERSIONS.contains(&version.swap_bytes()) => {
            "a big-endian file is not supported; fetch or convert the little-endian one".to_owned()
        }
        version => {
            format!("GGUF version {version} is not supported; convert the model to version 3")
        }
    };
    Err(Fault::new(at, detail))
}

/// The entries, and the alignment that one of them may give.
fn metadata(from: &mut Cursor, count: usize) -> Result<(Vec<(String, Value)>, u64), Fault> {
    let mut entries = from.room(count)?;
    let mut seen = HashSet::new();
    let mut alignment = DEFAULT_ALIGNMENT;
    for _ in 0..count {
        let at = from.at();
        let key = from.name()?;
        let within = |fault: Fault| fault.within("key", key);
        if !seen.insert(key) {
            return Err(within(Fault::new(at, format!("listed twice; {DAMAGED}"))));
        }
        let at = from.at();
        let value = Value::read(from).map_err(within)?;
        if key == ALIGNMENT_KEY {
            alignment = alignment_of(at, &value).map_err(within)?;
        }
        entries.push((key.to_owned(), value));
    }
    Ok((entries, alignment))
}

fn alignment_of(at: usize, value: &Value) -> Result<u64, Fault> {
    alignment(value).ok_or_else(|| Fault::new(at, format!("{WRONG_ALIGNMENT}; {DAMAGED}")))
}

/// The alignment that a value gives, if it is one.
pub(super) fn alignment(value: &Value) -> Option<u64> {
    value.as_u64().filter(|v| v.is_power_of_two() && (LEAST_ALIGNMENT..=MOST_ALIGNMENT).contains(v))
}

fn tensors(from: &mut Cursor, count: usize, alignment: u64) -> Result<Vec<TensorInfo>, Fault> {
    let mut tensors = from.room(count)?;
    let mut seen = HashSet::new();
    for _ in 0..count {
        let at = from.at();
        let name = from.name()?;
        let within = |fault: Fault| fault.within("tensor", name);
        if !seen.insert(name) {
            return Err(within(Fault::new(at, format!("listed twice; {DAMAGED}"))));
        }
        let dims = dims(from).map_err(within)?;
        let kind = from.u32().map_err(within)?;
        let offset = offset(from, alignment).map_err(within)?;
        tensors.push(TensorInfo { name: name.to_owned(), dims, kind, offset, part: 0 });
    }
    Ok(tensors)
}

/// The axes of a tensor, whose product is a size.
fn dims(from: &mut Cursor) -> Result<Vec<u64>, Fault> {
    let at = from.at();
    let count = from.u32()?;
    if count > MAX_DIMS {
        return Err(Fault::new(at, format!("{count} axes, more than {MAX_DIMS}; {DAMAGED}")));
    }
    let dims = (0..count).map(|_| from.u64()).collect::<Result<Vec<_>, _>>()?;
    // An axis of 0 must not hide an overflow of the others.
    let weights = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim.max(1)));
    match weights.map(isize::try_from) {
        Some(Ok(_)) => Ok(dims),
        _ => Err(Fault::new(at, format!("axes {dims:?} make too many weights to count; {DAMAGED}"))),
    }
}

fn offset(from: &mut Cursor, alignment: u64) -> Result<u64, Fault> {
    let at = from.at();
    let offset = from.u64()?;
    if offset.is_multiple_of(alignment) {
        Ok(offset)
    } else {
        let detail = format!("offset {offset} is not a multiple of the alignment, {alignment}; {DAMAGED}");
        Err(Fault::new(at, detail))
    }
}

fn check_start(tensor: &TensorInfo, data: u64, end: usize) -> Result<(), Fault> {
    let start = usize::try_from(data.saturating_add(tensor.offset)).unwrap_or(usize::MAX);
    if start <= end {
        return Ok(());
    }
    let detail = format!("data starts here, but the file ends at {end}; it was cut short: fetch it again");
    Err(Fault::new(start, detail).within("tensor", &tensor.name))
}
