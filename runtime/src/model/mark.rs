//! What makes a GGUF file a packed copy: entries that name the formats of its packed tensors and how they are laid out.
//!
//! A packed tensor of format i has the type number `FIRST + i`, which no other reader takes for something else.

use crate::error::{Error, Result, quoted};
use crate::gguf::{Array, Gguf, PLAIN, Value};
use crate::measure::synthetic;
use crate::registry::{self, Format};
use crate::tune::Digest;

/// The entry that says so: the version of what the others mean.
pub const VERSION_KEY: &str = "quantloom.packed.version";
/// The entry with the names of the formats.
pub const FORMATS_KEY: &str = "quantloom.packed.formats";
/// The entry with what their packed layouts are known by.
pub const LAYOUTS_KEY: &str = "quantloom.packed.layouts";
/// Where the type numbers of packed tensors begin: the letters `QP`, as no other number does.
pub const FIRST: u32 = 0x5150_0000;
/// The present version.
const VERSION: u32 = 2;
/// The version before checksums followed the data.
const WITHOUT_CHECKSUMS: u32 = 1;

/// The formats of a packed copy.
#[derive(Debug)]
pub struct Mark {
    formats: Vec<&'static Format>,
}

impl Mark {
    /// Of a file; `None` if it is no packed copy.
    ///
    /// # Errors
    /// [`Error::Gguf`] if it is one that this build cannot read.
    pub fn of(file: &Gguf) -> Result<Option<Self>> {
        let Some(version) = file.value(VERSION_KEY) else { return Ok(None) };
        let wrong = |detail: String| Error::Gguf { path: file.path().to_owned(), detail };
        match version.as_u64().and_then(|version| u32::try_from(version).ok()) {
            Some(VERSION) if !file.has_checksums() => {
                return Err(wrong(
                    "its checksums are missing or damaged; it was cut short or changed: pack the model again".to_owned(),
                ));
            }
            Some(VERSION | WITHOUT_CHECKSUMS) => {}
            _ => {
                let detail = format!(
                    "packed by another version of quantloom (not version {WITHOUT_CHECKSUMS} or {VERSION}); pack the model again"
                );
                return Err(wrong(detail));
            }
        }
        let (Some(Array::String(names)), Some(Array::U64(layouts))) =
            (file.value(FORMATS_KEY).and_then(Value::as_array), file.value(LAYOUTS_KEY).and_then(Value::as_array))
        else {
            let detail =
                format!("{VERSION_KEY} without {FORMATS_KEY} and {LAYOUTS_KEY}; the file is damaged: pack the model again");
            return Err(wrong(detail));
        };
        if names.len() != layouts.len() {
            let detail =
                format!("{} formats, but {} layouts; the file is damaged: pack the model again", names.len(), layouts.len());
            return Err(wrong(detail));
        }
        let mut formats = Vec::<&'static Format>::new();
        for (name, layout) in names.iter().zip(layouts) {
            // Each is compared by packing some weights: that a list names none twice bounds the time.
            if formats.iter().any(|known| known.name.eq_ignore_ascii_case(name)) {
                let name = quoted(name);
                return Err(wrong(format!("{FORMATS_KEY} lists {name} twice; the file is damaged: pack the model again")));
            }
            let known = registry::format_by_name(name).ok().filter(|format| self::layout(format).ok() == Some(Digest(*layout)));
            formats.push(known.ok_or_else(|| {
                let name = quoted(name);
                wrong(format!(
                    "packed for another build of quantloom, in which {name} is laid out otherwise; pack the model again"
                ))
            })?);
        }
        Ok(Some(Self { formats }))
    }

    /// The format of packed tensors with a type number, if it is that of one.
    pub fn format(&self, kind: u32) -> Option<&'static Format> {
        let index = usize::try_from(kind.checked_sub(FIRST)?).ok()?;
        self.formats.get(index).copied().filter(|_| kind != PLAIN)
    }
}

/// Whether a type number is one of those that packed tensors have.
pub fn is_own_kind(kind: u32) -> bool {
    kind & 0xffff_0000 == FIRST
}

/// Whether a key says something of a packed copy.
pub fn is_own(key: &str) -> bool {
    [VERSION_KEY, FORMATS_KEY, LAYOUTS_KEY].contains(&key)
}

/// The entries of a packed copy whose tensors are of these formats.
///
/// # Errors
/// As [`layout`].
pub fn entries(formats: &[&'static Format]) -> Result<Vec<(String, Value)>> {
    let names = formats.iter().map(|format| format.name.to_owned()).collect();
    let layouts = formats.iter().map(|format| layout(format).map(|digest| digest.0)).collect::<Result<_>>()?;
    Ok(vec![
        (VERSION_KEY.to_owned(), Value::U32(VERSION)),
        (FORMATS_KEY.to_owned(), Value::Array(Array::String(names))),
        (LAYOUTS_KEY.to_owned(), Value::Array(Array::U64(layouts))),
    ])
}

/// What a packed layout is known by: the class and the palette that give its bits their meaning, and the bytes that some weights
/// are packed to. A change of either makes another digest, a change of a kernel does not.
///
/// # Errors
/// [`Error::NoKernel`] if the format has no packed form, [`Error::OutOfMemory`].
fn layout(format: &'static Format) -> Result<Digest> {
    let packed = format.packed.as_ref().ok_or_else(|| registry::no_kernel(format, "a packed form", []))?;
    let (class, palette) = (packed.class, &packed.palette);
    let rows = quantloom_kernels::abi::PANEL_ROWS;
    let (n, k) = (rows.next_multiple_of(format.row_multiple()), class.unit_weights.next_multiple_of(format.block_weights));
    let stored = synthetic(format, n, k)?;
    let tensors = format.split(n, k, &stored).unwrap_or_default();
    let mut panel = vec![0_u64; k.div_ceil(class.unit_weights) * class.unit_bytes / size_of::<u64>()];
    (packed.pack)(&tensors, 0..rows, 0..k / format.block_weights, bytemuck::cast_slice_mut(&mut panel));
    let sizes = [class.unit_weights, class.unit_bytes, rows].into_iter().flat_map(|size| (size as u64).to_le_bytes());
    let floats = palette.floats.iter().flat_map(|value| value.to_le_bytes());
    let panel = bytemuck::cast_slice::<u64, u8>(&panel).iter().copied();
    Ok(Digest::of_bytes(class.name.bytes().chain([0xff]).chain(sizes).chain(palette.bytes).chain(floats).chain(panel)))
}
