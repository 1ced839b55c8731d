//! A language model: a file, and what it is in memory.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use quantloom::attention::{Heads, KvCache, KvType};
use quantloom::gguf::Gguf;
use quantloom::matmul::Request;
use quantloom::model::{Load, Model};
use quantloom::operation::{self, Operation};
use quantloom::pool::Pool;
use quantloom::registry::{Isa, Numerics};
use quantloom::tune::Outcome;
use quantloom_spec::architecture::Architecture;

use crate::cards;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::ropes::Ropes;
use crate::sequence::Sequence;
use crate::settings::Settings;
use crate::step::{Op, Parts, Step};
use crate::tensors::{Matrix, Tensors};

/// Models of fewer weights are run in the class `exact`, when nobody says.
const SMALL: u64 = 500_000_000;

/// Rows of a batch, at most, when nobody says.
const BATCH: usize = 512;

/// How a model is run; `Options::default()` leaves all to the library.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The numerics class of products, `int8` where a format has it; `None`: `exact` for a model of less than half a billion weights, which is
    /// fast in any class and whose words the least change turns, and `int8` for others.
    pub numerics: Option<Numerics>,
    /// How keys are cached, and values: as keys are, or as f16 where that is for keys alone.
    pub kv: KvType,
    /// Threads to run on; 0: as many as the processor runs at once.
    pub threads: usize,
    /// The instruction set; `None`: the best that this processor has.
    pub isa: Option<&'static Isa>,
    /// Rows that go through the model together, at most. It changes memory and speed, and no bit.
    pub batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { numerics: None, kv: KvType::F16, threads: 0, isa: None, batch: BATCH }
    }
}

impl Options {
    /// With a numerics class.
    #[must_use]
    pub fn numerics(self, numerics: impl Into<Option<Numerics>>) -> Self {
        Self { numerics: numerics.into(), ..self }
    }

    /// With keys and values cached so.
    #[must_use]
    pub const fn kv(self, kv: KvType) -> Self {
        Self { kv, ..self }
    }

    /// On so many threads; on as many as the processor runs at once with 0.
    #[must_use]
    pub const fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// On an instruction set.
    #[must_use]
    pub fn isa(self, isa: impl Into<Option<&'static Isa>>) -> Self {
        Self { isa: isa.into(), ..self }
    }

    /// By batches of so many rows at most.
    #[must_use]
    pub const fn batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }
}

/// A language model that can be run.
///
/// ```
/// use quantloom_models::{LanguageModel, Options, Part, Wanted};
///
/// # fn main() -> quantloom_models::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/models/rustbook.gguf");
/// let model = LanguageModel::open(path, &Options::default())?;
/// let mut sequence = model.sequence()?;
/// let logits = model.forward(&mut [Part::new(&mut sequence, &[724, 474], Wanted::Last)])?;
/// assert_eq!(logits.last().len(), model.vocabulary());
///
/// // The sequence goes on, beside another one: neither changes a bit of the other's logits.
/// let mut other = model.sequence()?;
/// let parts = &mut [Part::new(&mut sequence, &[13], Wanted::Last), Part::new(&mut other, &[1135, 1794], Wanted::All)];
/// assert_eq!(model.forward(parts)?.rows().len(), 3);
/// assert_eq!((sequence.len(), other.len()), (3, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LanguageModel {
    model: Model,
    card: &'static Architecture,
    options: Options,
    /// Threads of its own, if it does not run on those of the process.
    pool: Option<Pool>,
    settings: Settings,
    ropes: Ropes,
    embedding: Embedding,
    steps: Vec<Step>,
    norm: Vec<f32>,
    head: Matrix,
    operations: Operations,
    /// What sequences of this model have, and no others.
    identity: Arc<()>,
    /// The digest of its files, once somebody asked.
    digest: OnceLock<u128>,
}

/// The operations that every model has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operations {
    pub several: &'static Operation,
    pub linear: &'static Operation,
    pub norm_linear: &'static Operation,
}

