//! Metadata values as JSON and as short text.

use quantloom::gguf::{Array, Value};
use quantloom_spec::text::escaped;
use serde_json::{Number, Value as Json};

use super::table::{clipped, shown};

/// Elements of an array that short text shows.
const FIRST: usize = 4;

/// A value as JSON. Numbers that JSON does not have, such as infinities, are null.
pub fn json(value: &Value) -> Json {
    match value {
        Value::U8(v) => Json::from(*v),
        Value::I8(v) => Json::from(*v),
        Value::U16(v) => Json::from(*v),
        Value::I16(v) => Json::from(*v),
        Value::U32(v) => Json::from(*v),
        Value::I32(v) => Json::from(*v),
        Value::F32(v) => float(*v),
        Value::Bool(v) => Json::from(*v),
        Value::String(v) => Json::from(v.as_str()),
        Value::Array(v) => Json::Array(elements(v, usize::MAX)),
        Value::U64(v) => Json::from(*v),
        Value::I64(v) => Json::from(*v),
        Value::F64(v) => Json::from(*v),
        Value::Bytes(v) => without_bytes(v, str::to_owned).into(),
    }
}

/// A value on one short line.
pub fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Bytes(bytes) => clipped(without_bytes(bytes, escaped).chars()),
        Value::Array(array) => brief_array(array),
        number => json(number).to_string(),
    }
}

/// The length of an array and how it starts.
fn brief_array(array: &Array) -> String {
    let element = |element: &Json| match element {
        Json::String(text) => format!("{text:?}"),
        Json::Array(_) => "[..]".to_owned(),
        number => number.to_string(),
    };
    let start: Vec<_> = match array {
        Array::Bytes(texts) => texts.iter().take(FIRST).map(|text| format!("\"{}\"", without_bytes(text, escaped))).collect(),
        others => elements(others, FIRST).iter().map(element).collect(),
    };
    let more = if array.len() > FIRST { ", .." } else { "" };
    clipped(format!("{} values: {}{more}", array.len(), start.join(", ")).chars())
}

/// The first `count` elements of an array.
fn elements(array: &Array, count: usize) -> Vec<Json> {
    match array {
        Array::U8(v) => first(v, count, |&v| v.into()),
        Array::I8(v) => first(v, count, |&v| v.into()),
        Array::U16(v) => first(v, count, |&v| v.into()),
        Array::I16(v) => first(v, count, |&v| v.into()),
        Array::U32(v) => first(v, count, |&v| v.into()),
        Array::I32(v) => first(v, count, |&v| v.into()),
        Array::F32(v) => first(v, count, |&v| float(v)),
        Array::Bool(v) => first(v, count, |&v| v.into()),
        Array::String(v) => first(v, count, |v| v.as_str().into()),
        Array::Array(v) => first(v, count, |v| Json::Array(elements(v, count))),
        Array::U64(v) => first(v, count, |&v| v.into()),
        Array::I64(v) => first(v, count, |&v| v.into()),
        Array::F64(v) => first(v, count, |&v| v.into()),
        Array::Bytes(v) => first(v, count, |v| without_bytes(v, str::to_owned).into()),
    }
}

/// Text that is not all UTF-8: the bytes that are not come as `\xNN`, the rest as `plain` makes it.
fn without_bytes(bytes: &[u8], plain: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += &plain(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

fn first<T>(values: &[T], count: usize, json: impl Fn(&T) -> Json) -> Vec<Json> {
    values.iter().take(count).map(json).collect()
}

/// The shortest decimal that is this f32, not the longer one of the f64 next to it.
fn float(value: f32) -> Json {
    let shortest = value.to_string().parse().ok().and_then(Number::from_f64);
    shortest.map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short() {
        assert_eq!(json(&Value::F32(1e-5)).to_string(), "0.00001");
        assert_eq!(json(&Value::F32(f32::NAN)), Json::Null);
        assert_eq!(json(&Value::F32(10000.0)).to_string(), "10000.0");
    }

    #[test]
    fn long_arrays_are_abbreviated() {
        let array = |count: u8| Value::Array(Array::U8((0..count).collect()));
        assert_eq!(brief(&array(2)), "2 values: 0, 1");
        assert_eq!(brief(&array(9)), "9 values: 0, 1, 2, 3, ..");
        assert_eq!(json(&array(2)).to_string(), "[0,1]");
        let words = Array::String(vec!["a\n".into(), "\u{9b}".into()]);
        assert_eq!(brief(&Value::Array(words)), r#"2 values: "a\n", "\u{9b}""#);
        let nested = Array::Array(vec![Array::U8(vec![])]);
        assert_eq!(brief(&Value::Array(nested)), "1 values: [..]");
    }

    #[test]
    fn text_stays_on_its_line() {
        assert_eq!(brief(&Value::String("a\nb".into())), "a\\nb");
        let bytes = b"caf\xe9\n".to_vec();
        assert_eq!(brief(&Value::Bytes(bytes.clone())), r"caf\xe9\n");
        assert_eq!(json(&Value::Bytes(bytes.clone())), Json::from("caf\\xe9\n"));
        let array = Value::Array(Array::Bytes(vec![bytes, b"ok".to_vec()]));
        assert_eq!(brief(&array), r#"2 values: "caf\xe9\n", "ok""#);
    }
}
