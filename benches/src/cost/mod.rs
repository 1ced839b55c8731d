//! Fitting the cost model of the tuner: what is measured, the fit, how well it predicts, and the file it is shipped in.

pub mod fit;
pub mod quality;
pub mod samples;
pub mod write;