impl LanguageModel {
    /// Opens a GGUF file, or a packed copy of one, whose weights stay in the file.
    ///
    /// # Errors
    /// [`crate::Error::Model`] if no card describes its architecture, or it has not what the card says, or more; [`crate::Error::Quantloom`] as
    /// [`Model::open`] and [`Model::weights`].
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        Self::new(Model::open(path)?, options)
    }

    /// The language model in an open file.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub fn new(model: Model, options: &Options) -> Result<Self> {
        let own = (options.threads > 0).then(|| Pool::new(options.threads));
        let pool = own.as_ref().unwrap_or_else(|| Pool::global());
        let (card, name) = cards::of_file(model.file())?;
        let metadata = Metadata::new(model.file(), name);
        let tensors = Tensors::new(&model, pool);
        let settings = Settings::read(card, &metadata)?;
        let width = settings.width;
        let ropes = Ropes::read(&card.rope, &settings, &metadata, &tensors)?;
        let rows = tensors.shaped(&card.embedding.tensor, None, width)?;
        let embedding = Embedding::new(&model, rows, settings.embedding, pool)?;
        let vocabulary = embedding.vocabulary();
        let tied = card.head.tied.as_ref().filter(|_| !tensors.has(&card.head.tensor));
        let head = match tied {
            Some(name) => Matrix { name: name.clone(), weights: embedding.head(&model, pool)?, bias: None },
            None => tensors.matrix(&card.head.tensor, vocabulary, width)?,
        };
        let norm = tensors.vector(&card.head.norm, width)?;
        let steps = Parts { card, settings, metadata: &metadata, tensors: &tensors }.steps()?;
        tensors.finish()?;
        metadata.finish()?;
        let operations = Operations {
            several: operation::by_name("qkv")?,
            linear: operation::by_name("linear")?,
            norm_linear: operation::by_name("norm-linear")?,
        };
        let values = |dims: &Vec<u64>| dims.iter().fold(1, |values: u64, axis| values.saturating_mul(*axis));
        let weights = model.file().tensors().iter().map(|tensor| values(&tensor.dims)).fold(0, u64::saturating_add);
        let numerics = options.numerics.or_else(|| (weights < SMALL).then_some(Numerics::Exact));
        let options = Options { batch: options.batch.max(1), numerics, ..*options };
        let identity = Arc::new(());
        let model = Self {
            model,
            card,
            options,
            pool: own,
            settings,
            ropes,
            embedding,
            steps,
            norm,
            head,
            operations,
            identity,
            digest: OnceLock::new(),
        };
        // What cannot be cached is known before anything is run.
        model.sequence().map_err(|error| Error::model(model.file().path(), error.to_string()))?;
        Ok(model)
    }

    /// An empty sequence.
    ///
    /// # Errors
    /// [`crate::Error::Quantloom`] if heads cannot be cached as the options say.
    pub fn sequence(&self) -> Result<Sequence> {
        let ([keys, values], heads) = (self.kv_types(), self.settings.heads);
        let attends = self.steps.iter().filter(|step| matches!(step.op, Op::Attention(_)));
        let caches = attends.map(|_| KvCache::new(heads, keys, values)).collect::<quantloom::Result<_>>()?;
        Ok(Sequence { model: Arc::clone(&self.identity), caches, tokens: Vec::new(), spent: false })
    }

    /// Measures which kernels are the fastest for its matrices, as far as nothing is known, in the time that
    /// [`quantloom::tune::Choices::mode`] allows. It changes speed, and no bit.
    ///
    /// # Errors
    /// [`crate::Error::Quantloom`] as [`Load::tune`].
    pub fn tune(&self) -> Result<Vec<Outcome>> {
        let weights = self.steps.iter().flat_map(Step::matrices).chain([&self.head]).map(|matrix| &*matrix.weights);
        let load = Load::default().batches([1, self.options.batch]);
        Ok(load.tune(weights, self.request(), self.pool())?)
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Gguf {
        self.model.file()
    }

    /// The card of its architecture.
    #[must_use]
    pub fn card(&self) -> &'static Architecture {
        self.card
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Tokens that there are: logits of a position.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.embedding.vocabulary()
    }

    /// Positions of a sequence, at most.
    #[must_use]
    pub fn context(&self) -> usize {
        self.settings.context
    }

    /// The threads that it runs on.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        self.pool.as_ref().unwrap_or_else(|| Pool::global())
    }

    /// What it asks of kernels.
    #[must_use]
    pub fn request(&self) -> Request {
        // Nothing asked for is the class `int8` where a format has it.
        let exact = self.options.numerics.filter(|numerics| *numerics == Numerics::Exact);
        Request::default().numerics(exact).isa(self.options.isa)
    }

    /// How keys are cached, and values.
    pub(crate) fn kv_types(&self) -> [KvType; 2] {
        let keys = self.options.kv;
        [keys, if keys == KvType::Q8 { KvType::F16 } else { keys }]
    }

    pub(crate) fn heads(&self) -> Heads {
        self.settings.heads
    }

    pub(crate) fn layers(&self) -> usize {
        self.settings.layers
    }

    pub(crate) fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    pub(crate) fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        self.embedding.rows(&self.model, tokens, self.pool())
    }

    /// What tells its content from that of other models.
    pub(crate) fn digest(&self) -> u128 {
        *self.digest.get_or_init(|| self.file().digest())
    }

    pub(crate) fn owns(&self, sequence: &Sequence) -> bool {
        Arc::ptr_eq(&self.identity, &sequence.model)
    }

    pub(crate) fn batch(&self) -> usize {
        self.options.batch
    }

    pub(crate) fn isa(&self) -> Option<&'static Isa> {
        self.options.isa
    }

    pub(crate) fn ropes(&self) -> &Ropes {
        &self.ropes
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn width(&self) -> usize {
        self.settings.width
    }

    pub(crate) fn eps(&self) -> f32 {
        self.settings.eps
    }

    pub(crate) fn operations(&self) -> Operations {
        self.operations
    }

    pub(crate) fn logit_scale(&self) -> Option<f32> {
        self.settings.logits
    }

    /// The head, and the weights of the norm before it.
    pub(crate) fn head_parts(&self) -> (&Matrix, &[f32]) {
        (&self.head, &self.norm)
    }
}
