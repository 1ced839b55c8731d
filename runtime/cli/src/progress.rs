//! Progress of long work, on a terminal only.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::tell;
use super::screen;

/// A bar on standard error over `length` steps of `what`; invisible when that is not a terminal, and one line where nothing can be
/// drawn twice.
pub fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} [{bar:40}] {percent:>3}% {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length).with_style(style.progress_chars("=> ")).with_message(what);
    if screen::obeys() {
        return bar;
    }
    if io::stderr().is_terminal() {
        tell(&format!("{what} ..."));
    }
    bar.set_draw_target(ProgressDrawTarget::hidden());
    bar
}
