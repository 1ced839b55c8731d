//! Sequences as bytes: what was computed of a prompt is kept in a file, and gone on from elsewhere, with the same bits.

use std::io::{self, Write};
use std::path::Path;

use quantloom::attention::KvCache;
use quantloom::files::{self, Output};
use quantloom::registry::Numerics;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use crate::error::{Error, Result};
use crate::model::LanguageModel;
use crate::sequence::Sequence;

/// What such bytes begin with; the last is the version of what follows: the digest of the model's files, how it is run, the number of positions,
/// their tokens, the caches of the layers, and the checksum of all that. Numbers are little-endian.
const MAGIC: [u8; 8] = *b"QLPAGES\x01";

/// Bytes for how a model is run.
const RUN: usize = 32;

/// Bytes before the tokens, and those of the checksum.
const HEAD: usize = MAGIC.len() + size_of::<u128>() + RUN + size_of::<u64>();
const SUM: usize = size_of::<u128>();

/// What writes, and sums up what was written.
struct Summed<W> {
    out: W,
    sum: Xxh3Default,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl LanguageModel {
    /// Writes a sequence to a file, which appears when it is complete: see [`LanguageModel::load`].
    ///
    /// # Errors
    /// [`Error::Input`] for a sequence of another model, or one that a call failed with; [`Error::Quantloom`] if the file cannot be written.
    pub fn save(&self, sequence: &Sequence, path: impl AsRef<Path>) -> Result<()> {
        let mut output = Output::create(path.as_ref(), self.file().paths())?;
        self.check_saved(sequence)?;
        let written = self.write_to(sequence, io::BufWriter::new(&mut output));
        written.map_err(|cause| output.failed(cause))?;
        Ok(output.finish()?)
    }

    /// The sequence that [`LanguageModel::save`] wrote to a file. It goes on as if it had never left memory, to the last bit, on every
    /// processor.
    ///
    /// # Errors
    /// [`Error::Model`] if the file is not such a file, is damaged, or is of another model or of other options; [`Error::Quantloom`] if it cannot be
    /// read, or memory is short.
    ///
    /// ```
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let file = folder.path().join("prompt.pages");
    /// use quantloom_models::{LanguageModel, Options, Part, Wanted};
    ///
    /// let model = LanguageModel::open(path, &Options::default())?;
    /// let mut sequence = model.sequence()?;
    /// model.forward(&mut [Part::new(&mut sequence, &[724, 474, 13, 1135], Wanted::None)])?;
    /// model.save(&sequence, &file)?;
    ///
    /// // Later, and perhaps elsewhere.
    /// let mut loaded = model.load(&file)?;
    /// assert_eq!(loaded.tokens(), [724, 474, 13, 1135]);
    /// let logits = model.forward(&mut [Part::new(&mut loaded, &[1794], Wanted::Last)])?;
    /// assert_eq!(model.forward(&mut [Part::new(&mut sequence, &[1794], Wanted::Last)])?, logits);
    /// # Ok::<(), quantloom_models::Error>(())
    /// ```
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Sequence> {
        let path = path.as_ref();
        let bytes = files::read(path).map_err(quantloom::Error::io(path))?;
        self.restored(&bytes).map_err(|error| error.of_file(path))
    }

    /// A sequence as bytes: see [`LanguageModel::restore`].
    ///
    /// # Errors
    /// [`Error::Input`] for a sequence of another model, or one that a call failed with.
    ///
    /// ```
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
    /// use quantloom_models::{LanguageModel, Options, Part, Wanted};
    ///
    /// let model = LanguageModel::open(path, &Options::default())?;
    /// let mut sequence = model.sequence()?;
    /// model.forward(&mut [Part::new(&mut sequence, &[724, 474], Wanted::None)])?;
    /// let bytes = model.store(&sequence)?;
    /// assert_eq!(model.restore(&bytes)?.tokens(), [724, 474]);
    /// assert!(model.restore(&bytes[1..]).is_err());
    /// # Ok::<(), quantloom_models::Error>(())
    /// ```
    pub fn store(&self, sequence: &Sequence) -> Result<Vec<u8>> {
        self.check_saved(sequence)?;
        let mut bytes = Vec::new();
        self.write_to(sequence, &mut bytes).map_err(quantloom::Error::io("memory"))?;
        Ok(bytes)
    }

    /// The sequence that [`LanguageModel::store`] made bytes of.
    ///
    /// # Errors
    /// [`Error::Input`] if they are no such bytes, are damaged, or are of another model or of other options; [`Error::Quantloom`] if memory is short.
    pub fn restore(&self, bytes: &[u8]) -> Result<Sequence> {
        self.restored(bytes)
    }

    fn check_saved(&self, sequence: &Sequence) -> Result<()> {
        if !self.owns(sequence) {
            return Err(Error::input("the sequence is of another model; ask that one to save it"));
        }
        if sequence.spent {
            return Err(Error::input("a call with this sequence failed; clear it, or begin another"));
        }
        Ok(())
    }

    /// How the model is run, as far as it changes what is cached.
    fn run_as(&self) -> String {
        let [keys, values] = self.options().kv_types();
        let numerics = self.options().numerics.unwrap_or(Numerics::Int8);
        format!("{numerics}, keys {keys}, values {values}")
    }

    fn write_to(&self, sequence: &Sequence, out: impl Write) -> io::Result<()> {
        let mut out = Summed { out, sum: Xxh3Default::new() };
        let mut run = self.run_as().into_bytes();
        run.resize(RUN, 0);
        out.write_all(&MAGIC)?;
        out.write_all(&self.digest().to_le_bytes())?;
        out.write_all(&run)?;
        out.write_all(&(sequence.len() as u64).to_le_bytes())?;
        for token in sequence.tokens() {
            out.write_all(&token.to_le_bytes())?;
        }
        for cache in &sequence.caches {
            cache.write_to(&mut out)?;
        }
        let sum = out.sum.digest128();
        out.write_all(&sum.to_le_bytes())?;
        out.flush()
    }

    fn restored(&self, bytes: &[u8]) -> Result<Sequence> {
        const AGAIN: &str = "save the sequence again";
        let wrong = |detail: String| Err(Error::input(detail));
        let Some((magic, _)) = bytes.split_first_chunk::<{ MAGIC.len() }>().filter(|(magic, _)| magic[..7] == MAGIC[..7])
        else {
            return wrong("it holds no saved sequence; name a file that one was saved to".to_owned());
        };
        if *magic != MAGIC {
            return wrong(format!("it was saved by another version of quantloom; {AGAIN}"));
        }
        let whole = bytes.split_last_chunk::<SUM>().filter(|(all, sum)| xxh3_128(all) == u128::from_le_bytes(**sum));
        let Some((body, _)) = whole.filter(|(all, _)| all.len() >= HEAD) else {
            return wrong(format!("it is damaged or was cut short: its checksum is that of other bytes; {AGAIN}"));
        };
        let (head, rest) = body.split_at(HEAD);
        let (digest, head) = head[MAGIC.len()..].split_at(size_of::<u128>());
        if digest != self.digest().to_le_bytes() {
            let model = self.file().path().display();
            return wrong(format!("it is of another model than {model}; open the file that it was saved with, or {AGAIN}"));
        }
        let (run, count) = head.split_at(RUN);
        let run = String::from_utf8_lossy(run).trim_end_matches('\0').to_owned();
        if run != self.run_as() {
            let here = self.run_as();
            return wrong(format!("it was computed as {run}, and the model is run as {here}; open it with the same options"));
        }
        let count = count.iter().rev().fold(0, |count: u64, byte| count << 8 | u64::from(*byte));
        let positions = usize::try_from(count).ok().filter(|positions| *positions <= self.context());
        let Some((positions, (tokens, mut rest))) =
            positions.and_then(|positions| Some((positions, rest.split_at_checked(positions * size_of::<u32>())?)))
        else {
            return wrong(format!("it has {count} positions, which is more than the model or the file has; {AGAIN}"));
        };
        let mut sequence = self.sequence()?;
        let of_cache = |cache: &KvCache| cache.stored_bytes(positions);
        let needed = sequence.caches.iter().map(of_cache).try_fold(0, |sum: usize, bytes| sum.checked_add(bytes?));
        if needed != Some(rest.len()) {
            return wrong(format!("its {} bytes are not those of {positions} positions; {AGAIN}", rest.len()));
        }
        sequence.tokens = tokens.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        if let Some(token) = sequence.tokens.iter().find(|token| **token as usize >= self.vocabulary()) {
            return wrong(format!("it has a token {token}, and the vocabulary has {}; {AGAIN}", self.vocabulary()));
        }
        for cache in &mut sequence.caches {
            let (own, others) = rest.split_at(cache.stored_bytes(positions).unwrap_or_default());
            cache.read(positions, own)?;
            rest = others;
        }
        Ok(sequence)
    }
}
