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
//! What is computed comes from the [`crate::ir::Decoder`]; how a language spells it from a `Language`; the rest of the text from a template.

mod expression;
mod nest;
mod table;

use quantloom_spec::gpu::Dialect;
use tera::{Context, Tera};

use crate::Error;
use crate::emit::rust::MARKER;
use crate::ir::Storage;
use crate::lower::class::SEGMENT;
use crate::plan::PlannedFormat;
use nest::Nest;
use table::Tables;

/// An f32 operation that rounds by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloatOp {
    /// Product.
    Mul,
    /// Sum.
    Add,
    /// Difference.
    Sub,
}

/// How a language spells what differs between them. Everything else is one text for all: types are called `u32`, `i32` and
/// `f32`, conversions `f32(x)`, unsigned literals `1u`, and shifts stand in parentheses.
pub(super) trait Language {
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
    let block = block_bytes(format)?;
    let nest = Nest { format: &format.card.format, decoder: &format.decoder, block, language };
    let decode = nest.print(&|weight| format!("output[first + {}] = {};", weight.position, weight.value))?;
    let gemv = nest.print(&|weight| format!("sum = fused({}, x[k + {}], sum);", weight.operand, weight.position))?;
    let tables = Tables::of(&format.decoder);
    let mut context = sizes(format, block, dialect)?;
    context.insert("marker", &format!("{MARKER} from formats/{}: do not edit.", format.card.file));
    context.insert("name", &format.card.format.name);
    context.insert("doc", &format.card.format.doc);
    context.insert("helpers", &helpers(&gemv));
    context.insert("decode", &decode);
    context.insert("gemv", &gemv);
    context.insert("tables", &tables.lookups());
    context.insert("table_words", &tables.words.len());
    context.insert("table_lines", &tables.lines());
    let text = Tera::one_off(template, &context, false).expect("the templates of this crate print with this context");
    Ok(Module { text, tables: tables.words })
}

/// Bytes of a stored block, for formats that are rows of blocks and nothing else.
fn block_bytes(format: &PlannedFormat) -> Result<usize, Error> {
    match format.decoder.storage {
        Storage::Rows { header: 0, block } => Ok(block),
        Storage::Rows { .. } | Storage::Tensors { .. } => {
            Err(Error::unsupported(&format.card.format, "row headers and separate tensors on a graphics processor"))
        }
    }
}

/// The numbers that a template prints.
fn sizes(format: &PlannedFormat, block: usize, dialect: &Dialect) -> Result<Context, Error> {
    let weights = format.decoder.weights;
    if !SEGMENT.is_multiple_of(weights) {
        let what = format!("blocks of {weights} weights, which straddle segments of {SEGMENT}");
        return Err(Error::unsupported(&format.card.format, &what));
    }
    let mut context = Context::new();
    context.insert("workgroup", &dialect.workgroup);
    context.insert("block_weights", &weights);
    context.insert("block_bytes", &block);
    context.insert("segment", &SEGMENT);
    context.insert("segment_blocks", &(SEGMENT / weights));
    Ok(context)
}

/// The functions that a template defines if a nest calls them.
const HELPERS: [&str; 10] =
    ["load8", "load16", "load32", "bits_of_wide", "bits_as_f32", "trit", "f16", "power_of_two", "ue4m3", "rounded"];

fn helpers(nest: &str) -> Vec<&'static str> {
    HELPERS.into_iter().filter(|helper| nest.contains(&format!("{helper}("))).collect()
}
