//! What a model says of its quantisation: in its configuration, and in tensors of JSON text beside the weights.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::SafeTensors;
use crate::error::quoted;
use crate::stored::{Setting, Word};

/// Configurations beside a model, and the keys of the parts that are about its quantisation; without any, all of it is.
const FILES: [(&str, &[&str]); 2] = [("config.json", &["quantization_config", "quantization"]), ("quantize_config.json", &[])];

/// Largest configuration that is read, and largest tensor that may be text.
const MAX_BYTES: u64 = 1 << 24;
const MAX_TENSOR: usize = 1 << 16;

/// Some settings, and who says so.
#[derive(Debug)]
pub(super) struct Settings {
    /// The tensor that they are said in, which is beside those of the one matrix that they are about.
    tensor: Option<String>,
    place: String,
    values: Map<String, Json>,
}

impl Settings {
    /// All that a model's files say, and the configurations beside them. What cannot be read says nothing.
    pub(super) fn of(file: &SafeTensors) -> Vec<Self> {
        let names = file.names();
        let mut all = names.iter().filter_map(|name| Self::of_tensor(file, name)).collect::<Vec<_>>();
        let folder = file.paths().next().and_then(Path::parent);
        let read = |(name, keys): (&str, &[&str])| {
            let path = folder?.join(name);
            // Not a pipe: nothing may come from it.
            let bytes = path.is_file().then(|| File::open(&path).ok()).flatten()?;
            let mut text = String::new();
            bytes.take(MAX_BYTES).read_to_string(&mut text).ok()?;
            let whole: Map<String, Json> = serde_json::from_str(&text).ok()?;
            let part = |key: &&str| whole.get(*key)?.as_object().cloned();
            let values = if keys.is_empty() { whole } else { keys.iter().find_map(part)? };
            Some(Self { tensor: None, place: name.to_owned(), values })
        };
        all.extend(FILES.into_iter().filter_map(read));
        all
    }

    /// A tensor of JSON text.
    fn of_tensor(file: &SafeTensors, name: &str) -> Option<Self> {
        let tensor = file.get(name).filter(|tensor| tensor.kind.holds("u8") && tensor.bytes.len() <= MAX_TENSOR)?;
        let values = tensor.bytes.starts_with(b"{").then(|| serde_json::from_slice(tensor.bytes).ok()).flatten()?;
        Some(Self { tensor: Some(name.to_owned()), place: format!("tensor {}", quoted(name)), values })
    }

    /// The value of a setting for a matrix: what is said of it by its name goes before what is said of all.
    fn get(&self, matrix: &str, key: &str) -> Option<&Json> {
        let own = self.values.get(matrix).and_then(Json::as_object);
        own.and_then(|own| own.get(key)).or_else(|| self.values.get(key)).filter(|value| !value.is_null())
    }
}

impl SafeTensors {
    /// What is said of a matrix, in the order in which it counts.
    pub(super) fn said(&self, matrix: &str) -> Vec<&Settings> {
        let is_beside = |name: &String| name.strip_prefix(matrix).is_some_and(|rest| rest.starts_with('.'));
        self.settings().iter().filter(|said| said.tensor.as_ref().is_none_or(is_beside)).collect()
    }
}

/// What is said of a matrix that contradicts a setting of its format: who says so, and the value.
pub(super) fn contradiction(said: &[&Settings], matrix: &str, setting: &Setting) -> Option<(String, String)> {
    let (place, value) = said.iter().find_map(|said| Some((&said.place, said.get(matrix, setting.key)?)))?;
    (!setting.values.iter().any(|word| is(value, *word))).then(|| (place.clone(), shown(value)))
}

/// A setting that is a number.
pub(super) fn number(said: &[&Settings], matrix: &str, key: &str) -> Option<f32> {
    said.iter().find_map(|said| said.get(matrix, key)?.as_f64()).map(|value| value as f32)
}

/// N and K, where they are said of a matrix by its own tensors.
pub(super) fn shape(said: &[&Settings], matrix: &str) -> Option<(usize, usize)> {
    let mut own = said.iter().filter(|said| said.tensor.is_some());
    let shape = own.find_map(|said| said.get(matrix, "shape")?.as_array())?;
    let length = |at: usize| usize::try_from(shape.get(at)?.as_u64()?).ok();
    if shape.len() == 2 { length(0).zip(length(1)) } else { None }
}

fn is(value: &Json, word: Word) -> bool {
    match word {
        Word::Text(text) => value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(text)),
        Word::Integer(integer) => value.as_i64() == Some(integer),
    }
}

/// A value from a file, on one line and not too long.
fn shown(value: &Json) -> String {
    value.as_str().map_or_else(|| quoted(&value.to_string()).trim_matches('"').to_owned(), quoted)
}

/// The values that a setting may have.
pub(super) fn wanted(setting: &Setting) -> String {
    let word = |word: &Word| match word {
        Word::Text(text) => format!("{text:?}"),
        Word::Integer(integer) => integer.to_string(),
    };
    setting.values.iter().map(word).collect::<Vec<_>>().join(" or ")
}
