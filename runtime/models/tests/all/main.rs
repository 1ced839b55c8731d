//! Language models: what they compute, what they write, and what is refused.

mod architectures;
mod bits;
mod common;
mod evaluation;
mod generation;
mod refused;
mod rustbook;
mod saved;
mod text;
mod tiny;
