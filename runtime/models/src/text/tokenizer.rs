//! From text to tokens.

use std::path::PathBuf;

use aho_corasick::{AhoCorasick, MatchKind};
use quantloom::gguf::Gguf;
use tokenizers::Model as _;
use tokenizers::models::bpe::{BPE, Vocab};

use super::chat;
use super::decoder::Decoder;
use super::pieces::{Pieces, SPACE, Writing, alphabet};
use super::pretokenizer::Pretokenizer;
use super::specials::Strips;
use super::vocabulary::{self, AGAIN, Kind, Vocabulary};
use super::{merges, quoted, wrong};
use crate::error::{Error, Result};

/// What becomes of the names of control tokens in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Specials {
    /// They are text, as everything else: for text that others wrote.
    AsText,
    /// They are those tokens.
    Parsed,
}

/// The tokenizer of a model, from the metadata of its GGUF file: byte-level BPE (`gpt2`) or SPM (`llama`).
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
/// use quantloom::gguf::Gguf;
/// use quantloom_models::text::{Specials, Tokenizer};
///
/// let tokenizer = Tokenizer::of(&Gguf::open(path)?)?;
/// let tokens = tokenizer.encode("In Rust, ownership is a set of rules", Specials::AsText)?;
/// assert_eq!(tokens[..4], [724, 474, 13, 1135]);
/// assert_eq!(tokenizer.decode(&tokens), "In Rust, ownership is a set of rules");
/// # Ok::<(), quantloom_models::Error>(())
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    path: PathBuf,
    kinds: Vec<Kind>,
    pieces: Pieces,
    bpe: BPE,
    scheme: Scheme,
    /// What is found in texts before they are cut, with and without control tokens.
    parsed: Finder,
    as_text: Finder,
    strips: Strips,
    begin: Option<u32>,
    end: Option<u32>,
    ends: Vec<u32>,
    adds_begin: bool,
    adds_end: bool,
}

/// What becomes of a text before pairs are merged.
#[derive(Debug)]
enum Scheme {
    /// It is cut into pieces, whose bytes are written as characters.
    ByteLevel { pretokenizer: Pretokenizer, alphabet: Box<[char; 256]> },
    /// Spaces are written as [`SPACE`]; whether one is put before a text.
    Whole { space_before: bool },
}

impl Tokenizer {
    /// The tokenizer of a file.
    ///
    /// # Errors
    /// [`Error::Model`] if the file has none, one of a kind or with a pre-tokenizer that is not known, or one that contradicts itself.
    pub fn of(file: &Gguf) -> Result<Self> {
        const MODEL: &str = "tokenizer.ggml.model";
        let vocabulary = Vocabulary::of(file)?;
        let kind = vocabulary::text(file, MODEL)?;
        let (scheme, merges) = match kind {
            Some("gpt2") => (byte_level(file)?, merges::listed(file, &vocabulary)?),
            Some("llama") => {
                let space_before = vocabulary::flag(file, "tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
                (Scheme::Whole { space_before }, merges::scored(file, &vocabulary)?)
            }
            Some(other) => {
                let detail = format!(
                    "key {MODEL:?}: no tokenizer {} is known, only \"gpt2\" and \"llama\"; take a model with one of them",
                    quoted(other)
                );
                return Err(wrong(file, &detail));
            }
            None => return Err(wrong(file, &format!("it has no key {MODEL:?}; {AGAIN}"))),
        };
        let named = |name: &str| vocabulary.named(file, &format!("tokenizer.ggml.{name}_token_id"));
        let (begin, end, unknown) = (named("bos")?, named("eos")?, named("unknown")?);
        let default = match &scheme {
            Scheme::ByteLevel { pretokenizer, .. } => pretokenizer.begin,
            Scheme::Whole { .. } => true,
        };
        let adds_begin = added(file, "bos", begin)?.unwrap_or(default && begin.is_some());
        let adds_end = added(file, "eos", end)?.unwrap_or(false);
        let mut ends: Vec<u32> = [end, named("eot")?, named("eom")?].into_iter().flatten().collect();
        let bpe = bpe(file, &vocabulary, merges, &scheme, unknown)?;
        let writing = match scheme {
            Scheme::ByteLevel { .. } => Writing::Bytes,
            Scheme::Whole { .. } => Writing::Plain,
        };
        let finder = |kinds: &[Kind]| Finder::new(&vocabulary, kinds).map_err(|why| wrong(file, &why));
        let mut tokenizer = Self {
            path: file.path().to_owned(),
            pieces: Pieces::of(&vocabulary, writing),
            bpe,
            scheme,
            parsed: finder(&[Kind::UserDefined, Kind::Control, Kind::Unknown])?,
            as_text: finder(&[Kind::UserDefined])?,
            strips: Strips::of(file, kind.unwrap_or_default(), &vocabulary)?,
            begin,
            end,
            ends: Vec::new(),
            adds_begin,
            adds_end,
            kinds: vocabulary.kinds,
        };
        ends.extend(chat::end_of_turn(file, &tokenizer));
        ends.sort_unstable();
        ends.dedup();
        tokenizer.ends = ends;
        Ok(tokenizer)
    }

    /// How many tokens there are.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.pieces.len()
    }

