//! The tuner: what it remembers, for how long, and that nothing it does changes a result. How fast kernels are cannot be tested.

mod bases;
mod cache;
mod child;
mod choices;
mod crashes;
mod culprits;
mod disk;
mod kills;
mod loading;
mod merge;
mod order;
#[allow(dead_code, reason = "only the command line must know of emulators")]
#[path = "../support/program.rs"]
mod program;
mod settings;
mod support;
mod tuner;
mod turns;
mod variants;
