//! `quantloom cache prune`: the kernels that a slim build needs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::ptr;

use quantloom::matmul;
use quantloom::registry::{self, Format, Kernel, kernels};
use quantloom::tune::Entry;
use quantloom_spec::text::shown;

use super::super::Failure;
use super::super::files::{called, create, say, write_whole};
use super::{entries, named, with_own};

/// Write the list of kernels that this machine's choices and their fallbacks need, for a slim build
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The list has, of every format in the cache, the kernels that were chosen, the defaults of the instruction \
                  sets that run them, and plain code for any other processor. Other formats can only be decoded.

Example: quantloom cache prune pruned.toml && QUANTLOOM_VARIANTS=pruned.toml cargo build --release"
)]
pub struct Args {
    /// The file to write; `-` is standard output
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// A cache file from elsewhere, instead of this machine's
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
}

/// Writes the names in the order of the registry, format by format.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = named(args.cache.as_deref())?;
    let chosen = entries(&file).iter().filter_map(Entry::launch).map(|launch| launch.kernel.name).collect::<BTreeSet<_>>();
    let is_used = |format: &&'static Format| kernels(format).iter().any(|kernel| chosen.contains(kernel.name));
    let formats = registry::formats().filter(is_used).collect::<Vec<_>>();
    if formats.is_empty() {
        return Err(Failure::input(format!(
            "{}: has no entries of this build; run `quantloom tune` first",
            shown(file.path())
        )));
    }
    let lists = formats.iter().map(|format| (*format, needed(format, &chosen))).collect::<Vec<_>>();
    let output = create(&args.output, &with_own(&[file.path()]))?;
    let is_standard = output.is_standard();
    write_whole(output, text(&lists).as_bytes())?;
    let count = lists.iter().map(|(_, kernels)| kernels.len()).sum::<usize>();
    let all = registry::formats().map(|format| kernels(format).len()).sum::<usize>();
    let path = called(&args.output);
    let build = format!("; build with QUANTLOOM_VARIANTS={path} cargo build --release");
    let build = if is_standard { "" } else { &build };
    say(&format!("{path}: {count} of {all} kernels, for {} formats{build}\n", formats.len()), is_standard)
}

/// The kernels of a format that were chosen, and the defaults beside them and below.
fn needed(format: &'static Format, chosen: &BTreeSet<&str>) -> Vec<&'static Kernel> {
    let is_chosen = |kernel: &Kernel| chosen.contains(kernel.name);
    let is_default = |kernel: &Kernel| {
        let falls_back = [registry::best_isa_of(format), registry::isas()[0]];
        let owns = |isa| ptr::eq(registry::kernel_isa(format, kernel.numerics, isa), kernel.isa());
        let beside =
            |other: &Kernel| is_chosen(other) && ptr::eq(other.isa(), kernel.isa()) && other.numerics == kernel.numerics;
        let runs_unasked = !kernel.batch.is_empty() || matmul::is_start(kernel);
        runs_unasked && (falls_back.into_iter().any(owns) || kernels(format).iter().any(beside))
    };
    kernels(format).iter().filter(|kernel| is_chosen(kernel) || is_default(kernel)).collect()
}

fn text(lists: &[(&Format, Vec<&Kernel>)]) -> String {
    let mut text = "# The kernels of a slim build, by the names that `quantloom explain` prints.\nkernels = [\n".to_owned();
    for (format, kernels) in lists {
        text += &format!("    # {}\n", format.name);
        text.extend(kernels.iter().map(|kernel| format!("    \"{}\",\n", kernel.name)));
    }
    text + "]\n"
}
