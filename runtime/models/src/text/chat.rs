//! Chat templates: how a conversation is written as the one text that a model was trained on.

use std::path::PathBuf;
use std::{panic, thread};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, ErrorKind, State, context, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;
use quantloom::gguf::Gguf;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::tokenizer::Tokenizer;
use super::vocabulary::{self, AGAIN};
use super::wrong;
use crate::error::{Error, Result};

/// The key of the template.
const KEY: &str = "tokenizer.chat_template";

/// Steps that a template may take: many times those of a long conversation. A step makes, reads or writes 64 bytes.
const FUEL: u64 = 2_000_000;

/// How deep the values may lie in each other that are written as text.
const DEPTH: usize = 100;

/// Stack that a template may take: it may put values into each other in every few of its steps, and comparing or forgetting them takes some for each.
const STACK: usize = 512 << 20;

/// Most of what a template says that is shown.
const SHOWN: usize = 300;

/// A part of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it: `system`, `user` or `assistant`, as templates call them.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    /// What templates see.
    fn value(&self) -> Value {
        Value::from_pairs([("role", self.role.as_str()), ("content", self.content.as_str())])
    }
}

/// The chat template of a model.
///
/// ```
/// # use quantloom::gguf::{Array, GgufWriter, Value};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.gguf");
/// # let texts = |texts: &[&str]| Value::Array(Array::String(texts.iter().map(|&text| text.to_owned()).collect()));
/// # let text = |text: &str| Value::String(text.to_owned());
/// # let template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
/// # let metadata = [
/// #     ("tokenizer.ggml.model", text("gpt2")), ("tokenizer.ggml.pre", text("gpt-2")), ("tokenizer.chat_template", text(template)),
/// #     ("tokenizer.ggml.tokens", texts(&["a", "</s>"])), ("tokenizer.ggml.merges", texts(&[])),
/// # ];
/// # GgufWriter::create(&path, &metadata.map(|(key, value)| (key.to_owned(), value)), &[])?.finish()?;
/// use quantloom::gguf::Gguf;
/// use quantloom_models::text::{Chat, Message, Tokenizer};
///
/// let file = Gguf::open(&path)?;
/// let chat = Chat::of(&file, &Tokenizer::of(&file)?)?;
/// let text = chat.prompt(&[Message::new("user", "Hello!")])?;
/// assert_eq!(text, "<user>Hello!</s><assistant>");
/// # Ok::<(), quantloom_models::Error>(())
/// ```
#[derive(Debug)]
pub struct Chat {
    path: PathBuf,
    environment: Environment<'static>,
    begin: String,
    end: String,
}

impl Chat {
    /// The template of a file.
    ///
    /// # Errors
    /// [`Error::Model`] if it has none, or one that cannot be read.
    pub fn of(file: &Gguf, tokenizer: &Tokenizer) -> Result<Self> {
        let Some(template) = vocabulary::text(file, KEY)? else {
            let detail = format!(
                "it has no chat template (no key {KEY:?}); take a model that was trained to chat, or give it plain text to go on from"
            );
            return Err(wrong(file, &detail));
        };
        let read = environment().and_then(|mut environment| {
            environment.add_template_owned(KEY, template.to_owned())?;
            Ok(environment)
        });
        let read =
            read.map_err(|error| wrong(file, &format!("key {KEY:?}: the template cannot be read: {}; {AGAIN}", told(&error))));
        let name = |token: Option<u32>| {
            token.map_or_else(String::new, |token| String::from_utf8_lossy(tokenizer.piece(token)).into_owned())
        };
        Ok(Self {
            path: file.path().to_owned(),
            environment: read?,
            begin: name(tokenizer.begin()),
            end: name(tokenizer.end()),
        })
    }

    /// A conversation as the text after which the model answers. Names of control tokens in it are those tokens: see
    /// [`Tokenizer::prompt`].
    ///
    /// # Errors
    /// [`Error::Model`] if the template fails, as many do for roles that the model does not know.
    pub fn prompt(&self, messages: &[Message]) -> Result<String> {
        self.render(messages, true)
    }

