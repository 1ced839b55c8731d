//! What commands write, and files of plain f32: little-endian, row-major.

use std::io::{BufWriter, Write};
use std::path::Path;

use quantloom::Error;
use quantloom::files::{self, Output};
use quantloom_spec::text::{escaped_lines, shown};

use super::Failure;
use super::failure::{print, tell_as_it_is};

/// Reads all values of a file.
pub fn read_floats(path: &Path) -> Result<Vec<f32>, Failure> {
    let bytes = files::read(path).map_err(Error::io(path))?;
    let (values, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(values.iter().copied().map(f32::from_le_bytes).collect());
    }
    let (path, length) = (shown(path), bytes.len());
    Err(Failure::Input(format!("{path}: {length} bytes are not whole f32 of 4 bytes; check which file it is")))
}

/// The name of standard output.
const STANDARD: &str = "-";

/// Begins an output, made from `inputs`: none of them may be it, and `-` is standard output.
pub fn create(path: &Path, inputs: &[impl AsRef<Path>]) -> Result<Output, Failure> {
    if path == Path::new(STANDARD) { Ok(Output::standard()) } else { Ok(Output::create(path, inputs)?) }
}

/// What messages call an output.
pub fn called(path: &Path) -> String {
    if path == Path::new(STANDARD) { "standard output".to_owned() } else { shown(path) }
}

/// Says what was done: where it does not mix with the output.
pub fn say(text: &str, beside_output: bool) -> Result<(), Failure> {
    if beside_output {
        tell_as_it_is(&escaped_lines(text.trim_end()));
        return Ok(());
    }
    print(text)
}

/// Writes a whole output.
pub fn write_whole(mut output: Output, bytes: &[u8]) -> Result<(), Failure> {
    output.write_all(bytes).map_err(|cause| output.failed(cause))?;
    Ok(output.finish()?)
}

/// An output of f32 that is being written.
pub struct FloatWriter(BufWriter<Output>);

impl FloatWriter {
    /// Begins it: see [`create`].
    pub fn create(path: &Path, inputs: &[&Path]) -> Result<Self, Failure> {
        Ok(Self(BufWriter::new(create(path, inputs)?)))
    }

    /// Appends values.
    pub fn write(&mut self, values: &[f32]) -> Result<(), Failure> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(self.0.write_all(&bytes).map_err(|cause| self.0.get_ref().failed(cause))?)
    }

    /// Completes it.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|cause| self.0.get_ref().failed(cause))?;
        // Nothing is in the buffer any more.
        Ok(self.0.into_parts().0.finish()?)
    }
}
