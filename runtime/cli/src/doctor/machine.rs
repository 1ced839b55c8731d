//! What is to be known of the processor, the system and the program.

use std::{env, fs};

use quantloom::machine::Facts;
use quantloom::machine::processor::{self, By, Known};
use quantloom::{registry, tune};

use super::Finding;

/// What the names of all environment variables of quantloom begin with.
const PREFIX: &str = "QUANTLOOM_";

/// What doctor calls the card of the processor.
const CARD: &str = "processor card";

/// What runs where no card has starts.
const DEFAULTS: &str = "default kernels and distances are used";

/// All of it.
pub fn findings() -> Vec<Finding> {
    let facts = Facts::detect();
    let found = [memory(), huge_pages(), governor()].into_iter().flatten();
    processor(&facts).into_iter().chain([card()]).chain(found).chain([build(), variables()]).collect()
}

/// Which processor card the program goes by.
fn card() -> Finding {
    match processor::here() {
        Ok(known) => of_card(known),
        Err(error) => Finding::bad_if(true, CARD, error.to_string(), "name one of these, or unset the variable"),
    }
}

fn of_card(Known { card, by }: Known) -> Finding {
    let Some(card) = card else {
        let why = match by {
            By::Identity => ": no card describes this processor".to_owned(),
            By::User => format!(", by {}", processor::VARIABLE),
            By::Program => ", by the program".to_owned(),
        };
        let remedy = "run `quantloom tune MODEL`; docs/adding-a-processor.md tells how to write a card";
        return Finding::bad_if(true, CARD, format!("none{why}; {DEFAULTS}"), remedy);
    };
    let by = match by {
        By::Identity => "what the processor says of itself",
        By::User => processor::VARIABLE,
        By::Program => "the program",
    };
    let starts = match (card.starts.is_empty(), card.measured) {
        (true, _) => format!("it has no starts, {DEFAULTS}"),
        (false, Some(measured)) => format!("its starts are used, measured: {measured}"),
        (false, None) => "its starts are used, which were not measured".to_owned(),
    };
    Finding::fine(CARD, format!("{}, by {by}; {starts}", card.name))
}

fn processor(facts: &Facts) -> Vec<Finding> {
    let Facts { processor, vendor, family, model, stepping, caches, logical_cores } = facts;
    let names = |available: bool| {
        let isas = registry::isas().iter().filter(|isa| isa.is_available() == available);
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
    use quantloom::kernels::abi::{Numerics, Processor, Schedule, Start};

    use super::*;

    #[test]
    fn what_is_chosen_stands_in_brackets() {
        assert_eq!(chosen("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(chosen("nothing"), None);
    }

    #[test]
    fn a_card_is_named_with_who_chose_it_and_what_was_measured() {
        const START: Start = Start {
            isa: "",
            numerics: Numerics::Int8,
            schedule: Schedule::Direct,
            tile: "",
            batch: &[1],
            far: None,
            bits: None,
            near: None,
            tiles: None,
            keep: false,
        };
        const CARD: Processor =
            Processor { name: "some", doc: "", measured: None, identities: &[], pipes: &[], starts: &[START], peers: &[] };
        let found = |card: Option<&'static Processor>, by| of_card(Known { card, by });
        let bare = found(Some(&Processor { starts: &[], ..CARD }), By::User);
        assert_eq!(bare.value, "some, by QUANTLOOM_PROCESSOR; it has no starts, default kernels and distances are used");
        let guessed = found(Some(&CARD), By::Identity).value;
        assert!(guessed.starts_with("some, by what the processor says") && guessed.ends_with("not measured"), "{guessed}");
        let measured = found(Some(&Processor { measured: Some("here, today"), ..CARD }), By::Identity);
        assert!(measured.value.ends_with("measured: here, today") && measured.remedy.is_none(), "{}", measured.value);
        for (by, said) in [(By::Identity, "no card describes"), (By::User, "QUANTLOOM_PROCESSOR")] {
            let none = found(None, by);
            assert!(none.value.starts_with("none") && none.value.contains(said), "{}", none.value);
            assert!(none.value.ends_with(DEFAULTS) && none.remedy.unwrap().contains("quantloom tune"));
        }
    }

    #[test]
    fn what_costs_speed_has_a_remedy() {
        assert!(of_huge_pages("never", "f").remedy.is_some() && of_huge_pages("madvise", "f").remedy.is_none());
        assert!(of_governor("powersave").remedy.is_some() && of_governor("performance").remedy.is_none());
    }
}
