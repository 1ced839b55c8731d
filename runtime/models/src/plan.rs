//! What a file is by the card of its architecture: sizes, steps, and matrices, as weights or as their shapes alone.

use std::path::Path;
use std::sync::Arc;

use quantloom::attention::{KvCache, KvType};
use quantloom::machine::StandardFloats;
use quantloom::model::Model;
use quantloom::operation::{self, Operation};
use quantloom::registry::Isa;
use quantloom::weights::Weights;
use quantloom_spec::architecture::Architecture;

use crate::cards;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::ropes::Ropes;
use crate::settings::Settings;
use crate::step::{Op, Parts, Step};
use crate::tensors::{Held, Matrix, Tensors};

/// A model by its card, with what is held of its matrices.
#[derive(Debug)]
pub struct Plan<W = Arc<Weights>> {
    pub card: &'static Architecture,
    pub settings: Settings,
    pub ropes: Ropes,
    pub embedding: Embedding<W>,
    pub steps: Vec<Step<W>>,
    /// The norm before the head.
    pub norm: Vec<f32>,
    pub head: Matrix<W>,
    pub operations: Operations,
}

/// The operations that every model has.
#[derive(Clone, Copy, Debug)]
pub struct Operations {
    pub several: &'static Operation,
    pub linear: &'static Operation,
    pub norm_linear: &'static Operation,
}

impl<W: Held> Plan<W> {
    /// That of a file, whose matrices `tensors` holds.
    ///
    /// # Errors
    /// As [`crate::LanguageModel::open`].
    pub fn read(model: &Model, tensors: &Tensors<'_, W>) -> Result<Self> {
        let _floats = StandardFloats::set();
        let (card, name) = cards::of_file(model.file())?;
        let metadata = Metadata::new(model.file(), name);
        let settings = Settings::read(card, &metadata)?;
        let width = settings.width;
        let ropes = Ropes::read(&card.rope, &settings, &metadata, tensors)?;
        let rows = tensors.shaped(&card.embedding.tensor, None, width)?;
        let embedding = Embedding::new(tensors, rows, settings.embedding)?;
        let tied = card.head.tied.as_ref().filter(|_| !tensors.has(&card.head.tensor));
        let head = match tied {
            Some(name) => Matrix { name: name.clone(), weights: embedding.head(tensors)?, bias: None },
            None => tensors.matrix(&card.head.tensor, embedding.vocabulary(), width)?,
        };
        let norm = tensors.vector(&card.head.norm, width)?;
        let steps = Parts { card, settings, metadata: &metadata, tensors }.steps()?;
        tensors.finish()?;
        metadata.finish()?;
        let operations = Operations {
            several: operation::by_name("qkv")?,
            linear: operation::by_name("linear")?,
            norm_linear: operation::by_name("norm-linear")?,
        };
        Ok(Self { card, settings, ropes, embedding, steps, norm, head, operations })
    }

    /// That keys and values of these types can be cached, and attended to by kernels of an instruction set.
    ///
    /// # Errors
    /// [`Error::Model`] if this build or this processor has not what that needs.
    pub fn expect_caches(&self, types: [KvType; 2], isa: Option<&'static Isa>, path: &Path) -> Result<()> {
        let caches = self.caches(types).map_err(|error| Error::model(path, error.to_string()))?;
        let has_kernels = caches.iter().take(1).try_for_each(|cache| cache.expect_kernels(isa));
        has_kernels.map_err(|error| {
            let detail =
                format!("keys cannot be cached as {}, and values as {}: {error}; or choose another type", types[0], types[1]);
            Error::model(path, detail)
        })
    }

    /// An empty cache for each layer that attends.
    ///
    /// # Errors
    /// [`crate::Error::Quantloom`] if heads cannot be cached so.
    pub fn caches(&self, [keys, values]: [KvType; 2]) -> Result<Vec<KvCache>> {
        let attends = self.steps.iter().filter(|step| matches!(step.op, Op::Attention(_)));
        Ok(attends.map(|_| KvCache::new(self.settings.heads, keys, values)).collect::<quantloom::Result<_>>()?)
    }
}
