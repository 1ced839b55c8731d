//! A format drawn bit by bit, as text for people.

mod layout;
mod words;

use std::collections::BTreeSet;

use crate::model::{Blocks, Field, Format, Home, Piece, Storage, Tensors};

use layout::Class;
use words::{formula, parts, span};

/// Columns of a terminal or page that the drawing fits.
const COLUMNS: usize = 100;

/// Draws a format: what a weight is made of, and who owns each bit of each field, highest bit first.
#[must_use]
pub fn draw(format: &Format) -> String {
    let mut page = Page::default();
    page.line("", &heading(format));
    page.gap();
    for piece in format.pieces.iter().filter(|piece| !piece.digits.is_empty()) {
        page.line("weight = ", &position(piece, format.pieces.len()));
    }
    if let Storage::Tensors(tensors) = &format.storage {
        page.line("row    = ", &words::digits(&tensors.rows));
    }
    page.line("value  = ", &words::value(format));
    let roots = parts(format).into_iter().filter(|part| part.depth == 0);
    let mut formulas: Vec<_> = roots.map(|part| (part.root, formula(format, part.number))).collect();
    formulas.dedup();
    for (root, formula) in formulas {
        page.line(&format!("{root:6} = "), &formula);
    }
    match &format.storage {
        Storage::Blocks(blocks) => page.blocks(format, blocks),
        Storage::Tensors(tensors) => page.tensors(format, tensors),
    }
    page.text
}

fn heading(format: &Format) -> String {
    let Some((blocks, bits)) = format.blocks().zip(format.bits_per_weight()) else {
        return format!("{}: separate tensors", format.name);
    };
    let weights = if blocks.weights == 1 { "weight" } else { "weights" };
    let row = if blocks.header == 0 { String::new() } else { format!("; {} bytes before each row", blocks.header) };
    format!("{}: {} {weights} in {} bytes, {bits} bits per weight{row}", format.name, blocks.weights, blocks.bytes)
}

/// The digits of a weight's position, and which weights have them if the block has several pieces.
fn position(piece: &Piece, pieces: usize) -> String {
    let digits = words::digits(&piece.digits);
    if pieces == 1 {
        return digits;
    }
    let start = if piece.start == 0 { String::new() } else { format!("{} + ", piece.start) };
    format!("{start}{digits} for weights {}", span(piece.start, piece.end - 1))
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A line that starts with `head`; what does not fit goes on below, under its start.
    fn line(&mut self, head: &str, body: &str) {
        let indent = " ".repeat(head.chars().count());
        let mut line = head.to_owned();
        let mut filled = false;
        for word in body.split(' ') {
            if filled && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.push(&line);
                line.clone_from(&indent);
                filled = false;
            }
            if filled {
                line.push(' ');
            }
            line.push_str(word);
            filled = true;
        }
        self.push(&line);
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn blocks(&mut self, format: &Format, blocks: &Blocks) {
        let width = blocks.fields.iter().map(|field| field.name.len()).max().unwrap_or(0) + 2;
        let mut fields: Vec<_> = blocks.fields.iter().zip(layout::classes(format)).collect();
        fields.sort_by_key(|(field, _)| (field.home == Home::Block, field.at));
        for (field, classes) in fields {
            let name = format!("{:width$}", field.name);
            self.gap();
            if field.sums {
                let share = blocks.weights / field.count.unwrap_or(1);
                self.line(&name, &format!("{}: sums of {share} codes each, never read", place(field)));
            } else {
                let item = if field.stream { "from item" } else { "item =" };
                self.field(&name, &place(field), &classes, field.count.map(|_| item));
            }
        }
    }

    fn tensors(&mut self, format: &Format, tensors: &Tensors) {
        let width = tensors.tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0) + 2;
        for (tensor, classes) in tensors.tensors.iter().zip(layout::classes(format)) {
            let item = match (tensor.stream, words::place(&tensor.axes)) {
                (_, item) if item.is_empty() => ", one item".to_owned(),
                (Some(axis), item) => format!(", from item {item} on along axis {axis}"),
                (None, item) => format!(", item {item}"),
            };
            self.gap();
            self.field(&format!("{:width$}", tensor.name), &format!("{}{item}", tensor.element), &classes, None);
        }
    }

    /// A field: one line if a single owner has whole items, else a picture of each class of items. The place of an array's
    /// items comes after the words `item`.
    fn field(&mut self, name: &str, place: &str, classes: &[Class], item: Option<&str>) {
        let indent = " ".repeat(name.len());
        let items: BTreeSet<&str> = classes.iter().flat_map(|class| &class.lines).map(|line| line.item.as_str()).collect();
        let common = item.zip(items.first()).filter(|_| items.len() == 1);
        let shown = common.map_or_else(String::new, |(words, item)| format!(", {words} {item}"));
        if let [Class { lines, .. }] = classes
            && let [line] = lines.as_slice()
        {
            self.line(name, &format!("{place}{shown}: {}", line.text));
            return;
        }
        self.line(name, &format!("{place}{shown}"));
        for class in classes {
            if classes.len() > 1 {
                self.line(&indent, &class.items);
            }
            self.class(&indent, class, item.filter(|_| common.is_none()));
        }
    }

    /// The bits of an item as a strip of letters, and what each letter stands for.
    fn class(&mut self, indent: &str, class: &Class, item: Option<&str>) {
        if class.strip.is_empty() {
            for line in &class.lines {
                let item = item.map_or_else(String::new, |words| format!(", {words} {}", line.item));
                self.line(indent, &format!("{}{item}", line.text));
            }
            return;
        }
        self.line(indent, &class.strip);
        let letters = class.lines.iter().map(|line| line.letters.len()).max().unwrap_or(0);
        let places: Vec<String> = class.lines.iter().map(|line| bits(line.low, line.high)).collect();
        let width = places.iter().map(String::len).max().unwrap_or(0);
        let owners = class.lines.iter().map(|line| line.text.len()).max().unwrap_or(0);
        for (line, place) in class.lines.iter().zip(places) {
            let head = format!("{indent}{:letters$}  {place:width$}  ", line.letters);
            if let Some(words) = item {
                self.line(&format!("{head}{:owners$}  ", line.text), &format!("{words} {}", line.item));
            } else {
                self.line(&head, &line.text);
            }
        }
    }
}

/// The bytes of a field in its block or row, and its type.
fn place(field: &Field) -> String {
    let size = field.element.bits() as usize / 8 * field.count.unwrap_or(1);
    let bytes = if size == 1 { "byte" } else { "bytes" };
    let count = field.count.map_or_else(String::new, |count| format!("[{count}]"));
    let of = if field.home == Home::Row { " of the row" } else { "" };
    format!("{bytes} {}{of}, {}{count}", span(field.at, field.at + size - 1), field.element)
}

fn bits(low: u32, high: u32) -> String {
    if low == high { format!("bit {low}") } else { format!("bits {low}-{high}") }
}
