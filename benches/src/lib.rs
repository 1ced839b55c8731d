//! Benchmarks of quantloom's kernels, alone (`benches/kernels.rs`) and beside those of others (`benches/peers/`); `records/` keeps what
//! they found. What needs no other project is here: what is measured, the record of a run, and how it is shown.

pub mod cost;
pub mod defaults;
pub mod exit;
pub mod plot;
pub mod readme;
pub mod record;
pub mod report;
pub mod shape;
