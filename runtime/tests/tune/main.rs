//! The tuner: what it remembers, for how long, and that nothing it does changes a result. How fast kernels are cannot be tested.

mod bases;
mod cache;
mod child;
mod choices;
mod contexts;
mod crashes;
mod culprits;
mod disk;
mod kills;
mod loading;
mod merge;
mod order;
#[path = "../support/program.rs"]
mod program;
mod settings;
mod support;
mod tuner;
mod turns;
mod variants;