    fn render(&self, messages: &[Message], answers: bool) -> Result<String> {
        let values = context! {
            messages => Value::from_iter(messages.iter().map(Message::value)), add_generation_prompt => answers, bos_token => self.begin.as_str(), eos_token => self.end.as_str(), tools => (), documents => (),
        };
        rendered(&self.environment, values).map_err(|why| {
            let detail =
                format!("key {KEY:?}: the template fails: {why}; change the messages, or give plain text to go on from");
            Error::model(&self.path, detail)
        })
    }
}

/// What the template of an environment makes of values, or why it fails.
fn rendered(environment: &Environment<'_>, values: Value) -> Result<String, String> {
    let render = || {
        let rendered = environment.get_template(KEY).and_then(|template| template.render(values));
        rendered.map_err(|error| told(&error))
    };
    thread::scope(|scope| {
        let running = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, render);
        let running = running.map_err(|error| format!("no thread to render it on: {error}"))?;
        running.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// The control token that the template of a file puts behind what the model says, if it has a template that can be used, and puts one.
pub fn end_of_turn(file: &Gguf, tokenizer: &Tokenizer) -> Option<u32> {
    const ANSWER: &str = "This is an answer.";
    let chat = Chat::of(file, tokenizer).ok()?;
    let text = chat.render(&[Message::new("user", "This is a question."), Message::new("assistant", ANSWER)], false).ok()?;
    let (_, behind) = text.rsplit_once(ANSWER)?;
    tokenizer.control_at_start(behind.trim_start())
}

/// An environment in which templates find what they are written for.
fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(|state, value, method, arguments| {
        // What a method reads of a text is paid for, but not what it reads of a list.
        if value.kind() != ValueKind::String {
            state.consume_fuel(value.len().unwrap_or(0) as u64)?;
        }
        unknown_method_callback(state, value, method, arguments)
    });
    environment.add_filter("tojson", |state: &State<'_, '_>, value: Value, kwargs: Kwargs| {
        pay(state, &value, DEPTH)?;
        json(&value, &kwargs)
    });
    environment.set_formatter(|out, state, value| {
        if value.kind() != ValueKind::String {
            pay(state, value, DEPTH)?;
        }
        escape_formatter(out, state, value)
    });
    environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| {
        let now = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC);
        let text = jiff::fmt::strtime::format(&format, &now);
        text.map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    Ok(environment)
}

/// What went wrong with a template, in one line.
fn told(error: &minijinja::Error) -> String {
    let mut text = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text += "...";
    }
    if let Some(line) = error.line() {
        text += &format!(" (line {line})");
    }
    text
}

/// Takes the steps that a value costs before it is written as text, for one that is in many places is written as often.
fn pay(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<(), minijinja::Error> {
    state.consume_fuel(1 + value.as_str().map_or(0, str::len) as u64 / 4)?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(());
    }
    let Some(depth) = depth.checked_sub(1) else {
        let why = format!("values are written that lie more than {DEPTH} deep in each other");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, why));
    };
    for item in value.try_iter()? {
        pay(state, &item, depth)?;
        if value.kind() == ValueKind::Map {
            pay(state, &value.get_item(&item)?, depth)?;
        }
    }
    Ok(())
}

/// JSON as templates expect it: for models, not for HTML, with spaces as Python's `json.dumps` puts them.
fn json(value: &Value, kwargs: &Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    // Others that transformers knows; texts are never escaped beyond what JSON asks for.
    let (_, _): (Option<bool>, Option<Value>) = (kwargs.get("ensure_ascii")?, kwargs.get("separators")?);
    kwargs.assert_all_used()?;
    let mut bytes = Vec::new();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced(CompactFormatter))),
        Some(indent) => {
            let spaces = " ".repeat(indent.min(16));
            value.serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(spaces.as_bytes())))
        }
    };
    written.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// On one line, with a space behind each comma and colon.
