//! Files that commands write, and files of plain f32: little-endian, row-major.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use quantloom::Error;
use quantloom::gguf::Gguf;

use super::Failure;

/// Reads all values of a file.
pub fn read_floats(path: &Path) -> Result<Vec<f32>, Failure> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let (values, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(values.iter().copied().map(f32::from_le_bytes).collect());
    }
    let (path, length) = (path.display(), bytes.len());
    Err(Failure::Input(format!("{path}: {length} bytes are not whole f32 of 4 bytes; check which file it is")))
}

/// The input is mapped while the output is written: they must not be one file.
pub fn check_output(output: &Path, input: &Path) -> Result<(), Failure> {
    match (output.canonicalize(), input.canonicalize()) {
        (Ok(output), Ok(input)) if output == input => {
            Err(Failure::input(format!("{}: the output would overwrite the input; name another file", output.display())))
        }
        _ => Ok(()),
    }
}

/// As [`check_output`], for each of the files of a model.
pub fn check_outputs(output: &Path, model: &Gguf) -> Result<(), Failure> {
    model.paths().try_for_each(|input| check_output(output, input))
}

/// A file of f32 that is being written.
pub struct FloatWriter<'a> {
    path: &'a Path,
    file: BufWriter<File>,
}

impl<'a> FloatWriter<'a> {
    /// Creates or empties the file at `path`, unless it is `input`, which is still being read.
    pub fn create(path: &'a Path, input: &Path) -> Result<Self, Failure> {
        check_output(path, input)?;
        let file = File::create(path).map_err(Error::io(path))?;
        Ok(Self { path, file: BufWriter::new(file) })
    }

    /// Appends values.
    pub fn write(&mut self, values: &[f32]) -> Result<(), Failure> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(self.file.write_all(&bytes).map_err(Error::io(self.path))?)
    }

    /// Writes what is left. Dropping the writer instead would hide a full disk.
    pub fn finish(mut self) -> Result<(), Failure> {
        Ok(self.file.flush().map_err(Error::io(self.path))?)
    }
}

/// Writes a whole file: readers find the old one or the new one, also after a crash. What is not a file, such as a terminal, is
/// written to as it is.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = if path.exists() && !path.is_file() { fs::write(path, bytes) } else { replace(path, bytes) };
    written.map_err(|cause| {
        Failure::input(format!(
            "{}: cannot be written ({cause}); name a file in a folder that exists and is writable",
            path.display()
        ))
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".quantloom.").suffix(".tmp");
    #[cfg(unix)]
    {
        // As any other file: what is temporary is private by default.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
