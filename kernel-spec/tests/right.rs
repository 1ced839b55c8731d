//! Every card of this repository is right.

use std::path::Path;

use quantloom_spec::Spec;

#[test]
fn every_card_reads_without_error() {
    let spec = Spec::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(spec.formats.len(), 31);
}
