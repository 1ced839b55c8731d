//! Families: one card for formats that differ in a number, a word or a map or two. A member is the card with one value of each
//! parameter in its place, and is read like any other card.

use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Sink, Source, Span};
use crate::walk::{At, Node, check_identifier, read_document};

/// Most formats of a card.
const MAX_MEMBERS: usize = 256;
/// How often a value may bring in others.
const MAX_ROUNDS: usize = 4;

/// A card to be read: all of it, or a member of its family.
pub(crate) struct Member {
    /// The card, with the values in their places.
    pub source: Arc<Source>,
    /// Which values, if it is a member of a family.
    pub values: Option<String>,
    /// Where the card gives its name.
    pub name: Span,
}

/// A list of values of which a member has one.
struct Parameter {
    name: String,
    values: Vec<Value>,
}

/// A value as the card writes it.
struct Value {
    /// With quotes and brackets.
    written: String,
    /// What stands within a longer text, if it can.
    shown: Option<String>,
    /// The values of a table.
    parts: Vec<(String, Self)>,
}

/// The members of a card's family; of a card without one, the card.
pub(crate) fn members(source: &Arc<Source>) -> Result<Vec<Member>, Diagnostics> {
    let read = |mut card: crate::walk::Table<'_>, sink: &mut Sink| {
        let name = card.get("name").map(|node| node.span).unwrap_or_default();
        let Some(family) = card.get("family") else { return Some((name, None)) };
        let parameters = read_parameters(&family, sink)?;
        Some((name, Some(parameters)))
    };
    let (name, parameters) = read_document(Arc::clone(source), "the card", read)?;
    let Some(parameters) = parameters else {
        return Ok(vec![Member { source: Arc::clone(source), values: None, name }]);
    };
    choices(&parameters).map(|choice| member(source, name, &choice)).collect()
}

/// The member that has a name; of a card without a family, the card, whatever its name. The other members are not put together: where
/// every format is looked up by its name, that took as long as all of them squared.
pub(crate) fn member_named(source: &Arc<Source>, wanted: &str) -> Result<Option<Member>, Diagnostics> {
    let read = |mut card: crate::walk::Table<'_>, sink: &mut Sink| {
        let name = card.need("name")?;
        let (span, Some(family)) = (name.span, card.get("family")) else { return Some((name.span, None)) };
        let (template, parameters) = (name.text(sink)?, read_parameters(&family, sink)?);
        let chosen = choices(&parameters).position(|choice| put_all(&choice, &template, sink) == wanted);
        Some((span, Some((parameters, chosen))))
    };
    let (name, family) = read_document(Arc::clone(source), "the card", read)?;
    let Some((parameters, chosen)) = family else {
        return Ok(Some(Member { source: Arc::clone(source), values: None, name }));
    };
    let choice = chosen.and_then(|chosen| choices(&parameters).nth(chosen));
    choice.map(|choice| member(source, name, &choice)).transpose()
}

fn read_parameters(family: &Node<'_>, sink: &mut Sink) -> Option<Vec<Parameter>> {
    let before = sink.count();
    let mut parameters = Vec::new();
    for (name, node) in family.named(sink)? {
        check_identifier(At { span: name.span, value: &name.value }, false, sink);
        let values = node.list(sink).unwrap_or_default();
        if values.is_empty() && node.is_list() {
            sink.error(node.span, format!("{} has no values", node.name()));
        }
        let values = values.iter().map(|node| Value::read(node, sink)).collect();
        parameters.push(Parameter { name: name.value, values });
    }
    let count = parameters.iter().try_fold(1_usize, |count, parameter| count.checked_mul(parameter.values.len()));
    if count.is_none_or(|count| count > MAX_MEMBERS) {
        sink.error(family.span, format!("a family has at most {MAX_MEMBERS} members"));
    }
    (sink.count() == before).then_some(parameters)
}

impl Value {
    fn read(node: &Node<'_>, sink: &mut Sink) -> Self {
        let written = node.written(sink);
        if node.is_table() {
            let parts = node.named(sink).unwrap_or_default();
            let parts = parts.into_iter().map(|(key, node)| (key.value, Self::read(&node, sink))).collect();
            return Self { written, shown: None, parts };
        }
        let shown = if node.is_text() {
            node.text(sink).map(|text| text.value.to_owned())
        } else {
            node.is_integer().then(|| written.clone())
        };
        Self { written, shown, parts: Vec::new() }
    }
}

