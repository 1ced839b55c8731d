//! Cards of shapes that no built-in format has: what of a card kernels may depend on, and what may not change their results.

quantloom::include_formats!();