    /// The tokens of a text, without those that a file puts at its beginning and end. What the vocabulary has no token for is left out, as
    /// models are trained to see it: see [`Tokenizer::covers`].
    ///
    /// # Errors
    /// [`Error::Model`] if the text cannot be cut.
    pub fn encode(&self, text: &str, specials: Specials) -> Result<Vec<u32>> {
        Ok(self.encode_all(text, specials)?.0)
    }

    /// Whether there are tokens for all of a text. Some vocabularies lack bytes that are rare.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn covers(&self, text: &str) -> Result<bool> {
        Ok(self.encode_all(text, Specials::AsText)?.1)
    }

    /// The tokens of a text, and whether they are all of it.
    fn encode_all(&self, text: &str, specials: Specials) -> Result<(Vec<u32>, bool)> {
        let finder = match specials {
            Specials::AsText => &self.as_text,
            Specials::Parsed => &self.parsed,
        };
        let (mut tokens, mut all) = (Vec::new(), true);
        let (mut before, mut end) = (None, 0);
        for (range, token) in finder.find(text) {
            all &= self.encode_plain(self.strips.behind(before, &text[end..range.start]), &mut tokens)?;
            tokens.push(token);
            (before, end) = (Some(token), range.end);
        }
        all &= self.encode_plain(self.strips.behind(before, &text[end..]), &mut tokens)?;
        Ok((tokens, all))
    }

    /// The tokens of a text as a model is given them: control tokens are parsed, and those added that the file puts at the beginning and
    /// the end. The one at the beginning is not put there twice.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.encode(text, Specials::Parsed)?;
        let begin = self.begin.filter(|begin| self.adds_begin && tokens.first() != Some(begin));
        tokens.splice(0..0, begin);
        tokens.extend(self.end.filter(|_| self.adds_end));
        Ok(tokens)
    }

    /// The text of tokens: see [`Decoder`]. The space that the tokenizer puts before texts is taken away again.
    #[must_use]
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut decoder = self.decoder();
        let mut text: String = tokens.iter().map(|&token| decoder.push(token)).collect();
        text += &decoder.finish();
        if matches!(self.scheme, Scheme::Whole { space_before: true }) && text.starts_with(' ') {
            text.remove(0);
        }
        text
    }

    /// Puts texts together as tokens come.
    #[must_use]
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder::new(self)
    }

    /// The bytes that a token stands for, which need not be whole characters; for a control token, its name.
    #[must_use]
    pub fn piece(&self, token: u32) -> &[u8] {
        self.pieces.get(token)
    }

    /// Whether a token is no text.
    #[must_use]
    pub fn is_control(&self, token: u32) -> bool {
        self.kinds.get(token as usize).is_none_or(|kind| matches!(kind, Kind::Control | Kind::Unknown))
    }

    /// The token that texts begin with, if the model has one.
    #[must_use]
    pub fn begin(&self) -> Option<u32> {
        self.begin
    }

    /// The token that texts end with, if the model has one.
    #[must_use]
    pub fn end(&self) -> Option<u32> {
        self.end
    }

    /// The tokens that end an answer, in their order: of a text, a turn, a message, and what the chat template puts behind an answer.
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The control token whose name a text begins with.
    pub(super) fn control_at_start(&self, text: &str) -> Option<u32> {
        let (range, token) = self.parsed.find(text).next()?;
        (range.start == 0 && self.is_control(token)).then_some(token)
    }

    /// Adds the tokens of a text that has none of those which are found before; whether they are all of it.
    fn encode_plain(&self, text: &str, tokens: &mut Vec<u32>) -> Result<bool> {
        if text.is_empty() {
            return Ok(true);
        }
        match &self.scheme {
            Scheme::ByteLevel { pretokenizer, alphabet } => {
                let mut all = true;
                for piece in pretokenizer.cut(text).map_err(|why| self.wrong(why))? {
                    let word: String = piece.bytes().map(|byte| alphabet[usize::from(byte)]).collect();
                    all &= self.merge(&word, tokens)?;
                }
                Ok(all)
            }
            Scheme::Whole { space_before } => {
                // Before it is the beginning, or a token that is no word.
                let space = if *space_before { " " } else { "" };
                let text = [space, text].concat().replace(' ', SPACE.encode_utf8(&mut [0; 4]));
                self.merge(&text, tokens)
            }
        }
    }

    /// Adds the tokens that a word is merged to; whether they are all of it.
    fn merge(&self, word: &str, tokens: &mut Vec<u32>) -> Result<bool> {
        let merged = self.bpe.tokenize(word).map_err(|error| self.wrong(error))?;
        // What has no token is passed over, and moves the ends of all that follow.
        let all = merged.last().map(|token| token.offsets.1) == Some(word.len());
        tokens.extend(merged.into_iter().map(|token| token.id));
        Ok(all)
    }

    fn wrong(&self, detail: impl std::fmt::Display) -> Error {
        Error::model(&self.path, detail.to_string())
    }
}

