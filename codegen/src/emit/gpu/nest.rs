//! The loops over a block's positions, with each operation in the outermost loop that knows its operands.

use quantloom_spec::model::Format;

use super::Language;
use super::expression::{Printer, name};
use crate::Error;
use crate::ir::{Affine, Decoder, Piece};

/// Spaces of one level of indentation.
const INDENT: usize = 4;

/// Indentation at which templates place a nest: inside a function's loop over blocks.
const OUTER: usize = 2;

/// Prints what a decoder computes.
pub(super) struct Nest<'a, L> {
    pub format: &'a Format,
    pub decoder: &'a Decoder,
    /// Bytes of a stored block.
    pub block: usize,
    pub language: &'a L,
}

/// A weight, as expressions.
pub(super) struct Weight {
    /// Its position in the block.
    pub position: String,
    /// Its value, to be stored.
    pub value: String,
    /// Its value, to be the operand of another f32 operation.
    pub operand: String,
}

/// The statement that uses a weight.
pub(super) type Use<'a> = &'a dyn Fn(&Weight) -> String;

impl<L: Language> Nest<'_, L> {
    /// The statements that compute every weight of the block at `block` in order of position, and use each.
    pub(super) fn print(&self, use_weight: Use<'_>) -> Result<String, Error> {
        let mut lines = Lines { depth: OUTER, text: String::new() };
        let scoped = self.decoder.pieces.len() > 1;
        for piece in &self.decoder.pieces {
            if scoped {
                lines.open("{");
            }
            self.piece(piece, use_weight, &mut lines)?;
            if scoped {
                lines.close();
            }
        }
        Ok(lines.text)
    }

    fn piece(&self, piece: &Piece, use_weight: Use<'_>, lines: &mut Lines) -> Result<(), Error> {
        let terms = piece.loops.iter().enumerate().map(|(index, digit)| (index, digit.stride as i64)).collect();
        let position = Affine { at: piece.start as i64, terms, ..Affine::default() };
        let printer = Printer { format: self.format, block: self.block, piece, language: self.language };
        for depth in 0..=piece.loops.len() {
            if let Some(outer) = depth.checked_sub(1) {
                let digit = &piece.loops[outer];
                lines.open(&self.language.open_loop(&printer.digit(outer), digit.size));
            }
            for (index, _) in piece.ops.iter().enumerate().filter(|(_, node)| node.depth == depth) {
                lines.push(&printer.statement(index)?);
            }
        }
        let weight = piece.values.weight;
        let position = printer.affine(&position);
        lines.push(&use_weight(&Weight { position, value: name(weight), operand: printer.operand(weight) }));
        piece.loops.iter().for_each(|_| lines.close());
        Ok(())
    }
}

/// Indented text.
struct Lines {
    depth: usize,
    text: String,
}

impl Lines {
    fn push(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&" ".repeat(INDENT * self.depth));
        self.text.push_str(line);
    }

    fn open(&mut self, line: &str) {
        self.push(line);
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.push("}");
    }
}
