//! Which processors have what is tested.

/// Whether this processor has all of some features; begins with what detects those of its architecture.
macro_rules! available {
    ($detected:ident: $($feature:tt),+) => { $(std::arch::$detected!($feature))&&+ };
}
