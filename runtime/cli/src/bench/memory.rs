//! What this process takes of memory, where the system says so.

use std::fs;

/// Bytes that were resident at most since the last [`forget`], or since the process began.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Lets the peak begin anew; where the system does not, what was before stays part of it.
pub fn forget() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_is_counted() {
        const BYTES: usize = 64 << 20;
        let before = peak().unwrap();
        let touched = std::hint::black_box(vec![1_u8; BYTES]);
        let after = peak().unwrap();
        assert!(after >= BYTES as u64 && after >= before && touched.len() == BYTES);
    }
}
