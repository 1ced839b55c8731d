//! What cannot be right of processor cards beside each other.

use std::sync::Arc;

use super::Written;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Checks that no two cards recognise the same processor.
///
/// # Errors
/// Every identity that does what one of a card before does.
pub(crate) fn check(cards: &[&Written]) -> Result<(), Diagnostics> {
    let mut found = Diagnostics::default();
    for (i, card) in cards.iter().enumerate() {
        let before = cards[..i].iter().filter(|other| other.processor.arch == card.processor.arch);
        for first in before {
            check_pair(first, card, &mut found);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn check_pair(first: &Written, card: &Written, found: &mut Diagnostics) {
    for written in &card.identities {
        let shared = first.identities.iter().find_map(|other| other.identity.shared(&written.identity));
        if let Some(shared) = shared {
            let message = format!("two cards recognise {shared}");
            let mut diagnostic = Diagnostic::new(Arc::clone(&card.source), Some(written.span), message);
            diagnostic.note(format!("the first is {}", first.source.path));
            found.push(diagnostic);
        }
    }
}
