//! Signals that end the program: what it has not finished writing goes with it.

/// From now on, whoever ends this program by a signal leaves no unfinished output behind. The program ends by that signal all the
/// same; one that it was started to ignore, as `nohup` does, it goes on to ignore.
#[cfg(unix)]
pub fn watch() {
    use std::sync::mpsc;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    // The end of the channel goes with the thread: without one, signals end the program as they always do, and nothing is waited for.
    let (watching, is_watching) = mpsc::channel();
    let _ = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let heeded = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
        let Ok(mut signals) = Signals::new(heeded) else { return };
        let _ = watching.send(());
        for signal in signals.forever() {
            quantloom::files::abandon();
            let _ = emulate_default_handler(signal);
        }
    });
    // Before the first output is begun.
    let _ = is_watching.recv();
}

/// Elsewhere there are no such signals.
#[cfg(not(unix))]
pub fn watch() {}

/// Whether a signal does nothing to this process.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action nothing changes; the present one is written to where there is room for one, and it may be all zeros.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
