//! A format, weights and their importance: whatever is encoded has the right length, and decodes to finite weights.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom::encode::Encoder;
use quantloom::stored::Storage;
use quantloom_fuzz::{FORMATS, POOL, right};

static ENCODERS: LazyLock<Vec<Option<Encoder>>> =
    LazyLock::new(|| FORMATS.iter().map(|(format, _)| right(Encoder::new(format))).collect());

fuzz_target!(init: LazyLock::force(&ENCODERS), |input: &[u8]| {
    let Some((&[number, has_importance], bytes)) = input.split_first_chunk() else { return };
    let number = usize::from(number) % FORMATS.len();
    let (format, _) = FORMATS[number];
    let Some(encoder) = &ENCODERS[number] else { return };
    let (n, k) = (format.row_multiple(), format.block_weights);
    let mut floats = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).cycle();
    let weights: Vec<f32> = floats.by_ref().take(n * k).collect();
    let importance: Option<Vec<f32>> = (has_importance % 2 == 1).then(|| floats.map(f32::abs).take(k).collect());
    if weights.is_empty() {
        return;
    }
    let encoded = match format.storage {
        Storage::Rows { .. } => right(encoder.encode(&weights, k, importance.as_deref(), &POOL)),
        Storage::Tensors { tensors, .. } => right(encoder.encode_tensors(&weights, n, k, importance.as_deref(), &POOL))
            .map(|encoded| encoded.into_iter().take(tensors.len()).flat_map(|tensor| tensor.bytes).collect()),
    };
    let Some(encoded) = encoded else { return };
    let mut decoded = vec![0.0; n * k];
    quantloom::decode(format, n, k, &encoded, &mut decoded).expect("as many bytes as the format asks for");
    assert!(decoded.iter().all(|value| value.is_finite()), "{}: {decoded:?}", format.name);
});
