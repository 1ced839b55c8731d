//! Two weight formats that quantloom does not have: their cards are in `cards/`, `build.rs` generates the rest.

use quantloom::registry;

quantloom::include_formats!();

/// Makes the formats known to this process, beside the built-in ones.
///
/// # Errors
/// As [`registry::register`].
pub fn register() -> quantloom::Result<()> {
    registry::register(FORMATS)
}
