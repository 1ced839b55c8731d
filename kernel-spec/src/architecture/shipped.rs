//! The model cards that quantloom ships, as part of the program.

use std::collections::BTreeMap;

use super::{Architecture, Known, read_claims};
use crate::diagnostic::{Diagnostics, Source};
use crate::folder::check_claims;

macro_rules! cards {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $name, ".toml")))),*]
    };
}

/// Which there are is data: see there.
const CARDS: &[(&str, &str)] = include!("../../models/cards.in");

/// The file names of the cards, without their ends, and their texts.
#[must_use]
pub fn texts() -> &'static [(&'static str, &'static str)] {
    CARDS
}

/// Every architecture that quantloom ships a card of. `activations` are the names of activation functions.
///
/// # Errors
/// Everything that is wrong with a card.
pub fn shipped(activations: &[&str]) -> Result<Vec<Architecture>, Diagnostics> {
    let (mut read, mut claimed) = (Vec::new(), BTreeMap::new());
    for &(name, text) in CARDS {
        let source = Source::shared(&format!("models/{name}.toml"), text);
        let (architecture, claims) = read_claims(source.clone(), Known { bases: &read, activations })?;
        let wrong = check_claims(&source, claims, &mut claimed);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        read.push(architecture);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_of_the_folder_is_part_of_the_program() {
        let folder = crate::cards_dir().join("models");
        let files = crate::text::files(&folder).unwrap();
        let mut names = files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect::<Vec<_>>();
        names.retain(|name| !CARDS.iter().any(|(known, _)| known == name));
        assert_eq!((names, files.len()), (Vec::new(), CARDS.len()));
    }

    #[test]
    fn what_a_card_does_not_say_is_that_of_its_base() {
        let all = shipped(&["gelu_tanh", "silu", "swiglu_clamped"]).unwrap();
        let named = |name: &str| all.iter().find(|card| card.name == name).unwrap();
        let (llama, granite) = (named("llama"), named("granite"));
        assert_eq!((&granite.size, &granite.rope, &granite.ignored), (&llama.size, &llama.rope, &llama.ignored));
        assert_eq!(granite.head.norm, llama.head.norm);
        assert_ne!((&granite.head, &granite.embedding, &granite.layer), (&llama.head, &llama.embedding, &llama.layer));
        assert_eq!(granite.extends.as_deref(), Some("llama"));
    }
}
