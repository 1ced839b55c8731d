//! What safetensors files hold.

use quantloom::safetensors::SafeTensors;
use serde_json::{Value as Json, json};

use super::super::table::{Align, Table, shown};

/// The model's lists, as text or JSON.
pub fn list(file: &SafeTensors, as_json: bool) -> String {
    if as_json { format!("{:#}\n", json_of(file)) } else { text(file) }
}

fn text(file: &SafeTensors) -> String {
    let mut notes = Table::new(&[("KEY", Align::Left), ("VALUE", Align::Left)]);
    for (key, value) in file.notes() {
        notes.row([shown(key), shown(value)]);
    }
    let mut tensors =
        Table::new(&[("TENSOR", Align::Left), ("TYPE", Align::Left), ("SHAPE", Align::Right), ("BYTES", Align::Right)]);
    for name in file.names() {
        if let Some(tensor) = file.get(&name) {
            let shape = tensor.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
            tensors.row([shown(&name), tensor.kind.to_string(), shape, tensor.bytes.len().to_string()]);
        }
    }
    let (path, bytes) = (file.path().display(), file.file_len());
    let files = match file.paths().len() {
        1 => String::new(),
        count => format!("{count} files, "),
    };
    format!("{path}: {files}safetensors, {bytes} bytes\n\n{notes}\n{tensors}")
}

fn json_of(file: &SafeTensors) -> Json {
    let tensors = file.names().into_iter().filter_map(|name| {
        let tensor = file.get(&name)?;
        Some(json!({
            "name": name,
            "type": tensor.kind.to_string(),
            "shape": tensor.shape,
            "bytes": tensor.bytes.len(),
        }))
    });
    json!({
        "file": file.path().display().to_string(),
        "files": file.paths().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "bytes": file.file_len(),
        "metadata": file.notes().into_iter().map(|(key, value)| (key.to_owned(), Json::from(value))).collect::<serde_json::Map<_, _>>(),
        "tensors": tensors.collect::<Vec<_>>(),
    })
}
