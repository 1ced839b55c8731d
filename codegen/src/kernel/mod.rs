//! Kernels in neutral form: which operations on which parts of memory, within which loops.
//!
//! [`ir`] is the form, [`ops`] its operations, a row for each. What a kernel computes is written once, in terms of them: [`int8`] and
//! [`exact`] are the recurrences of the numerics classes, [`quads`], [`places`] and [`scales`] take a packed class apart, and [`matrix`] and [`fragments`] are how
//! instructions that multiply matrices do it. [`tile`] and [`schedule`] say how a CPU goes about it: which sums are in flight, what is
//! unpacked before ([`stage`]), what is asked for ahead. Printers spell the outcome, and [`cost`] counts it.

pub mod cost;
mod exact;
pub mod fragments;
mod int8;
pub mod ir;
mod matrix;
pub mod ops;
mod places;
pub mod quads;
mod scales;
pub mod schedule;
mod stage;
pub mod threads;
pub mod tile;
pub mod width;

pub use int8::Source;
