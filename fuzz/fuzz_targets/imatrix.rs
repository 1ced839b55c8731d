//! An importance matrix.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quantloom::imatrix::Imatrix;
use quantloom_fuzz::{Folder, right};

fuzz_target!(|bytes: &[u8]| {
    let folder = Folder::new();
    let Some(imatrix) = right(Imatrix::open(folder.file("imatrix", bytes))) else { return };
    for name in imatrix.names() {
        assert!(imatrix.has(name));
        for (k, stacked) in [(4, 1), (4, 2), (0, 1), (usize::MAX, 2), (1 << 32, 1 << 32)] {
            if let Some(Some(importance)) = right(imatrix.importance(name, k, stacked)) {
                assert_eq!(importance.len(), k * stacked);
                assert!(importance.iter().all(|value| value.is_finite() && *value >= 0.0), "{importance:?}");
            }
        }
    }
});
