//! `quantloom cache`: what the tuner remembers.

use clap::Subcommand;
use quantloom::tune::{self, Contents, Time, Variant};

use super::failure::print;
use super::table::{Align, Table};
use super::{Failure, lookup};

/// Look at what the tuner remembers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom cache show")]
pub struct Args {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print the choices for this machine
    Show,
    Explain(lookup::Args),
    /// Print where the cache is
    Path,
}

/// Shows the entries, or where they are.
pub fn run(args: &Args) -> Result<(), Failure> {
    let path = tune::choices().path().ok_or_else(|| {
        Failure::input(format!("there is no cache: this user has no home folder; set {} to a folder", tune::VARIABLE))
    })?;
    match &args.action {
        Action::Explain(args) => lookup::run(args),
        Action::Path => print(&format!("{}\n", path.display())),
        Action::Show => {
            let quarantined = tune::choices().variants().quarantined();
            print(&format!("{}{}", text(&tune::choices().contents()), lines(&quarantined)))
        }
    }
}

fn text(contents: &Contents) -> String {
    let mut table = Table::new(&[
        ("SHAPE", Align::Right),
        ("BATCH", Align::Right),
        ("THREADS", Align::Right),
        ("KERNEL", Align::Left),
        ("µs", Align::Right),
        ("DEFAULT", Align::Right),
        ("STATE", Align::Left),
    ]);
    for entry in &contents.entries {
        let micros = |time: Option<&Time>| time.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.ns as f64 / 1e3));
        table.row([
            format!("{}x{}", entry.key.n, entry.key.k),
            entry.key.batch.to_string(),
            entry.key.threads.to_string(),
            entry.kernel.clone(),
            micros(entry.time()),
            micros(entry.time_of(&entry.default)),
            if entry.kernel().is_some() { "ready" } else { "of another build" }.to_owned(),
        ]);
    }
    let unreadable = match contents.unreadable {
        0 => String::new(),
        count => format!("{count} entries are torn or edited, and count for nothing\n"),
    };
    format!("{table}{unreadable}")
}

/// A line for each kernel that must not run, and why.
pub fn lines(quarantined: &[Variant]) -> String {
    quarantined.iter().map(|variant| format!("quarantined: {}: {variant}\n", variant.id.kernel)).collect()
}
