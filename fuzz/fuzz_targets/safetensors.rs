//! A safetensors file: its lists, and its tensors as matrices of every format that is stored so.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom::safetensors::SafeTensors;
use quantloom::stored::Storage;
use quantloom_fuzz::{FORMATS, right, use_matrix};

fuzz_target!(init: LazyLock::force(&FORMATS), |bytes: &[u8]| {
    let Some(file) = right(SafeTensors::from_bytes("file.safetensors", bytes.to_vec())) else { return };
    let _ = file.notes();
    let names = file.names();
    for name in &names {
        let tensor = right(file.tensor(name)).expect("a tensor that is listed");
        let _ = tensor.kind.to_string();
        assert!(tensor.bytes.len() <= bytes.len());
    }
    right(file.tensor("model.layers.0.weight"));
    for (format, _) in FORMATS.iter() {
        let Storage::Tensors { tensors, .. } = format.storage else { continue };
        let Some(part) = tensors.first().map(|spec| format!(".{}", spec.name)) else { continue };
        for matrix in names.iter().filter_map(|name| name.strip_suffix(&part)).take(2) {
            let small = Some((format.row_multiple(), format.block_weights));
            for shape in [None, small, Some((0, 0)), Some((usize::MAX, usize::MAX))] {
                if let Some(stored) = right(file.matrix(format, matrix, shape)) {
                    use_matrix(&stored);
                }
            }
        }
    }
});