/// Every choice of one value for each parameter, the last of which changes fastest.
fn choices(parameters: &[Parameter]) -> impl Iterator<Item = Vec<(&str, &Value)>> {
    let count = parameters.iter().map(|parameter| parameter.values.len()).product();
    (0..count).map(|mut number: usize| {
        let mut choice: Vec<_> = parameters
            .iter()
            .rev()
            .map(|Parameter { name, values }| {
                let value = &values[number % values.len()];
                number /= values.len();
                (name.as_str(), value)
            })
            .collect();
        choice.reverse();
        choice
    })
}

fn member(source: &Arc<Source>, name: Span, choice: &[(&str, &Value)]) -> Result<Member, Diagnostics> {
    let mut source = Arc::clone(source);
    let mut rounds = 0;
    loop {
        let text = read_document(Arc::clone(&source), "the card", |card, sink| Some(put(choice, card.texts("family"), sink)))?;
        if text == source.text {
            break;
        }
        if rounds == MAX_ROUNDS {
            return Err(Diagnostics::of_file(&source.path, "the values of the family bring in one another without end"));
        }
        (source, rounds) = (Source::shared(&source.path, &text), rounds + 1);
    }
    let values = choice.iter().map(|(name, value)| format!("{name} = {}", value.written)).collect::<Vec<_>>().join(", ");
    Ok(Member { source, values: Some(values), name })
}

/// The card with values in place of the texts that name parameters.
fn put(choice: &[(&str, &Value)], mut texts: Vec<At<&str>>, sink: &mut Sink) -> String {
    texts.sort_by_key(|text| text.span);
    let (mut card, mut done) = (String::new(), 0);
    for At { span, value } in texts {
        card += &sink.text()[done..span.start];
        let written = sink.text()[span.start..span.end].to_owned();
        card += &match value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|name| !name.contains('{')) {
            Some(name) => find(choice, name, span, sink).map(|value| value.written.clone()).unwrap_or_default(),
            None => put_within(choice, &written, span, sink),
        };
        done = span.end;
    }
    card + &sink.text()[done..]
}

/// A text, with what values say in place of the names of their parameters.
fn put_within(choice: &[(&str, &Value)], written: &str, span: Span, sink: &mut Sink) -> String {
    let (mut text, mut rest) = (String::new(), written);
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, inner)| Some((before, inner.split_once('}')?)))
    {
        text += before;
        if let Some(value) = find(choice, name, span, sink) {
            match &value.shown {
                Some(shown) => text += shown,
                None => {
                    sink.error(span, format!("the value of `{{{name}}}` is no text and no integer"))
                        .help("a text that is nothing but the name of the parameter stands for any value");
                }
            }
        }
        rest = after;
    }
    text + rest
}

/// A text with what values say in place of the names of parameters, and in place of those that they bring in.
fn put_all(choice: &[(&str, &Value)], template: &At<&str>, sink: &mut Sink) -> String {
    let put = |text: String, _| put_within(choice, &text, template.span, sink);
    (0..=MAX_ROUNDS).fold(template.value.to_owned(), put)
}

/// The value that a name means: of a parameter, or a part of one behind a dot.
fn find<'v>(choice: &[(&str, &'v Value)], name: &str, span: Span, sink: &mut Sink) -> Option<&'v Value> {
    let (parameter, path) = name.split_once('.').map_or((name, None), |(parameter, path)| (parameter, Some(path)));
    let Some(&(_, value)) = choice.iter().find(|(known, _)| *known == parameter) else {
        let error = sink.error(span, format!("the family has no parameter `{parameter}`"));
        error.suggest(parameter, "parameters", choice.iter().map(|(name, _)| *name));
        return None;
    };
    let Some(path) = path else { return Some(value) };
    let part = value.parts.iter().find(|(known, _)| known == path);
    if part.is_none() {
        let error = sink.error(span, format!("this value of `{parameter}` has no part `{path}`"));
        error.note(format!("the value is {}", value.written));
        error.suggest(path, "parts", value.parts.iter().map(|(name, _)| name.as_str()));
    }
    part.map(|(_, value)| value)
}
