//! Formats that show what a packed class does.

use quantloom::registry::{self, Format};

/// Formats with a packed class, one of each.
pub fn formats() -> Vec<&'static Format> {
    let mut classes = Vec::new();
    let formats = registry::formats().filter(|format| {
        let class = format.packed.as_ref().map(|packed| packed.class.name);
        let is_new = class.is_some_and(|class| !classes.contains(&class));
        classes.extend(class);
        is_new
    });
    formats.collect()
}
