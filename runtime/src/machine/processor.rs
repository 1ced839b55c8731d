//! The processor cards: which of them describes this machine.

use std::env;
use std::sync::OnceLock;

use quantloom_kernels::PROCESSORS;
pub use quantloom_kernels::abi::Processor;

use super::identity::Identity;
use crate::error::{Error, Result};

/// The environment variable that names the card to go by, whatever the processor is, or says `none`.
pub const VARIABLE: &str = "QUANTLOOM_PROCESSOR";

/// What [`VARIABLE`] says when no card is to be gone by.
const NONE: &str = "none";

/// What this process goes by, once anybody has asked.
static HERE: OnceLock<Known> = OnceLock::new();

/// The card that this process goes by.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The card; `None`: what holds for any processor holds for this one.
    pub card: Option<&'static Processor>,
    /// Who chose it.
    pub by: By,
}

/// Who chose a card, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The processor, by what it says of itself.
    Identity,
    /// The user, by [`VARIABLE`].
    User,
    /// The program, by [`go_by`].
    Program,
}

/// Every processor card of this architecture, in the order of their file names.
#[must_use]
pub fn all() -> &'static [&'static Processor] {
    PROCESSORS
}

/// The card that describes a processor which says this of itself: see the fields of the same names in [`super::Facts`].
#[must_use]
pub fn find(vendor: &str, family: u32, model: u32) -> Option<&'static Processor> {
    let recognises = |processor: &&Processor| {
        processor.identities.iter().any(|identity| {
            let has_model = identity.models.is_empty() || identity.models.iter().any(|models| models.contains(&model));
            identity.vendor == vendor && identity.family.is_none_or(|known| known == family) && has_model
        })
    };
    all().iter().copied().find(recognises)
}

/// The card that this process goes by, looked for once.
///
/// # Errors
/// [`Error::Setting`] if the user names a card that does not exist.
pub fn here() -> Result<Known> {
    if let Some(known) = HERE.get() {
        return Ok(*known);
    }
    let said = env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let known = choose(said.as_deref(), &Identity::detect())?;
    Ok(*HERE.get_or_init(|| known))
}

/// Lets this process go by a card, or by none, whatever the processor and the environment say: for programs, before they multiply.
/// Whether it does from now on: what was asked for before stays.
pub fn go_by(card: Option<&'static Processor>) -> bool {
    HERE.set(Known { card, by: By::Program }).is_ok()
}

/// The card that the user names, or else that of the processor. A name that is empty counts for none.
fn choose(said: Option<&str>, identity: &Identity) -> Result<Known> {
    let Some(name) = said.filter(|name| !name.is_empty()) else {
        return Ok(Known { card: find(&identity.vendor, identity.family, identity.model), by: By::Identity });
    };
    if name.eq_ignore_ascii_case(NONE) {
        return Ok(Known { card: None, by: By::User });
    }
    let card = all().iter().copied().find(|processor| processor.name.eq_ignore_ascii_case(name));
    let card = card.ok_or_else(|| {
        let names = all().iter().map(|processor| processor.name).chain([NONE]).collect::<Vec<_>>();
        let detail = format!("no processor card has this name; there is {}", names.join(", "));
        Error::Setting { variable: VARIABLE, value: name.to_owned(), detail }
    })?;
    Ok(Known { card: Some(card), by: By::User })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(vendor: &str, family: u32, model: u32) -> Identity {
        Identity { name: String::new(), vendor: vendor.to_owned(), family, model, stepping: 0 }
    }

    #[test]
    fn every_card_is_found_by_each_of_its_identities() {
        for processor in all() {
            for identity in processor.identities {
                let family = identity.family.unwrap_or(8);
                let ends = identity.models.iter().flat_map(|models| [*models.start(), *models.end()]).collect::<Vec<_>>();
                for model in if ends.is_empty() { vec![0, 77] } else { ends } {
                    let found = find(identity.vendor, family, model).unwrap();
                    assert_eq!(found.name, processor.name, "{} {family} {model:#x}", identity.vendor);
                }
            }
        }
    }

    #[test]
    fn no_card_describes_what_nobody_made() {
        assert!(find("Nobody", 6, 1).is_none() && find("unknown", 0, 0).is_none());
        for identity in all().iter().flat_map(|processor| processor.identities) {
            assert!(identity.family.is_none_or(|_| find(identity.vendor, 0xffff, 0).is_none()), "{}", identity.vendor);
        }
    }

    #[test]
    fn the_user_goes_before_the_processor() {
        let nobody = identity("Nobody", 6, 1);
        for processor in all() {
            let of_it = processor.identities[0].models.first().map_or(0, |models| *models.start());
            let itself = identity(processor.identities[0].vendor, processor.identities[0].family.unwrap_or(8), of_it);
            for said in [None, Some("")] {
                let known = choose(said, &itself).unwrap();
                assert_eq!((known.card.unwrap().name, known.by), (processor.name, By::Identity));
            }
            let named = choose(Some(&processor.name.to_uppercase()), &nobody).unwrap();
            assert_eq!((named.card.unwrap().name, named.by), (processor.name, By::User));
            let none = choose(Some("none"), &itself).unwrap();
            assert!(none.card.is_none() && none.by == By::User);
        }
        let unknown = choose(None, &nobody).unwrap();
        assert!(unknown.card.is_none() && unknown.by == By::Identity);
    }

    #[test]
    fn a_name_that_does_not_exist_is_refused_with_those_that_do() {
        let error = choose(Some("abacus"), &identity("Nobody", 6, 1)).unwrap_err().to_string();
        assert!(error.starts_with("QUANTLOOM_PROCESSOR=abacus: ") && error.ends_with(", none"), "{error}");
        assert!(all().iter().all(|processor| error.contains(processor.name)) && error.lines().count() == 1, "{error}");
    }
}
