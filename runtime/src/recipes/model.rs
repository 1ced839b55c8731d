//! What rules ask of a model: its heads, experts and layers, and the classes of its tensors.

use std::collections::{BTreeMap, BTreeSet};

use super::card::{Card, Class, Rule, matches};
use crate::gguf::{Array, Gguf, TensorInfo, Value};

/// What layers are called in names of tensors: `blk.7.` and so on.
const LAYER: &str = "blk.";

/// What rules ask of a model.
#[derive(Debug)]
pub struct Model {
    gqa: u64,
    experts: u64,
    blocks: u64,
    imatrix: bool,
}

impl Model {
    /// What a file says of its model.
    pub fn of(file: &Gguf, imatrix: bool) -> Self {
        let architecture = file.value("general.architecture").and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| file.value(&format!("{architecture}.{key}")).and_then(largest);
        let heads = number("attention.head_count").unwrap_or(1);
        let key_heads = number("attention.head_count_kv").unwrap_or(heads).max(1);
        Self {
            gqa: heads / key_heads,
            experts: number("expert_count").unwrap_or(0),
            blocks: number("block_count").unwrap_or(0),
            imatrix,
        }
    }

    /// Whether a rule fits a tensor of a class.
    pub fn fits(&self, rule: &Rule, class: &str, classes: &Classes, name: &str) -> bool {
        let layers = classes.layers.get(class);
        let place = layers.and_then(|layers| Some((layers.range(..layer(name)?).count(), layers.len())));
        rule.class.iter().any(|wanted| wanted == class)
            && rule.gqa.is_none_or(|least| self.gqa >= least)
            && rule.experts.is_none_or(|count| self.experts == count)
            && rule.blocks.is_none_or(|count| self.blocks == count)
            && rule.imatrix.is_none_or(|given| self.imatrix == given)
            && place.map_or(rule.first.is_none() && rule.parts().next().is_none(), |(at, of)| rule.fits_layer(at, of))
    }
}

/// A number, or the largest of several: some models have one per layer.
fn largest(value: &Value) -> Option<u64> {
    match value {
        Value::Array(Array::U32(all)) => all.iter().max().map(|most| u64::from(*most)),
        Value::Array(Array::I32(all)) => all.iter().max().and_then(|most| (*most).try_into().ok()),
        number => number.as_u64(),
    }
}

/// The classes of a model's tensors.
pub struct Classes<'c> {
    /// Class of each tensor.
    pub of_tensors: Vec<Option<&'c str>>,
    /// The layers that have a tensor of a class.
    layers: BTreeMap<&'c str, BTreeSet<usize>>,
}

impl<'c> Classes<'c> {
    /// The classes of a file's tensors.
    pub fn of(card: &'c Card, file: &Gguf) -> Self {
        let class_of = |tensor: &TensorInfo| {
            let fits = |class: &Class| class.names.iter().any(|pattern| matches(pattern, &tensor.name));
            card.class.iter().find(|(_, class)| fits(class)).map(|(name, _)| name.as_str())
        };
        let mut of_tensors = file.tensors().iter().map(class_of).collect::<Vec<_>>();
        let present = of_tensors.iter().flatten().copied().collect::<BTreeSet<_>>();
        for class in of_tensors.iter_mut().flatten() {
            let instead_of = card.class.get(*class).and_then(|class| class.instead_of.as_deref());
            if let Some(other) = instead_of.filter(|other| !present.contains(other)) {
                *class = other;
            }
        }
        let mut layers: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (class, tensor) in of_tensors.iter().zip(file.tensors()) {
            if let (Some(class), Some(layer)) = (class, layer(&tensor.name)) {
                layers.entry(*class).or_default().insert(layer);
            }
        }
        Self { of_tensors, layers }
    }
}

/// The layer that a tensor belongs to.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix(LAYER)?.split('.').next()?.parse().ok()
}
