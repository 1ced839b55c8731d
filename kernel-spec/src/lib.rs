//! What a card may say: reading, checking, and the checked model.
//!
//! A *format card* describes the bits of a quantised weight format, an *instruction-set card* what a processor offers, a
//! *kernel card* the tile sizes and knobs that kernels are generated with. This crate turns their text into checked models and
//! reports everything that is wrong with them at once. It knows nothing of the code that is generated from them.

pub mod facts;
pub mod model;
