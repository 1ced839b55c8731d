//! Products by quantloom's kernels beside candle's, alone and in a whole model.

mod llama;
mod model;
mod products;
