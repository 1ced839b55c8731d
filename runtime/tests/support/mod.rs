//! What several test files share: a writer of small GGUF files, right ones and wrong ones, and the files of the repository.

#![allow(dead_code, reason = "each test file uses its part of this")]

pub mod classes;
pub mod products;
pub mod program;
pub mod tensors;

use std::path::{Path, PathBuf};

/// Type numbers of metadata values.
pub mod value {
    pub const U8: u32 = 0;
    pub const U32: u32 = 4;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
}

/// Type numbers of tensors.
pub mod kind {
    pub const F32: u32 = 0;
    pub const Q4_0: u32 = 2;
    pub const Q8_0: u32 = 8;
    pub const NONE: u32 = 4242;
}

/// Builds a GGUF file, field by field.
pub struct Writer {
    version: u32,
    alignment: usize,
    entries: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self { version: 3, alignment: 32, entries: vec![], tensors: vec![], data: vec![] }
    }
}

impl Writer {
    /// Another version than 3.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// An entry whose value is already bytes.
    pub fn entry(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.entries.push([&string(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    /// A text.
    pub fn text(self, key: &str, value: &str) -> Self {
        self.entry(key, value::STRING, &string(value))
    }

    /// The alignment, as an entry and for the tensors that follow.
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = alignment as usize;
        self.entry("general.alignment", value::U32, &alignment.to_le_bytes())
    }

    /// A tensor with its data.
    pub fn tensor(mut self, name: &str, dims: &[u64], kind: u32, data: &[u8]) -> Self {
        self.data.resize(self.data.len().next_multiple_of(self.alignment), 0);
        let offset = self.data.len() as u64;
        self.data.extend(data);
        self.listed(name, dims, kind, offset)
    }

    /// A tensor of f32.
    pub fn floats(self, name: &str, dims: &[u64], data: &[f32]) -> Self {
        let bytes: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, dims, kind::F32, &bytes)
    }

    /// What a file says of a tensor, without data.
    pub fn listed(mut self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        let mut tensor = string(name);
        tensor.extend((dims.len() as u32).to_le_bytes());
        tensor.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
        tensor.extend(kind.to_le_bytes());
        tensor.extend(offset.to_le_bytes());
        self.tensors.push(tensor);
        self
    }

    /// The file.
    pub fn build(self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.entries.len() as u64).to_le_bytes());
        file.extend(self.entries.concat());
        file.extend(self.tensors.concat());
        file.resize(file.len().next_multiple_of(self.alignment), 0);
        file.extend(self.data);
        file
    }
}

/// A string as GGUF stores it.
pub fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// An array as GGUF stores it.
pub fn array(kind: u32, count: u64, elements: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), elements].concat()
}

/// A file with something of everything.
pub fn sample() -> Vec<u8> {
    let words = [string("one"), string("two")].concat();
    let nested = [array(value::U8, 2, &[1, 2]), array(value::STRING, 2, &words)].concat();
    Writer::default()
        .text("general.architecture", "sample")
        .alignment(64)
        .entry("sample.small", 1, &(-3i8).to_le_bytes())
        .entry("sample.truth", value::BOOL, &[1])
        .entry("sample.ratio", 12, &0.5f64.to_le_bytes())
        .entry("sample.words", value::ARRAY, &array(value::STRING, 2, &words))
        .entry("sample.nested", value::ARRAY, &array(value::ARRAY, 2, &nested))
        .floats("plain", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .tensor("blocks", &[64, 2], kind::Q4_0, &[0x5a; 72])
        .floats("scalar", &[], &[7.0])
        .build()
}

/// A folder of the repository's test data.
pub fn testdata(folder: &str) -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("testdata"));
    folders.find(|testdata| testdata.is_dir()).expect("the package is in the repository").join(folder)
}

/// The GGUF files of such a folder, sorted; there must be some.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(testdata(folder)).expect("the folder exists");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .collect();
    assert!(!files.is_empty(), "no files in {folder}");
    files.sort();
    files
}
