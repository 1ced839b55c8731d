//! What a card may say: reading, checking, and the checked model.
//!
//! A *format card* describes the bits of a quantised weight format, an *instruction-set card* what a processor offers, a
//! *kernel card* the tile sizes and knobs that kernels are generated with, an *operation card* what one call computes, a *processor card*
//! what is known of one microarchitecture. This crate turns their text into checked models and
//! reports everything that is wrong with them at once. It knows nothing of the code that is generated from them.

#[cfg(feature = "models")]
pub mod architecture;
mod check;
mod claim;
mod diagnostic;
mod draw;
mod element;
pub mod eval;
pub mod facts;
mod family;
mod folder;
pub mod gpu;
mod grid;
pub mod isa;
pub mod kernels;
mod list;
pub mod model;
mod nearest;
pub mod operation;
pub mod processor;
mod raw;
mod read;
pub mod reading;
mod rounding;
pub mod sharing;
pub mod summary;
mod table;
pub mod text;
mod walk;

pub use diagnostic::{Diagnostic, Diagnostics, Source, Span};
pub use draw::draw;
pub use folder::{Files, Folders, Spec, read_folder, read_isas, read_processors};
pub use list::read_list;
pub use read::{expand, read_format, read_formats, read_member};
pub use table::{TableFolder, Tables};

/// The folder with the cards that quantloom ships: `formats/`, `isa/`, `kernels/`, `operations/`, `processors/`, `gpu/` and
/// `tables/`.
#[must_use]
pub fn cards_dir() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
