//! What is to be known of the processor, the system and the program.

use std::{env, fs};

use quantloom::machine::Facts;
use quantloom::{registry, tune};

use super::Finding;

/// What the names of all environment variables of quantloom begin with.
const PREFIX: &str = "QUANTLOOM_";

/// All of it.
pub fn findings() -> Vec<Finding> {
    let facts = Facts::detect();
    let found = [memory(), huge_pages(), governor()].into_iter().flatten();
    processor(&facts).into_iter().chain(found).chain([build(), variables()]).collect()
}

fn processor(facts: &Facts) -> Vec<Finding> {
    let Facts { processor, vendor, family, model, stepping, caches, logical_cores } = facts;
    let names = |available: bool| {
        let isas = registry::isas().iter().filter(|isa| (isa.available)() == available);
        let names = isas.map(|isa| isa.name).collect::<Vec<_>>();
        if names.is_empty() { "none".to_owned() } else { names.join(" ") }
    };
    let [l1d, l2, l3] = [caches.l1d, caches.l2, caches.l3].map(|bytes| bytes >> 10);
    let plain = registry::best_isa().name == registry::isas()[0].name;
    vec![
        Finding::fine("processor", format!("{processor} ({vendor} family {family} model {model} stepping {stepping})")),
        Finding::fine("threads", logical_cores.to_string()),
        Finding::fine("caches", format!("L1d {l1d} KiB, L2 {l2} KiB, L3 {l3} KiB shared by {}", caches.l3_sharers)),
        Finding::bad_if(
            plain,
            "instruction sets",
            format!("{}; not here: {}", names(true), names(false)),
            "kernels in plain code are slow: no card in kernel-spec/isa describes what this processor has",
        ),
        Finding::fine("environment", tune::environment()),
    ]
}

fn memory() -> Option<Finding> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let mib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
    };
    Some(Finding::fine("memory", format!("{} MiB, {} MiB available", mib("MemTotal")?, mib("MemAvailable")?)))
}

/// What the system does about huge pages, which weights ask for.
fn huge_pages() -> Option<Finding> {
    const FILE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    Some(of_huge_pages(&chosen(&fs::read_to_string(FILE).ok()?)?, FILE))
}

fn of_huge_pages(mode: &str, file: &str) -> Finding {
    let remedy = format!("as root: echo madvise > {file}; small batches gain about 5%");
    Finding::bad_if(mode == "never", "huge pages", mode, remedy)
}

/// The word in brackets.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

fn governor() -> Option<Finding> {
    let governor = fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").ok()?;
    Some(of_governor(governor.trim()))
}

fn of_governor(governor: &str) -> Finding {
    let slow = ["powersave", "conservative", "ondemand"].contains(&governor);
    Finding::bad_if(slow, "frequency governor", governor, "as root: cpupower frequency-set -g performance, while tuning")
}

fn build() -> Finding {
    Finding::bad_if(
        cfg!(debug_assertions),
        "build",
        tune::system(),
        "this is a debug build, whose times hold for debug builds only: cargo build --release",
    )
}

/// The variables that are set. The names of others are not ours to know.
fn variables() -> Finding {
    let set = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
        Some(format!("{name}={}", value.to_string_lossy().escape_debug()))
    });
    let mut set = set.collect::<Vec<_>>();
    set.sort();
    Finding::fine("variables", if set.is_empty() { "none".to_owned() } else { set.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_stands_in_brackets() {
        assert_eq!(chosen("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(chosen("nothing"), None);
    }

    #[test]
    fn what_costs_speed_has_a_remedy() {
        assert!(of_huge_pages("never", "f").remedy.is_some() && of_huge_pages("madvise", "f").remedy.is_none());
        assert!(of_governor("powersave").remedy.is_some() && of_governor("performance").remedy.is_none());
    }
}
