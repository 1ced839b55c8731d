//! WGSL modules under naga's validator.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, front};
use quantloom_codegen::emit::wgsl;

use crate::support::{dialect, formats};

/// Parses and validates; nothing beyond the portable language is allowed.
fn validated(text: &str, what: &str) -> Module {
    let module = front::wgsl::parse_str(text).unwrap_or_else(|wrong| panic!("{what}: {}", wrong.emit_to_string(text)));
    let found = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
    found.unwrap_or_else(|wrong| panic!("{what}: {}", wrong.emit_to_string(text)));
    module
}

#[test]
fn every_module_is_right() {
    let dialect = dialect("wgsl");
    for format in formats() {
        let generated = wgsl::module(&format, &dialect).unwrap();
        let module = validated(&generated.text, &format.card.file);
        let entries: Vec<_> = module.entry_points.iter().map(|entry| (entry.name.as_str(), entry.workgroup_size[0])).collect();
        assert_eq!(entries, ["decode", "gemv_exact", "reduce"].map(|name| (name, dialect.workgroup as u32)));
    }
}

/// The numbers that hosts bind buffers to.
#[test]
fn bindings_are_as_the_host_has_them() {
    for format in formats() {
        let generated = wgsl::module(&format, &dialect("wgsl")).unwrap();
        let module = validated(&generated.text, &format.card.file);
        let bound = module.global_variables.iter().filter_map(|(_, variable)| {
            let place = variable.binding.as_ref()?;
            Some((place.binding, variable.name.as_deref()?, variable.space == AddressSpace::Uniform))
        });
        let mut wanted =
            vec![(0, "weights", false), (2, "x", false), (3, "partials", false), (4, "output", false), (5, "params", true)];
        if !generated.tables.is_empty() {
            wanted.insert(1, (1, "tables", false));
        }
        assert_eq!(bound.collect::<Vec<_>>(), wanted, "{}", format.card.file);
    }
}
