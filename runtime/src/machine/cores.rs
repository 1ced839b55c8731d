//! Which core a thread runs on.

/// Keeps this thread on core `number` of the `all` that it may use; does nothing if it may use more or fewer, or where the system
/// has no such call.
///
/// Schedulers balance by count: beside other busy programs they may well leave two of our threads on one core. With fewer threads
/// than cores the choice is left to them, who know which cores are idle and which share their units.
#[cfg(target_os = "linux")]
pub(super) fn pin(number: usize, all: usize) {
    use std::mem;

    // SAFETY: a set of bits, all of which may be 0.
    let (mut allowed, mut one): (libc::cpu_set_t, libc::cpu_set_t) = unsafe { mem::zeroed() };
    let size = size_of_val(&allowed);
    // SAFETY: writes `size` bytes to a set of that size.
    if unsafe { libc::sched_getaffinity(0, size, &raw mut allowed) } != 0 {
        return;
    }
    // SAFETY: `core` is below the size of a set, here and below.
    let cores = (0..8 * size).filter(|&core| unsafe { libc::CPU_ISSET(core, &allowed) });
    if let Some(core) = cores.clone().nth(number).filter(|_| cores.count() == all) {
        // SAFETY: as above; then reads `size` bytes from a set of that size. Refused, nothing changes.
        unsafe {
            libc::CPU_SET(core, &mut one);
            libc::sched_setaffinity(0, size, &raw const one);
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pin(_number: usize, _all: usize) {}
