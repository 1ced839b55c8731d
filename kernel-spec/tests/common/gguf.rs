//! Just enough of a GGUF reader for golden files.

use std::collections::BTreeMap;

/// A tensor of a file.
pub struct Tensor {
    /// Type number.
    pub kind: u32,
    /// Lengths of the axes, k first.
    pub shape: Vec<u64>,
    start: usize,
}

/// A golden file.
pub struct Gguf {
    data: Vec<u8>,
    pub tensors: BTreeMap<String, Tensor>,
}

impl Gguf {
    pub fn parse(data: Vec<u8>) -> Self {
        let mut cursor = Cursor { data: &data, at: 0 };
        assert_eq!(cursor.bytes(4), b"GGUF");
        cursor.u32();
        let (count, keys) = (cursor.u64(), cursor.u64());
        for _ in 0..keys {
            cursor.text();
            let kind = cursor.u32();
            cursor.skip_value(kind);
        }
        let mut tensors: BTreeMap<String, Tensor> = (0..count).map(|_| cursor.tensor()).collect();
        let data_start = cursor.at.next_multiple_of(32);
        tensors.values_mut().for_each(|tensor| tensor.start += data_start);
        Self { data, tensors }
    }

    /// The first `length` bytes of a tensor.
    pub fn bytes(&self, name: &str, length: usize) -> &[u8] {
        &self.data[self.tensors[name].start..][..length]
    }

    /// The bits of an f32 tensor.
    pub fn bits(&self, name: &str) -> Vec<u32> {
        let tensor = &self.tensors[name];
        assert_eq!(tensor.kind, 0, "{name} is f32");
        let count: u64 = tensor.shape.iter().product();
        let bytes = self.bytes(name, 4 * count as usize);
        bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }
}

struct Cursor<'d> {
    data: &'d [u8],
    at: usize,
}

impl<'d> Cursor<'d> {
    fn bytes(&mut self, length: usize) -> &'d [u8] {
        self.at += length;
        &self.data[self.at - length..self.at]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes(8).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let length = self.u64() as usize;
        String::from_utf8(self.bytes(length).to_vec()).unwrap()
    }

    fn skip_value(&mut self, kind: u32) {
        match kind {
            0 | 1 | 7 => self.at += 1,
            2 | 3 => self.at += 2,
            4..=6 => self.at += 4,
            8 => drop(self.text()),
            9 => {
                let (kind, count) = (self.u32(), self.u64());
                (0..count).for_each(|_| self.skip_value(kind));
            }
            10..=12 => self.at += 8,
            _ => panic!("unknown type of metadata {kind}"),
        }
    }

    fn tensor(&mut self) -> (String, Tensor) {
        let name = self.text();
        let axes = self.u32();
        let shape = (0..axes).map(|_| self.u64()).collect();
        (name, Tensor { shape, kind: self.u32(), start: self.u64() as usize })
    }
}
