//! How large a model is, as its metadata say.

use quantloom::attention::Heads;
use quantloom_spec::architecture::{Architecture, Scale};

use crate::error::Result;
use crate::metadata::Metadata;

/// The size of a model.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub layers: usize,
    pub width: usize,
    pub context: usize,
    /// Positions that the context had before it was stretched.
    pub original: usize,
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
        let context = metadata.count(&size.context)?;
        let original = metadata.count_if(&format!("{}.original_context_length", card.rope.scaling))?.unwrap_or(context);
        card.ignored.iter().for_each(|key| metadata.pass(key));
        Ok(Self {
            layers,
            width,
            context,
            original,
            heads: Heads { query, key, size: of_head },
            eps: metadata.number(&size.eps)? as f32,
            embedding,
            logits: divisor.map(|divisor| 1.0 / divisor as f32),
        })
    }
}
