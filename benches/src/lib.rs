//! Benchmarks of quantloom's kernels, in `benches/`; `records/` keeps what they printed, with date and processor.
