//! A format and stored weights: the generated decoder gives the bits that the card means, and both layouts the same products.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom::stored::Stored;
use quantloom_fuzz::{FORMATS, use_matrix};
use quantloom_spec::eval::{self, Items};
use quantloom_spec::model::Storage;

fuzz_target!(init: LazyLock::force(&FORMATS), |input: &[u8]| {
    let Some((&[number, blocks], bytes)) = input.split_first_chunk() else { return };
    let (format, card) = &FORMATS[usize::from(number) % FORMATS.len()];
    let (n, k) = (format.row_multiple(), format.block_weights * (1 + usize::from(blocks) % 3));
    let mut bytes = bytes.to_vec();
    bytes.resize(format.stored_bytes(n, k).expect("a small matrix"), 0xA5);
    let wanted = match &card.storage {
        Storage::Blocks(_) => eval::decode_rows(card, &bytes, k),
        Storage::Tensors(_) => {
            let shapes = format.shapes(n, k).expect("a small matrix");
            let mut rest = bytes.as_slice();
            let items = shapes.iter().map(|(shape, item)| {
                let (tensor, after) = rest.split_at(shape.iter().product::<usize>() * item);
                rest = after;
                Items { shape, bytes: tensor }
            });
            eval::decode_tensors(card, &items.collect::<Vec<_>>(), n, k)
        }
    };
    let stored = Stored::new(format, n, k, &bytes).expect("as many bytes as it asks for");
    let mut found = vec![0.0; n * k];
    stored.decode(0..n, &mut found).expect("a place for each weight");
    let same = |(found, wanted): (&f32, &f32)| found.to_bits() == wanted.to_bits() || found.is_nan() && wanted.is_nan();
    assert!(found.iter().zip(&wanted).all(same), "{}: {found:?} and not {wanted:?}", format.name);
    use_matrix(&stored);
});
