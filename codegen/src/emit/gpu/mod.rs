//! What the languages of graphics processors share: one walk over the neutral form, and the parts that templates print.
//!
//! A module has three entry points.
//!
//! - `decode`: one thread per block, storage bytes to f32.
//! - `gemv_exact`: one vector times the weights in the numerics class `exact`. A thread takes one row through a run of segments,
//!   neighbouring threads take neighbouring rows, and each segment's sum goes to memory as `partials[segment][row]`. The second
//!   axis of the launch is the split of K: it decides which group computes a segment, never how, so every split gives the same
//!   bits.
//! - `reduce`: adds the partial sums of a row from the first segment to the last, starting from +0.
//!
//! What is computed comes from the [`Decoder`]; how a language spells it from a [`Language`]; the rest of the text from a template.

mod expression;
mod nest;
mod table;

use quantloom_spec::gpu::Dialect;
use tera::{Context, Tera};

use crate::Error;
use crate::emit::rust::MARKER;
use crate::ir::Decoder;
use crate::lower::class::SEGMENT;
use crate::plan::PlannedFormat;
use nest::Nest;
use table::Tables;

/// An f32 operation that rounds by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatOp {
    /// Product.
    Mul,
    /// Sum.
    Add,
    /// Difference.
    Sub,
}

/// How a language spells what differs between them. Everything else is one text for all: types are called `u32`, `i32` and
/// `f32`, conversions `f32(x)`, unsigned literals `1u`, and shifts stand in parentheses.
pub trait Language {
    /// Declares a value of a type that stays as it is.
    fn bind(&self, kind: &str, name: &str, value: &str) -> String;

    /// Opens a loop of a counter from 0 to `size - 1`.
    fn open_loop(&self, counter: &str, size: usize) -> String;

    /// One f32 operation.
    fn float(&self, op: FloatOp, a: &str, b: &str) -> String;

    /// The result of an f32 operation as the operand of another one, in such a form that the two cannot become one.
    fn rounded(&self, value: &str) -> String;
}

/// A module's text, and the words that its tables are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The source text.
    pub text: String,
    /// The tables that the text looks up, for languages that bind them from outside; empty for a format without tables.
    pub tables: Vec<u32>,
}

/// Prints the module of a format with a template.
pub(super) fn module(
    format: &PlannedFormat,
    dialect: &Dialect,
    language: &impl Language,
    template: &str,
) -> Result<Module, Error> {
    let decoder = &format.decoder;
    let blocks_of_segment = whole_blocks(format)?;
    let nest = Nest { format: &format.card.format, decoder, language };
    let decode = nest.print(&|weight| format!("output[first + {}] = {};", weight.position, weight.value))?;
    let gemv = nest.print(&|weight| format!("sum = fused({}, x[k + {}], sum);", weight.operand, weight.position))?;
    let tables = Tables::of(decoder);
    let mut context = Context::new();
    context.insert("marker", &format!("{MARKER} from formats/{}: do not edit.", format.card.file));
    context.insert("name", &format.card.format.name);
    context.insert("doc", &format.card.format.doc);
    context.insert("block_weights", &decoder.weights);
    context.insert("block_bytes", &decoder.bytes);
    context.insert("segment", &SEGMENT);
    context.insert("segment_blocks", &blocks_of_segment);
    context.insert("workgroup", &dialect.workgroup);
    context.insert("helpers", &helpers(&gemv));
    context.insert("tables", &tables.lookups());
    context.insert("table_words", &tables.words.len());
    context.insert("table_lines", &tables.lines());
    context.insert("decode", &decode);
    context.insert("gemv", &gemv);
    let text = Tera::one_off(template, &context, false).expect("the templates of this crate print with this context");
    Ok(Module { text, tables: tables.words })
}

/// Blocks of a segment, which are a whole number for every sane block.
fn whole_blocks(format: &PlannedFormat) -> Result<usize, Error> {
    let Decoder { weights, .. } = format.decoder;
    if SEGMENT % weights == 0 {
        return Ok(SEGMENT / weights);
    }
    Err(Error::unsupported(&format.card.format, &format!("blocks of {weights} weights, which do not divide a segment of {SEGMENT}")))
}

/// The functions that a template defines if a nest calls them.
const HELPERS: [&str; 10] =
    ["load8", "load16", "load32", "bits_of_wide", "bits_as_f32", "trit", "f16", "power_of_two", "ue4m3", "rounded"];

fn helpers(nest: &str) -> Vec<&'static str> {
    HELPERS.into_iter().filter(|helper| nest.contains(&format!("{helper}("))).collect()
}
