//! The weights that all contenders multiply by: such as an encoder writes.

use llama_cpp_sys_2 as ggml;
use quantloom::measure::{activations, synthetic};
use quantloom::registry::Format;
use quantloom_bench::shape::Shape;

use crate::contender::Result;

/// Rows that are encoded. The others repeat them: encoding a matrix would take longer than measuring it.
const DISTINCT: usize = 16;

/// The stored bytes of a matrix, the same on every call: as llama.cpp encodes them, or arbitrary ones of a format that it only decodes.
/// Arbitrary ones have what no file of llama.cpp's has, and not everyone reads that alike.
pub fn stored(format: &'static Format, gguf: u32, shape: Shape) -> Result<Vec<u8>> {
    let Shape { n, k } = shape;
    let rows = DISTINCT.min(n);
    let row = format.stored_bytes(1, k).unwrap_or_default();
    let Some(encode) = encoder(gguf, k, row) else { return Ok(synthetic(format, n, k)?) };
    let mut values = activations(rows, k)?;
    // They must have nothing to do with the activations that they meet.
    values.reverse();
    let mut bytes = vec![0; rows * row];
    // SAFETY: each row of `k` values is whole blocks of the type, and takes `row` bytes.
    unsafe { encode(values.as_ptr(), bytes.as_mut_ptr().cast(), i64::try_from(values.len())?) };
    Ok(bytes.chunks(row).cycle().take(n).flatten().copied().collect())
}

type Encode = unsafe extern "C" fn(*const f32, *mut std::ffi::c_void, i64);

/// llama.cpp's encoder of a type, if it has one that needs no data and makes rows of `k` weights of so many bytes.
fn encoder(gguf: u32, k: usize, row: usize) -> Option<Encode> {
    if gguf >= ggml::GGML_TYPE_COUNT {
        return None;
    }
    // SAFETY: the number is below that of types, so the tables have an entry; the first call makes those that encoders need.
    let traits = unsafe {
        ggml::ggml_quantize_init(gguf);
        ggml::ggml_get_type_traits(gguf).as_ref()?
    };
    let block = usize::try_from(traits.blck_size).ok().filter(|&block| block > 0 && k.is_multiple_of(block))?;
    traits.from_float_ref.filter(|_| k / block * traits.type_size == row)
}
