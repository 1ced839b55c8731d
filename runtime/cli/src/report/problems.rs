//! Every problem of a report: a line that says what was chosen, and below it what was measured.

use maud::{Markup, Render, html};
use quantloom::weights::Layout;

use super::model::{Group, Problem, Report, Totals, Variant};
use super::numbers;
use super::words;

/// Up to so many problems on a page, the lists of all formats are open at first,
const LISTED: usize = 60;
/// and up to so many, what was measured of each.
const OPEN: usize = 4;
/// The ratio at the right end of a bar's scale. What is slower ends there too, and looks cut.
const SCALE: f64 = 2.0;

/// All formats.
pub fn lists(report: &Report) -> Markup {
    let all = report.problems().count();
    html! {
        @for (index, group) in report.groups.iter().enumerate() { (list(index, group, all, report)) }
    }
}

fn list(index: usize, group: &Group, all: usize, report: &Report) -> Markup {
    let Totals { problems, changed, .. } = Totals::of(group.problems.iter());
    html! {
        details.format open[all <= LISTED] {
            summary {
                h3 { (group.format) }
                span { (numbers::count(problems, "problem", "problems")) ", " (changed) " not the default" }
            }
            // What a link leads to is inside, so that browsers open what is around it.
            div id={"f" (index)} {
                @for problem in &group.problems { (item(problem, all <= OPEN, report)) }
            }
        }
    }
}

fn item(problem: &Problem, open: bool, report: &Report) -> Markup {
    let key = &problem.entry.key;
    let of_limit = problem.chosen().and_then(|variant| variant.of_limit);
    html! {
        details.problem open[open] {
            summary {
                span.shape { (shape(problem)) }
                span.batch { "batch " (key.batch) }
                span.class { (key.numerics) ", " (numbers::count(key.threads, "thread", "threads")) }
                span.kernel { (breakable(&problem.kernel())) }
                span.gain { (gain(problem)) }
                @if let Some(part) = of_limit {
                    span.part { (meter(part.0)) (part) span.soft { " of limit" } }
                }
            }
            div.found id={"p" (problem.number)} {
                p { (words::reason(problem)) }
                @if !problem.variants.is_empty() { (table(problem)) }
                (facts(problem, report))
            }
        }
    }
}

/// Rows and columns of a problem's weights.
fn shape(problem: &Problem) -> String {
    format!("{}×{}", problem.entry.key.n, problem.entry.key.k)
}

/// A problem but for its format.
pub fn title(problem: &Problem) -> String {
    format!("{}, batch {}, {}", shape(problem), problem.entry.key.batch, problem.entry.key.numerics)
}

/// What the choice gains.
fn gain(problem: &Problem) -> Markup {
    html! {
        @match problem.chosen() {
            _ if !problem.changed() => { span.soft { "default" } }
            Some(chosen) => { (numbers::change(chosen.time.ratio)) span.soft { " time" } }
            None => { span.soft { "not kept" } }
        }
    }
}

fn table(problem: &Problem) -> Markup {
    let limit = problem.bound_ratio().map(|ratio| format!("--limit:{}", width(ratio / SCALE)));
    html! {
        div.scroll {
            table style=[limit] {
                thead {
                    tr {
                        th scope="col" { "candidate" }
                        th.bar scope="col" { span { "0" } span { "default" } span { (SCALE) "×" } }
                        th scope="col" { "time" }
                        th scope="col" { "µs" }
                        th scope="col" { "Gop/s" }
                        th scope="col" { "of limit" }
                        th scope="col" { "rounds" }
                    }
                }
                tbody { @for variant in &problem.variants { (row(variant)) } }
            }
        }
    }
}

fn row(variant: &Variant) -> Markup {
    let class = match variant {
        Variant { chosen: true, .. } => Some("chosen"),
        Variant { default: true, .. } => Some("default"),
        _ => None,
    };
    let ratio = variant.time.ratio;
    let known = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    html! {
        tr class=[class] {
            th scope="row" {
                (breakable(&variant.name))
                @if variant.chosen { " " b { "chosen" } }
                @if variant.default { " " em { "default" } }
            }
            td.bar { i.over[ratio > SCALE] style={"width:" (width(ratio / SCALE))} {} }
            td { (numbers::ratio(ratio)) }
            td { (numbers::micros(variant.time.ns as f64)) }
            td { (known(variant.gops.map(numbers::gops))) }
            td { (known(variant.of_limit.map(|part| part.to_string()))) }
            td { (words::rounds(variant)) }
        }
    }
}

fn facts(problem: &Problem, report: &Report) -> Markup {
    let entry = &problem.entry;
    html! {
        dl {
            (fact("kernel", breakable(&entry.kernel)))
            @if let Some(bound) = words::bound(problem) { (fact("limit", &bound)) }
            (fact("instruction set", &entry.key.isa))
            @if entry.key.layout != Layout::Packed { (fact("layout", entry.key.layout.name())) }
            (fact("measured", format!("batch {}", entry.measured)))
            (fact("effort", words::effort(entry.effort)))
            (fact("spread", numbers::spread(entry.spread)))
            (fact("origin", words::origin(entry.origin)))
            @if entry.system != report.machine.system { (fact("system", &entry.system)) }
            @if !problem.followed { (fact("state", "not followed here: of another build or processor")) }
        }
    }
}

/// A part of a whole as a short bar, beside which stands its number.
pub fn meter(part: f64) -> Markup {
    html! { i.meter { i style={"width:" (width(part))} {} } }
}

/// A term and what is said of it.
pub fn fact(name: &str, value: impl Render) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// The name of a kernel, which may go on in another line between its parts, and not within one.
pub fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['.', '@', '+']) { (part) wbr; } }
}

/// A part of a whole as a width, whole at most.
fn width(part: f64) -> String {
    format!("{}%", numbers::coordinate(100.0 * part.clamp(0.0, 1.0)))
}
