//! The formats pass the tests that the built-in ones pass, and are found beside them.

use quantloom::{registry, testing};

#[test]
fn the_formats_are_right() {
    for format in own_format::FORMATS {
        let report = testing::check(format).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.kernels > 0, "{report}");
    }
}

#[test]
fn the_formats_are_registered_beside_the_built_in_ones() {
    let built_in = registry::formats().count();
    own_format::register().unwrap();
    own_format::register().unwrap();
    assert_eq!(registry::formats().count(), built_in + own_format::FORMATS.len());
    for format in own_format::FORMATS {
        assert!(std::ptr::eq(registry::format_by_name(&format.name.to_lowercase()).unwrap(), *format));
    }
}
