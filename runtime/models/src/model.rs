//! A language model: a file, and what it is in memory.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use quantloom::attention::KvType;
use quantloom::gguf::{Gguf, TensorInfo};
use quantloom::matmul::Request;
use quantloom::model::{Load, Model};
use quantloom::pool::Pool;
use quantloom::registry::{Isa, Numerics};
use quantloom::tune::Outcome;
use quantloom_spec::architecture::Architecture;

use crate::error::Result;
use crate::plan::{Operations, Plan};
use crate::ropes::Ropes;
use crate::sequence::Sequence;
use crate::step::Step;
use crate::tensors::{self, Matrix, Tensors};

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

    /// The same, with what was left to the library decided for a file.
    pub(crate) fn settled(self, file: &Gguf) -> Self {
        let values = |dims: &Vec<u64>| dims.iter().fold(1, |values: u64, axis| values.saturating_mul(*axis));
        let weights = file.tensors().iter().map(|tensor| values(&tensor.dims)).fold(0, u64::saturating_add);
        let numerics = self.numerics.or_else(|| (weights < SMALL).then_some(Numerics::Exact));
        Self { batch: self.batch.max(1), numerics, ..self }
    }

    /// What is asked of kernels.
    pub(crate) fn request(&self) -> Request {
        // Nothing asked for is the class `int8` where a format has it.
        let exact = self.numerics.filter(|numerics| *numerics == Numerics::Exact);
        Request::default().numerics(exact).isa(self.isa)
    }

    /// How keys are cached, and values.
    pub(crate) fn kv_types(&self) -> [KvType; 2] {
        let keys = self.kv;
        [keys, if keys == KvType::Q8 { KvType::F16 } else { keys }]
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
    plan: Plan,
    options: Options,
    /// Threads of its own, if it does not run on those of the process.
    pool: Option<Pool>,
    /// What sequences of this model have, and no others.
    identity: Arc<()>,
    /// The digest of its files, once somebody asked.
    digest: OnceLock<u128>,
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
        let hold = |tensor: &TensorInfo, rows| Ok(Arc::new(tensors::weights(&model, tensor, rows, pool)?));
        let plan = Plan::read(&model, &Tensors::new(&model, &hold))?;
        let options = options.settled(model.file());
        // What cannot be cached is known before anything is run.
        plan.expect_caches(options.kv_types(), options.isa, model.file().path())?;
        Ok(Self { model, plan, options, pool: own, identity: Arc::new(()), digest: OnceLock::new() })
    }

    /// An empty sequence.
    ///
    /// # Errors
    /// [`crate::Error::Quantloom`] if heads cannot be cached as the options say.
    pub fn sequence(&self) -> Result<Sequence> {
        let caches = self.plan.caches(self.options.kv_types())?;
        Ok(Sequence { model: Arc::clone(&self.identity), caches, tokens: Vec::new(), spent: false })
    }

    /// Measures which kernels are the fastest for its matrices, as far as nothing is known, in the time that
    /// [`quantloom::tune::Choices::mode`] allows. It changes speed, and no bit.
    ///
    /// # Errors
    /// [`crate::Error::Quantloom`] as [`Load::tune`].
    pub fn tune(&self) -> Result<Vec<Outcome>> {
        let weights = self.plan.steps.iter().flat_map(Step::matrices).chain([&self.plan.head]).map(|matrix| &*matrix.weights);
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
        self.plan.card
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Tokens that there are: logits of a position.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.plan.embedding.vocabulary()
    }

    /// Positions of a sequence, at most.
    #[must_use]
    pub fn context(&self) -> usize {
        self.plan.settings.context
    }

    /// The threads that it runs on.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        self.pool.as_ref().unwrap_or_else(|| Pool::global())
    }

    /// What it asks of kernels.
    #[must_use]
    pub fn request(&self) -> Request {
        self.options.request()
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        self.plan.embedding.rows(&self.model, tokens, self.pool())
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
        &self.plan.ropes
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.plan.steps
    }

    pub(crate) fn width(&self) -> usize {
        self.plan.settings.width
    }

    pub(crate) fn eps(&self) -> f32 {
        self.plan.settings.eps
    }

    pub(crate) fn operations(&self) -> Operations {
        self.plan.operations
    }

    pub(crate) fn logit_scale(&self) -> Option<f32> {
        self.plan.settings.logits
    }

    /// The head, and the weights of the norm before it.
    pub(crate) fn head_parts(&self) -> (&Matrix, &[f32]) {
        (&self.plan.head, &self.plan.norm)
    }
}
