//! Diagnostics with the lines of the card that they are about.

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Label, Source};
use crate::text::escaped;

/// The text of one of them.
pub fn render(diagnostic: &Diagnostic, styled: bool) -> String {
    let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    let notes = diagnostic.notes.iter().map(|note| Element::from(Level::NOTE.message(escaped(note))));
    let help = diagnostic.help.iter().map(|help| Element::from(Level::HELP.message(escaped(help))));
    let report = Level::ERROR.primary_title(escaped(&diagnostic.message)).element(picture(diagnostic));
    renderer.render(&[report.elements(notes.chain(help))])
}

fn picture(diagnostic: &Diagnostic) -> Element<'_> {
    let Source { path, text } = &*diagnostic.source;
    let Some(place) = &diagnostic.place else {
        return Origin::path(escaped(path)).into();
    };
    let mark = |kind: AnnotationKind, label: &Label| {
        let words = (!label.text.is_empty()).then(|| escaped(&label.text));
        kind.span(label.span.range_in(text)).label(words)
    };
    Snippet::source(text)
        .path(escaped(path))
        .annotation(mark(AnnotationKind::Primary, place))
        .annotations(diagnostic.context.iter().map(|label| mark(AnnotationKind::Context, label)))
        .into()
}
