//! Writes GGUF files of version 3: a file is complete, or it is not there.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::parse::{self, ALIGNMENT_KEY, DEFAULT_ALIGNMENT, WRONG_ALIGNMENT};
use super::split::EXTENSION;
use super::value::Value;
use super::write_value::write_string;
use crate::error::{Error, Result};
use crate::files::Output;
use crate::numbered::Numbered;

const VERSION: u32 = 3;

/// A tensor that a file will have.
#[derive(Clone, Debug)]
pub struct NewTensor {
    /// Its name.
    pub name: String,
    /// Its axes, the fastest first.
    pub dims: Vec<u64>,
    /// The number of its type.
    pub kind: u32,
    /// Its size in bytes.
    pub bytes: usize,
}

/// A file that is being written: what it lists first, then the bytes of each tensor in that order.
///
/// The file appears when [`GgufWriter::finish`] is called, and not if the writer is dropped: see [`Output`].
#[derive(Debug)]
pub struct GgufWriter {
    file: BufWriter<Output>,
    /// Sizes of the tensors, and the one that is being written.
    sizes: Vec<usize>,
    current: usize,
    /// Bytes that the current tensor has got.
    written: usize,
    alignment: usize,
}

impl GgufWriter {
    /// Starts a file at `path` with these entries and tensors: see [`GgufWriter::new`].
    ///
    /// # Errors
    /// As [`Output::create`] and [`GgufWriter::new`].
    pub fn create(path: impl Into<PathBuf>, metadata: &[(String, Value)], tensors: &[NewTensor]) -> Result<Self> {
        Self::new(Output::create(path, [] as [&Path; 0])?, metadata, tensors)
    }

    /// Starts a file with these entries and tensors as an output. The alignment is the one that an entry gives, else 32.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written, [`Error::Gguf`] if the alignment is none that a reader takes, or the name is that of one of
    /// several files.
    pub fn new(output: Output, metadata: &[(String, Value)], tensors: &[NewTensor]) -> Result<Self> {
        let key = metadata.iter().find(|(key, _)| key == ALIGNMENT_KEY);
        let given = key.map_or(Some(DEFAULT_ALIGNMENT), |(_, value)| parse::alignment(value));
        let Some(alignment) = given.map(|alignment| alignment as usize) else {
            let detail = format!("key {ALIGNMENT_KEY:?}: {WRONG_ALIGNMENT}; give another, or none");
            return Err(Error::Gguf { path: output.path().to_owned(), detail });
        };
        if let Some(name) = Numbered::of(output.path(), EXTENSION) {
            let (number, count) = (name.number + 1, name.count);
            let detail = format!("the name says file {number} of {count}, and this is a whole model; give it another name");
            return Err(Error::Gguf { path: output.path().to_owned(), detail });
        }
        let sizes = tensors.iter().map(|tensor| tensor.bytes).collect();
        let mut writer = Self { file: BufWriter::new(output), sizes, current: 0, written: 0, alignment };
        let mut head = head(metadata, tensors, alignment);
        head.resize(head.len().next_multiple_of(alignment), 0);
        writer.put(&head)?;
        Ok(writer)
    }

    /// Appends bytes to the tensors.
    ///
    /// # Errors
    /// [`Error::Output`] if they cannot be written, [`Error::Shape`] if they are more than the tensors have.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let Some(&size) = self.sizes.get(self.current) else {
                let wanted = self.sizes.iter().sum();
                return Err(Error::Shape { what: "the tensors of a file", unit: "bytes", found: wanted + bytes.len(), wanted });
            };
            let (now, later) = bytes.split_at(bytes.len().min(size - self.written));
            self.put(now)?;
            self.written += now.len();
            bytes = later;
            self.pad()?;
        }
        Ok(())
    }

    /// Writes what is left, and gives the file its name.
    ///
    /// # Errors
    /// [`Error::Output`] if that fails, [`Error::Shape`] if a tensor has not got all its bytes.
    pub fn finish(mut self) -> Result<()> {
        self.pad()?;
        if self.current < self.sizes.len() {
            let found = self.sizes[..self.current].iter().sum::<usize>() + self.written;
            let wanted = self.sizes.iter().sum();
            return Err(Error::Shape { what: "the tensors of a file", unit: "bytes", found, wanted });
        }
        self.file.flush().map_err(|cause| self.file.get_ref().failed(cause))?;
        // Nothing is in the buffer any more.
        self.file.into_parts().0.finish()
    }

    /// Goes on to the next tensor that has bytes to come, if the current one is complete.
    fn pad(&mut self) -> Result<()> {
        while self.sizes.get(self.current) == Some(&self.written) {
            let padding = self.written.next_multiple_of(self.alignment) - self.written;
            self.put(&vec![0; padding])?;
            (self.current, self.written) = (self.current + 1, 0);
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|cause| self.file.get_ref().failed(cause))
    }
}

/// All but the data.
fn head(metadata: &[(String, Value)], tensors: &[NewTensor], alignment: usize) -> Vec<u8> {
    let mut head = b"GGUF".to_vec();
    head.extend(VERSION.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        write_string(key, &mut head);
        value.write(&mut head);
    }
    let mut offset = 0_usize;
    for tensor in tensors {
        write_string(&tensor.name, &mut head);
        head.extend((tensor.dims.len() as u32).to_le_bytes());
        head.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
        head.extend(tensor.kind.to_le_bytes());
        head.extend((offset as u64).to_le_bytes());
        offset += tensor.bytes.next_multiple_of(alignment);
    }
    head
}
