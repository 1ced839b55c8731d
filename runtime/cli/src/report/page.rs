//! The page: its head, what it begins with, and what else belongs to it. Everything that it shows is in its text.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use quantloom::machine::{Caches, Ceilings};

use super::chart;
use super::model::{Cache, Machine, Report, Totals};
use super::numbers::{self, count};
use super::problems::{self, fact};
use super::words;

/// How it looks, in a light and a dark scheme.
const STYLE: &str = include_str!("page.css");
/// What it does beyond what it shows: it filters, and says what is pointed at. Nothing is missing without it.
const SCRIPT: &str = include_str!("page.js");
/// What browsers may load for it: nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
/// From so many problems on, a filter helps.
const MANY: usize = 10;

/// The whole document.
pub fn page(report: &Report) -> Markup {
    let heading = heading(report);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (heading) " – quantloom" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#choices" { "Skip to the choices" }
                header {
                    h1 { (heading) }
                    p.lead { (lead(report)) }
                    (notes(report))
                    @if let Some(ceilings) = &report.machine.ceilings { (limits(ceilings)) }
                    (machine(&report.machine, &report.cache))
                }
                main {
                    @if !report.groups.is_empty() { (found(report)) }
                    (quarantined(report))
                }
                @if !report.groups.is_empty() { script { (PreEscaped(SCRIPT)) } }
            }
        }
    }
}

fn heading(report: &Report) -> String {
    if report.cache.own {
        format!("What the tuner found on {}", report.machine.facts.processor)
    } else {
        "What the tuner found on another machine".to_owned()
    }
}

fn lead(report: &Report) -> Markup {
    html! {
        @if report.groups.is_empty() {
            "Nothing has been measured here yet. "
            code { "quantloom tune MODEL.gguf" }
            " finds the fastest kernels for the matrices of a model, and remembers them."
        } @else {
            (words::summary(&Totals::of(report.problems())))
        }
    }
}

/// What a reader must know beforehand.
fn notes(report: &Report) -> Markup {
    let unreadable = report.unreadable;
    html! {
        @if cfg!(debug_assertions) {
            p.note { "This program was built without optimisation: neither its times nor its limits are those of the machine." }
        }
        @if !report.cache.own {
            p.note {
                "The cache is of another machine, or of another kind of build, whose limits cannot be measured here: they are left out."
            }
        } @else if report.machine.ceilings.is_none() {
            p.note { "The limits of this machine were not measured." }
        }
        @if let Some(above) = report.above() { p.note { (above) } }
        @for ((threads, isa), steadiness) in &report.unsteady {
            p.note { "On " (count(*threads, "thread", "threads")) " of " (isa) ", " (steadiness) "." }
        }
        @if unreadable > 0 {
            p.note {
                (count(unreadable, "entry of the cache is", "entries of the cache are"))
                " torn, edited or foreign, and left out."
            }
        }
    }
}

fn found(report: &Report) -> Markup {
    let speeds = chart::figures(report);
    html! {
        @if !speeds.0.is_empty() {
            section aria-labelledby="speeds" {
                h2 id="speeds" { "Speed and its limits" }
                p {
                    "Each dot is a kernel on a problem: dots above each other are candidates for the same one. "
                    "A dot that was chosen leads to what is known of its problem."
                }
                (chart::legend())
                (speeds)
            }
        }
        section aria-labelledby="formats" {
            h2 id="formats" { "Formats" }
            (formats(report))
        }
        section aria-labelledby="choices" {
            h2 id="choices" { "Choices" }
            p {
                "A candidate replaces the default of a problem if it is clearly faster in the median of rounds in which both run. "
                "Times are relative to the default’s. The limit is reading the weights from memory, or the arithmetic, whichever "
                "takes longer: the shaded part of a scale is below it."
            }
            @if report.problems().nth(MANY).is_some() {
                p.filter hidden {
                    label for="filter" { "Filter" }
                    input id="filter" type="search" autocomplete="off" placeholder="format, shape, batch, kernel";
                    output for="filter" {}
                }
            }
            (problems::lists(report))
        }
    }
}

/// What came of each format.
fn formats(report: &Report) -> Markup {
    let known = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let saved = |ratio| numbers::percent(1.0 - ratio);
    html! {
        div.scroll {
            table.formats {
                thead {
                    tr {
                        th scope="col" { "format" }
                        th scope="col" { "problems" }
                        th scope="col" { "not default" }
                        th scope="col" { "time saved, median" }
                        th scope="col" { "time saved, best" }
                        th scope="col" { "of limit, median" }
                    }
                }
                tbody {
                    @for (index, group) in report.groups.iter().enumerate() {
                        @let totals = Totals::of(group.problems.iter());
                        tr {
                            th scope="row" { a href={"#f" (index)} { (group.format) } }
                            td { (totals.problems) }
                            td { (totals.changed) }
                            td { (known(totals.ratio.map(saved))) }
                            td { (known(totals.best.map(saved))) }
                            td {
                                @if let Some(part) = totals.of_limit { (problems::meter(part.0)) }
                                (known(totals.of_limit.map(|part| part.to_string())))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn quarantined(report: &Report) -> Markup {
    html! {
        @if !report.quarantined.is_empty() {
            section aria-labelledby="quarantined" {
                h2 id="quarantined" { "Quarantined" }
                p { "These kernels gave wrong bits on this machine, and are not used." }
                dl { @for (kernel, why) in &report.quarantined { (fact(kernel, why)) } }
            }
        }
    }
}

/// What choices depend on, and when and by whom this was written.
fn machine(machine: &Machine, cache: &Cache) -> Markup {
    let Machine { facts, isas, system, written, .. } = machine;
    let (date, hour) = written.split_once('T').unwrap_or((written, ""));
    html! {
        dl.machine {
            (fact("caches", caches(&facts.caches)))
            (fact("instruction sets", isas.join(", ")))
            (fact("threads", facts.logical_cores.to_string()))
            (fact("program and system", system))
            div { dt { "written" } dd { time datetime=(written) { (date) " " (hour.trim_end_matches('Z')) " UTC" } } }
            (fact("environment", &cache.environment))
            (fact("cache", &cache.path))
        }
    }
}

/// How fast the machine can go.
fn limits(ceilings: &Ceilings) -> Markup {
    let Ceilings { isa, threads, read_gbps, int8_gops, f32_gflops } = ceilings;
    html! {
        dl.limits {
            (fact("reads", numbers::bandwidth(*read_gbps)))
            (fact("int8", format!("{} Gop/s", numbers::gops(*int8_gops))))
            (fact("f32", format!("{} Gflop/s", numbers::gops(*f32_gflops))))
        }
        p.soft {
            "What the best of many short runs of " (isa) " on " (count(*threads, "thread", "threads")) " came to when this page was written; of reading, what nine in ten stayed below."
        }
    }
}

fn caches(caches: &Caches) -> String {
    let Caches { l1d, l2, l3, l3_sharers } = caches;
    let levels = [("L1", *l1d), ("L2", *l2), ("L3", *l3)];
    let sizes = levels.iter().filter(|(_, bytes)| *bytes > 0).map(|(name, bytes)| format!("{name} {}", numbers::cache(*bytes)));
    let shared = if *l3 > 0 { format!(", shared by {}", count(*l3_sharers, "thread", "threads")) } else { String::new() };
    sizes.collect::<Vec<_>>().join(", ") + &shared
}
