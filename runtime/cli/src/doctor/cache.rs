//! What is to be known of the cache.

use std::path::Path;

use quantloom::pool::Pool;
use quantloom::tune::{self, CacheFile, List};

use super::super::cache::own;
use super::super::locks::{self, Lock};
use super::{Finding, limit};

/// All of it; of a cache that there is no place for, only that.
pub fn findings() -> Vec<Finding> {
    let Ok(file) = own() else {
        let remedy = format!("set {} to a folder: what is measured is forgotten at exit", tune::VARIABLE);
        return vec![Finding::bad_if(true, "cache", "no place for it", remedy)];
    };
    let folder = file.path().parent().unwrap_or(Path::new("."));
    let mut findings = vec![Finding::fine("cache", file.path().display().to_string()), writable(folder), held(folder)];
    findings.extend(entries(&file));
    findings.extend(limit::finding(&file));
    findings.push(shipped());
    findings.push(quarantined());
    findings.extend(untuned());
    findings.push(mode());
    findings
}

/// When the tuner measures by itself.
fn mode() -> Finding {
    match tune::choices().mode() {
        Ok(mode) => Finding::fine("mode", mode.to_string()),
        Err(error) => Finding::bad_if(true, "mode", error.to_string(), "mend the variable, or unset it"),
    }
}

/// Whether the folder can be written, or made.
fn writable(folder: &Path) -> Finding {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let refused = tempfile::tempfile_in(there).err();
    let value = refused.as_ref().map_or_else(|| "yes".to_owned(), |cause| format!("no: {}: {cause}", there.display()));
    let remedy = format!("make the folder writable or set {} to one that is", tune::VARIABLE);
    Finding::bad_if(refused.is_some(), "writable", value, remedy)
}

/// The locks that other processes hold, or that there are none.
fn held(folder: &Path) -> Finding {
    let locks = locks::of(folder).into_iter().map(|path| (locks::take(&path), path)).collect::<Vec<_>>();
    if let Some(cause) =
        locks.iter().find_map(|(lock, _)| if let Ok(Lock::Impossible(cause)) = lock { Some(cause) } else { None })
    {
        let remedy = format!("set {} to a folder on a file system that has locks", tune::VARIABLE);
        return Finding::bad_if(true, "locks", format!("none here: {cause}"), remedy);
    }
    let held = locks.iter().filter(|(lock, _)| matches!(lock, Ok(Lock::Elsewhere)));
    let names = held.filter_map(|(_, path)| Some(path.file_name()?.to_string_lossy().into_owned())).collect::<Vec<_>>();
    let value = if names.is_empty() { "free".to_owned() } else { format!("held by another process: {}", names.join(", ")) };
    Finding::bad_if(!names.is_empty(), "locks", value, "wait until that process has ended: it tunes, or writes the cache")
}

fn entries(file: &CacheFile) -> Vec<Finding> {
    let contents = file.read();
    let ready = contents.entries.iter().filter(|entry| entry.launch().is_some()).count();
    let others = contents.entries.len() - ready;
    vec![
        Finding::bad_if(
            ready == 0,
            "entries",
            ready.to_string(),
            "run `quantloom tune MODEL`: until then shipped entries and defaults count",
        ),
        Finding::bad_if(
            others > 0 && ready == 0,
            "of other builds",
            others.to_string(),
            "the kernels have changed since: run `quantloom tune MODEL` again",
        ),
        Finding::bad_if(
            contents.unreadable > 0,
            "unreadable entries",
            contents.unreadable.to_string(),
            "they are torn or edited, and count for nothing: run `quantloom tune MODEL` again",
        ),
    ]
}

/// What the program ships with and can use here.
fn shipped() -> Finding {
    let (own, relative) = tune::shipped();
    Finding::fine("shipped entries", format!("{own} for this processor, {relative} for relatives"))
}

/// Kernels that must not run here.
fn quarantined() -> Finding {
    let kernels = tune::choices().variants().quarantined();
    let named = kernels.iter().map(|variant| format!("{} ({variant})", variant.id.kernel)).collect::<Vec<_>>();
    let value = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
    Finding::bad_if(!named.is_empty(), "quarantined", value, "others run in their place: report them with this output")
}

/// The list of what there was no time for.
fn untuned() -> Option<Finding> {
    let path = List::untuned_path(tune::choices()).filter(|path| path.is_file())?;
    let mut list = List::left(tune::choices());
    list.retain_unknown(tune::choices(), Pool::global());
    let count = list.problems.iter().map(|problem| problem.batches.len()).sum::<usize>();
    let remedy = format!("run `quantloom tune --from {}`", path.display());
    Some(Finding::bad_if(count > 0, "untuned", format!("{count} problems"), remedy))
}
