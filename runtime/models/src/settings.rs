//! How large a model is, and how it turns positions into angles, as its metadata say.

use quantloom::attention::{Heads, Pairs, Rope};
use quantloom_spec::architecture::{self, Architecture, Scale};

use crate::error::Result;
use crate::metadata::Metadata;

/// The base of angles where a file does not say.
const BASE: f64 = 10_000.0;

/// The size of a model.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub layers: usize,
    pub width: usize,
    pub context: usize,
    pub heads: Heads,
    pub eps: f32,
    /// What rows of the embedding are multiplied by.
    pub embedding: Option<f32>,
    /// What logits are multiplied by.
    pub logits: Option<f32>,
}

impl Settings {
    /// # Errors
    /// [`crate::Error::Model`] if a number is missing, or has no meaning.
    pub fn read(card: &Architecture, metadata: &Metadata<'_>) -> Result<Self> {
        let size = &card.size;
        let (layers, width) = (metadata.count(&size.layers)?, metadata.count(&size.width)?);
        if size.except.contains(&layers) {
            return Err(
                metadata.wrong(&size.layers, &format!("is {layers}, and the card of the architecture is wrong for that model"))
            );
        }
        let query = metadata.count(&size.heads)?;
        let key = metadata.count_if(&size.kv)?.unwrap_or(query);
        if !query.is_multiple_of(key) {
            return Err(
                metadata.wrong(&size.kv, &format!("must divide {query}, the query heads, evenly; convert the model again"))
            );
        }
        let of_head = match metadata.count_if(&size.key)? {
            Some(of_head) => of_head,
            None if width.is_multiple_of(query) => width / query,
            None => return Err(metadata.wrong(&size.heads, "must divide the width evenly; convert the model again")),
        };
        if metadata.count_if(&size.value)?.is_some_and(|value| value != of_head) {
            let detail = format!("must be {of_head}, as that of keys: heads of values that differ are not known here");
            return Err(metadata.wrong(&size.value, &detail));
        }
        let embedding = match &card.embedding.scale {
            None => None,
            Some(Scale::SqrtWidth) => Some((width as f32).sqrt()),
            Some(Scale::Key(key)) => Some(metadata.number(key)? as f32),
        };
        let divisor = card.head.divisor.as_ref().map(|key| metadata.number(key)).transpose()?;
        card.ignored.iter().for_each(|key| metadata.pass(key));
        Ok(Self {
            layers,
            width,
            context: metadata.count(&size.context)?,
            heads: Heads { query, key, size: of_head },
            eps: metadata.number(&size.eps)? as f32,
            embedding,
            logits: divisor.map(|divisor| 1.0 / divisor as f32),
        })
    }
}

/// How a model turns positions into angles.
#[derive(Clone, Debug)]
pub struct Ropes {
    /// In layers that see all positions.
    pub all: Rope,
    /// In layers that see a window.
    pub window: Rope,
}

impl Ropes {
    /// `factors` are those of the tensor that the card names, if the file has it.
    ///
    /// # Errors
    /// [`crate::Error::Model`] if a number has no meaning, or the way to stretch the context is not known.
    pub fn read(
        card: &architecture::Rope,
        size: usize,
        metadata: &Metadata<'_>,
        factors: impl FnOnce(usize) -> Result<Option<Vec<f32>>>,
    ) -> Result<Self> {
        let dims = metadata.count_if(&card.dims)?.unwrap_or(size);
        if dims > size {
            return Err(
                metadata.wrong(&card.dims, &format!("must be at most {size}, the size of a head; convert the model again"))
            );
        }
        let pairs = match card.pairs {
            architecture::Pairs::Neighbours => Pairs::Neighbours,
            architecture::Pairs::Halves => Pairs::Halves,
        };
        let base = metadata.number_if(&card.base)?.unwrap_or(BASE);
        let plain = Rope::new(dims, base, pairs)?;
        let of_window = |card: &architecture::WindowBase| -> Result<Rope> {
            let base = metadata.number_if(&card.key)?.unwrap_or_else(|| card.default.into());
            Ok(Rope::new(dims, base, pairs)?)
        };
        let window = card.window.as_ref().map(of_window).transpose()?;
        let stretch = stretch(&card.scaling, metadata)?;
        let all = match (factors(dims / 2)?, stretch) {
            (None, None) => plain,
            (None, Some(stretch)) => plain.factors(&vec![stretch; dims / 2])?,
            (Some(factors), None) => plain.factors(&factors)?,
            (Some(_), Some(_)) => {
                let both = "stretches a context that a tensor of factors stretches, too; convert the model again";
                return Err(metadata.wrong(&card.scaling, both));
            }
        };
        Ok(Self { window: window.unwrap_or_else(|| all.clone()), all })
    }
}

/// What all angles are divided by.
fn stretch(scaling: &str, metadata: &Metadata<'_>) -> Result<Option<f32>> {
    let key = |end: &str| format!("{scaling}.{end}");
    let (kind, factor) = (metadata.text_if(&key("type"))?, metadata.number_if(&key("factor"))?);
    // What contexts were before says nothing of angles, in these ways.
    metadata.pass(&key("original_context_length"));
    if metadata.flag_if(&key("finetuned"))? == Some(false) {
        return Err(metadata
            .wrong(&key("finetuned"), "is false, which to some architectures means no rotation; that is not known here"));
    }
    match kind {
        Some("none") => Ok(None),
        None | Some("linear") => Ok(factor.map(|factor| factor as f32).filter(|factor| *factor != 1.0)),
        Some(other) => {
            Err(metadata.wrong(&key("type"), &format!("is {other:?}, which is not known here; linear and none are")))
        }
    }
}
