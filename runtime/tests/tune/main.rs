//! The tuner: what it remembers, for how long, and that nothing it does changes a result. How fast kernels are cannot be tested.

mod bases;
mod cache;
mod choices;
mod merge;
mod order;
#[allow(dead_code, reason = "the tuner's tests run themselves, not the command line")]
#[path = "../support/program.rs"]
mod program;
mod settings;
mod support;
mod tuner;
