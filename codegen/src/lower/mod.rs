//! From the checked model to neutral form: values of weights, and packed classes.

pub mod class;
pub mod layout;
pub mod panels;
pub mod planes;
pub mod runs;
pub mod value;
