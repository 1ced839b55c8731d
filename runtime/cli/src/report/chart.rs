//! A roofline as SVG. Its colours and the sizes of what is in it are those of the page.

use maud::{Markup, html};
use quantloom::registry::Numerics;

use super::model::Report;
use super::numbers::{self, coordinate};
use super::problems::title;
use super::roofline::{ACROSS, Dot, Roof, Roofline, SIZE, UPWARDS};

/// What the dots of all figures mean.
pub fn legend() -> Markup {
    html! {
        p.legend {
            span { i.dot.chosen {} "chosen" }
            span { i.dot {} "another candidate" }
            span { i.dot.square {} (Numerics::Exact) }
            span { i.dot {} (Numerics::Int8) }
        }
    }
}

/// The figures of all numbers of threads.
pub fn figures(report: &Report) -> Markup {
    let drawings = report.limits.iter().filter_map(|(&threads, ceilings)| {
        let problems = report.problems().filter(|problem| problem.entry.key.threads == threads);
        Some((threads, Roofline::new(problems, ceilings.as_ref())?))
    });
    html! {
        @for (threads, drawing) in drawings { (figure(threads, &drawing)) }
    }
}

fn figure(threads: usize, drawing: &Roofline<'_>) -> Markup {
    let threads = numbers::count(threads, "thread", "threads");
    html! {
        figure.roofline {
            figcaption { (threads) }
            svg role="group" aria-label={"Roofline of " (threads)} viewBox={"0 0 " (SIZE.0) " " (SIZE.1)} {
                (axes(drawing))
                @for roof in &drawing.roofs { (line(roof)) }
                // The table of each problem says the same: no need to read it out twice.
                g.others aria-hidden="true" {
                    @for dot in drawing.dots.iter().filter(|dot| !dot.variant.chosen) { (titled(dot)) }
                }
                g.chosen {
                    @for dot in drawing.dots.iter().filter(|dot| dot.variant.chosen) {
                        a href={"#p" (dot.problem.number)} { title { (words(dot)) } (shape(dot)) }
                    }
                }
                @for roof in &drawing.roofs { (label(roof)) }
            }
            output.readout aria-hidden="true" {}
        }
    }
}

fn axes(drawing: &Roofline<'_>) -> Markup {
    let ((left, right), (bottom, top)) = (ACROSS, UPWARDS);
    html! {
        g.grid aria-hidden="true" {
            @for (x, label) in &drawing.across {
                path d={"M" (coordinate(*x)) " " (bottom) "V" (top)} {}
                text.x x=(coordinate(*x)) y=(bottom + 28.0) { (label) }
            }
            @for (y, label) in &drawing.upwards {
                path d={"M" (left) " " (coordinate(*y)) "H" (right)} {}
                text.y x=(left - 10.0) y=(coordinate(*y)) { (label) }
            }
            text.end x=(right) y=(bottom + 60.0) { "operations per byte of weights in memory" }
            text.start x="4" y=(top - 18.0) { "Gop/s" }
        }
    }
}

fn line(roof: &Roof) -> Markup {
    let [(x1, y1), (x2, y2)] = roof.line.map(|(x, y)| (coordinate(x), coordinate(y)));
    html! { path.roof d={"M" (x1) " " (y1) "L" (x2) " " (y2)} {} }
}

fn label(roof: &Roof) -> Markup {
    let (x, y) = (coordinate(roof.at.0), coordinate(roof.at.1));
    html! {
        @if roof.turn == 0.0 {
            text.roof.end.below[roof.below] x=(x) y=(y) { (roof.label) }
        } @else {
            text.roof.middle x=(x) y=(y) transform={"rotate(" (coordinate(roof.turn)) " " (x) " " (y) ")"} { (roof.label) }
        }
    }
}

/// A dot that says what it is, where that is not said by what is around it.
fn titled(dot: &Dot<'_>) -> Markup {
    html! { g { title { (words(dot)) } (shape(dot)) } }
}

/// Round or square, as its class is.
fn shape(dot: &Dot<'_>) -> Markup {
    let (x, y) = (coordinate(dot.at.0), coordinate(dot.at.1));
    html! {
        @match dot.problem.entry.key.numerics {
            Numerics::Int8 => circle cx=(x) cy=(y) {},
            Numerics::Exact => rect x=(x) y=(y) {},
        }
    }
}

/// What a dot stands for.
fn words(dot: &Dot<'_>) -> String {
    let Dot { problem, variant, .. } = dot;
    let speed = variant.gops.map_or_else(String::new, |gops| format!(", {} Gop/s", numbers::gops(gops)));
    format!(
        "{} {}: {}, {}{speed}",
        problem.entry.key.format,
        title(problem),
        variant.name,
        numbers::time(variant.time.ns as f64)
    )
}
