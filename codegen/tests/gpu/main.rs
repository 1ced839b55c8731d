//! Modules for graphics processors: their text, whether it is right WGSL, and what the CUDA text computes.

mod cuda;
mod support;
mod text;
mod wgsl;