struct Spaced(CompactFormatter);

impl Formatter for Spaced {
    fn begin_array_value<W: std::io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a template makes of two messages.
    fn made(template: &str) -> Result<String, String> {
        let messages = [Message::new("system", "<b>&\"é\""), Message::new("user", " Hi ")];
        let mut environment = environment().unwrap();
        environment.add_template_owned(KEY, template.to_owned()).map_err(|error| told(&error))?;
        let messages = Value::from_iter(messages.iter().map(Message::value));
        rendered(&environment, context! { messages => messages, bos_token => "<s>", tools => () })
    }

    #[test]
    fn templates_find_what_they_are_written_for() {
        for (template, wanted) in [
            (
                "{{ bos_token }}{% for m in messages %}\n  {% if m.role == 'user' %}\n[{{ m.content.strip() }}]\n  {% endif %}\n{% endfor %}",
                "<s>[Hi]\n",
            ),
            ("{{ messages[0] | tojson }}", r#"{"role": "system", "content": "<b>&\"é\""}"#),
            ("{{ [1, {'a': none}] | tojson(indent=2) }}", "[\n  1,\n  {\n    \"a\": null\n  }\n]"),
            ("{{ messages[0]['content'] }}{{ messages[1].content.startswith(' ') }}", "<b>&\"é\"True"),
            ("{% if tools is none %}none{% endif %}{% if not tools %} given{% endif %}", "none given"),
            (
                "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% if ns.n == 1 %}{% continue %}{% endif %}{{ ns.n }}{% endfor %}",
                "2",
            ),
            ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') }}{{ messages[1:] | length }}", "<a>1"),
        ] {
            assert_eq!(made(template).unwrap(), wanted, "{template}");
        }
        assert_eq!(made("{{ strftime_now('%Y') }}").unwrap().len(), 4);
    }

    #[test]
    fn what_fails_is_told_in_one_line() {
        for (template, wanted) in [
            ("a\n{{ raise_exception('roles must alternate') }}", "invalid operation: roles must alternate (line 2)"),
            ("{% for m in %}", "syntax error: "),
            ("{{ messages.nothing.more }}", "undefined value"),
            (
                "{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}",
                "engine ran out of fuel",
            ),
            ("{{ strftime_now('%!') }}", "invalid operation: "),
        ] {
            let why = made(template).unwrap_err();
            assert!(why.starts_with(wanted) && !why.contains('\n'), "{template}: {why}");
        }
    }
    /// Templates come with files: whatever they do ends soon, and takes little memory and no more stack than there is.
    #[test]
    fn templates_have_bounds() {
        let nested = "{% set ns = namespace(x=0, y=0) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}";
        let doubled = "{% set ns = namespace(x='a', y='a') %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}";
        let long = "{% set s = 'ab' * 10000000 %}";
        for (begin, end, wanted) in [
            (nested, "", ""),
            (nested, "{{ ns.x | tojson }}", "invalid operation: values are written that lie more than 100 deep"),
            (nested, "{{ ns.x }}", "invalid operation: values are written that lie more than 100 deep"),
            (nested, "{% if ns.x == ns.y %}equal{% endif %}", "equal"),
            (doubled, "{{ ns.x | tojson }}", "engine ran out of fuel"),
            (doubled, "{{ ns.x }}", "engine ran out of fuel"),
            (
                "{% set s = range(100000) | list %}",
                "{% for i in range(100000) %}{% if s.count(-1) %}a{% endif %}{% endfor %}",
                "engine ran out of fuel",
            ),
            (long, "{{ raise_exception(s) }}", "invalid operation: ababab"),
            ("{% macro f(x) %}{{ f(x) }}{% endmacro %}", "{{ f(1) }}", "invalid operation: recursion limit exceeded"),
        ] {
            let text = made(&format!("{begin}{end}")).unwrap_or_else(|why| why);
            assert!(text.starts_with(wanted) && text.len() < 400, "{end}: {text}");
        }
    }
}
