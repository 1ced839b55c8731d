//! The tuner: what it remembers, for how long, and that nothing it does changes a result. How fast kernels are cannot be tested.

mod bases;
mod cache;
mod choices;
mod order;
mod support;
mod tuner;