/// How the text of a byte-level tokenizer is cut.
fn byte_level(file: &Gguf) -> Result<Scheme> {
    const NAME: &str = "tokenizer.ggml.pre";
    let Some(name) = vocabulary::text(file, NAME)? else {
        return Err(wrong(file, &format!("it does not say how texts are cut (no key {NAME:?}); {AGAIN}")));
    };
    let pretokenizer = Pretokenizer::by_name(name).map_err(|why| wrong(file, &format!("key {NAME:?}: {why}")))?;
    Ok(Scheme::ByteLevel { pretokenizer, alphabet: Box::new(alphabet()) })
}

/// Whether texts get a token, if the file says so.
fn added(file: &Gguf, name: &str, token: Option<u32>) -> Result<Option<bool>> {
    let key = format!("tokenizer.ggml.add_{name}_token");
    let added = vocabulary::flag(file, &key)?;
    if added == Some(true) && token.is_none() {
        return Err(wrong(
            file,
            &format!("key {key:?}: that token is added, and no key \"tokenizer.ggml.{name}_token_id\" says which; {AGAIN}"),
        ));
    }
    Ok(added)
}

/// What merges pairs.
fn bpe(file: &Gguf, vocabulary: &Vocabulary, merges: merges::Merges, scheme: &Scheme, unknown: Option<u32>) -> Result<BPE> {
    let ids =
        || vocabulary.ids.iter().filter(|&(_, &id)| vocabulary.is_text(id) || vocabulary.kinds[id as usize] == Kind::Byte);
    let mut known: Vec<_> = ids().map(|(text, &id)| (text.clone(), id)).collect();
    let mut builder = BPE::builder().cache_capacity(0);
    match scheme {
        Scheme::ByteLevel { pretokenizer, .. } => builder = builder.ignore_merges(pretokenizer.whole_words),
        Scheme::Whole { .. } => {
            let has_bytes = (0..=u8::MAX).all(|byte| vocabulary.ids.contains_key(&format!("<{byte:#04X}>")));
            builder = builder.byte_fallback(has_bytes);
            if let Some(unknown) = unknown.filter(|_| !has_bytes) {
                let text = vocabulary.texts[unknown as usize].clone();
                builder = builder.unk_token(text.clone()).fuse_unk(true);
                known.push((text, unknown));
            }
        }
    }
    let bpe = builder.vocab_and_merges(known.into_iter().collect::<Vocab>(), merges).build();
    bpe.map_err(|error| wrong(file, &format!("its tokenizer: {error}; {AGAIN}")))
}

/// Finds tokens in texts that are never divided. Of two that begin at one place the longer is found, of two that overlap the first.
#[derive(Debug)]
struct Finder {
    automaton: AhoCorasick,
    tokens: Vec<u32>,
}

impl Finder {
    fn new(vocabulary: &Vocabulary, kinds: &[Kind]) -> Result<Self, String> {
        let found = (0..).zip(&vocabulary.texts).zip(&vocabulary.kinds);
        let found = found.filter(|((_, text), kind)| kinds.contains(kind) && !text.is_empty());
        let (tokens, texts): (Vec<u32>, Vec<&String>) = found.map(|(token, _)| token).unzip();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts);
        let automaton = automaton.map_err(|error| format!("its special tokens: {error}; {AGAIN}"))?;
        Ok(Self { automaton, tokens })
    }

    fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (std::ops::Range<usize>, u32)> + 't {
        self.automaton.find_iter(text).map(|found| (found.range(), self.tokens[found.pattern().as_usize()]))
    }
}
