//! From neutral form to source text, one module per target language.

pub mod rust;
