//! The encoder against the decoder.

use super::Failure;
use super::samples::Random;
use crate::encode::Encoder;
use crate::error::Error;
use crate::pool::Pool;
use crate::registry::Format;
use crate::stored::{Storage, Stored};

/// Weights of a row at least.
const WEIGHTS: usize = 256;

/// Encodes random weights and decodes them again: every value must be finite, and all together nearer to the weights than zeros are.
/// Returns how many there were; 0 if the structure of the format is none that can be encoded.
///
/// # Errors
/// A value that is not finite, or an error that is too large.
pub fn encoding(format: &'static Format) -> Result<usize, Failure> {
    let fail = |error: Error| Failure::new(format, error);
    let encoder = match Encoder::new(format) {
        Ok(encoder) => encoder,
        Err(Error::NotEncodable { .. }) => return Ok(0),
        Err(error) => return Err(fail(error)),
    };
    let (n, k, pool) = (format.row_multiple(), WEIGHTS.next_multiple_of(format.block_weights), Pool::global());
    let mut random = Random(5);
    let x = (0..n * k).map(|_| random.unit()).collect::<Vec<_>>();
    let mut y = vec![f32::NAN; x.len()];
    match format.storage {
        Storage::Rows { .. } => {
            let bytes = encoder.encode(&x, k, None, pool).map_err(fail)?;
            Stored::new(format, n, k, &bytes).and_then(|stored| stored.decode(0..n, &mut y)).map_err(fail)?;
        }
        Storage::Tensors { tensors, .. } => {
            let encoded = encoder.encode_tensors(&x, n, k, None, pool).map_err(fail)?;
            let bytes = encoded.iter().take(tensors.len()).map(|tensor| &*tensor.bytes).collect::<Vec<_>>();
            Stored::from_tensors(format, n, k, &bytes).and_then(|stored| stored.decode(0..n, &mut y)).map_err(fail)?;
        }
    }
    if let Some(index) = y.iter().position(|value| !value.is_finite()) {
        let what = format!("row {}, weight {}, {:e}, is encoded as {:e}", index / k, index % k, x[index], y[index]);
        return Err(Failure::new(format, what));
    }
    let square = |value: f32| f64::from(value) * f64::from(value);
    let (error, all) = x.iter().zip(&y).fold((0.0, 0.0), |(error, all), (x, y)| (error + square(x - y), all + square(*x)));
    if error >= all {
        return Err(Failure::new(
            format,
            format!("random weights are encoded no better than as zeros: error {:.2}", error / all),
        ));
    }
    Ok(x.len())
}
