//! Separate tensors.

use quantloom_spec::eval::{Items, decode_tensors};
use quantloom_spec::{TableFolder, cards_dir, read_format};

use super::*;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The layout of separate tensors, if the encoder has it.
fn tensors(encoder: &Encoder) -> Option<&Tensors> {
    match &encoder.layout {
        Layout::Tensors(tensors) => Some(tensors),
        Layout::Rows(_) => None,
    }
}

/// Encodes patterns, and checks that they decode to what was meant. Returns the relative error of the noise.
fn error_of(model: &model::Format, encoder: &Encoder) -> f64 {
    let (n, k) = (tensors(encoder).unwrap().rows, (2 * encoder.period).max(128));
    let importance = (0..k).map(|at| (at % 5) as f32).collect::<Vec<_>>();
    let mut error = 0.0;
    for (name, x) in patterns(n * k) {
        for importance in [Some(importance.as_slice()), None] {
            let encoded = encoder.encode_tensors(&x, n, k, importance, Pool::global()).unwrap();
            let items = encoded.iter().map(|tensor| Items { shape: &tensor.shape, bytes: &tensor.bytes }).collect::<Vec<_>>();
            let found = decode_tensors(model, &items, n, k);
            let mut work = Work::default();
            let w = importance.map(normal);
            x.chunks(k).for_each(|row| encoder.decide(row, w.as_deref(), &mut work));
            assert!(found.iter().all(|value| value.is_finite()), "{} {name}", model.name);
            assert_eq!(bits(&found), bits(&work.meant), "{} {name}", model.name);
            if name == "noise" {
                let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
                error = squares(&mut x.iter().zip(&found).map(|(x, y)| x - y)) / squares(&mut x.iter().copied());
            }
        }
    }
    error
}

#[test]
fn tensors_decode_to_what_was_meant() {
    let mut tested = 0;
    let formats = registry::formats().filter(|format| format.gguf.is_none()).collect::<Vec<_>>();
    // The others of a family differ from these in a length or a type.
    let ends = formats.chunk_by(|one, other| one.card == other.card).flat_map(|family| match family {
        [first, .., last] => vec![*first, *last],
        one => one.to_vec(),
    });
    for format in ends {
        let Ok(encoder) = Encoder::new(format) else { continue };
        if tensors(&encoder).is_some() {
            let error = error_of(registry::model(format).unwrap(), &encoder);
            println!("{} {error:e}", format.name);
            tested += 1;
        }
    }
    assert!(tested >= 7, "{tested}");
}

/// Scales under one of the row, and codes of 6 bits that run on from word to word; rows lie side by side.
const CARD: &str = r#"
    name = "doubled"
    doc = "x"
    index = { group = 32, lane = 1 }
    rows = { pair = 2, odd = 1 }
    [tensors]
    w = { type = "u16", axes = [{ group = 12 }, { pair = 2, odd = 1 }], stream = 0 }
    s = { type = "i8", axes = [{ pair = 2, odd = 1 }, { group = 1 }] }
    d = { type = "f32", axes = [{ pair = 2, odd = 1 }] }
    [indices]
    place = { type = "u16", holds = { at = 3, group = 100, lane = 2 } }
    [code]
    planes = [{ from = "w", bit = { lane = 6 }, bits = 6 }]
    offset = -32
    [scale]
    super = { from = "d" }
    from = "s""#;

fn card(text: &str) -> model::Format {
    read_format("card", text, &TableFolder::new(cards_dir().join("tables")))
        .unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

#[test]
fn other_structures_are_encoded_too() {
    let model = card(CARD);
    let encoder = Encoder::of_model(&model).unwrap();
    let error = error_of(&model, &encoder);
    assert!(error < 1e-3, "{error:e}");
    let encoded = encoder.encode_tensors(&noise(256), 4, 64, None, Pool::global()).unwrap();
    let shapes = encoded.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())).collect::<Vec<_>>();
    assert_eq!(shapes, [("w", &[24, 4][..]), ("s", &[4, 2]), ("d", &[4]), ("place", &[64])]);
    let places = encoded[3].bytes.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect::<Vec<_>>();
    assert_eq!([places[0], places[31], places[32], places[63]], [3, 65, 103, 165]);
}

#[test]
fn what_cannot_be_encoded_is_said() {
    let message = |text: &str| Encoder::of_model(&card(text)).unwrap_err().to_string();
    let shared = CARD.replace("axes = [{ pair = 2, odd = 1 }] }", "axes = [] }");
    assert!(message(&shared).contains("rows share"), "{}", message(&shared));

    let encoder = Encoder::of_model(&card(CARD)).unwrap();
    let refused = |n, k| encoder.encode_tensors(&noise(96), n, k, None, Pool::global()).unwrap_err().to_string();
    assert!(refused(3, 32).contains("needs N to be a multiple of 2"));
    assert!(refused(2, 48).contains("needs K to be a multiple of 32"));
    assert!(refused(2, 32).contains("96 values given, 64 needed"));
    assert!(encoder.encode(&noise(64), 32, None, Pool::global()).unwrap_err().to_string().contains("separate tensors"));
    let blocks = Encoder::new(in_blocks().next().unwrap()).unwrap();
    let message = blocks.encode_tensors(&noise(512), 2, 256, None, Pool::global()).unwrap_err().to_string();
    assert!(message.contains("rows of blocks"), "{message}");
}

/// Rows share bytes, and different threads write them.
#[test]
fn threads_do_not_change_the_result() {
    let encoder = Encoder::of_model(&card(CARD)).unwrap();
    let x = noise(3 * AT_ONCE);
    let encoded = |threads| encoder.encode_tensors(&x, x.len() / 64, 64, None, &Pool::new(threads)).unwrap();
    assert_eq!(encoded(1), encoded(3));
}
