//! Kernels for graphics processors that anyone can take: one text without includes, the same but for its first lines in CUDA, HIP, Metal and
//! OpenCL C, and what a host must know to launch what is in it.
//!
//! Weights are in panels of 32 rows: [`crate::lower::panels`] packs them. Entry points:
//!
//! - `quantise`: activations as `int8` wants them; `pad`: as `exact` does, zeros behind the last.
//! - `gemv_int8_C` and `gemv_exact_C`: the product with C columns at a time. A thread has a row. The warps of a group take segments by turns,
//!   whose sums are added in order; where several groups share K, each segment's sum goes to memory instead.
//! - `gemm_int8_C`, in CUDA: the same with C columns at a time by instructions that multiply matrices. A warp has a panel.
//! - `reduce`: adds those in order, then a bias and a residual, where there are such.
//! - `rms_norm`: what comes before `quantise` or `pad`, where there is a norm.
//! - `decode`: the weights as f32, row after row, with the bits that a processor decodes packed weights to.
//!
//! So the result of a column depends neither on the batch nor on how K is shared out.

mod fragments;
mod manifest;
mod print;
mod spelling;

use quantloom_abi::PARTIAL_SUMS;
use quantloom_abi::panels::{HELPERS, PanelKernels};
use quantloom_spec::gpu::{self, Dialect};
use quantloom_spec::kernels::Numerics;
use quantloom_spec::model::Format;
use serde::Serialize;
use tera::{Context, Tera};

use crate::Error;
use crate::emit::rust::MARKER;
use crate::kernel::threads::Threads;
use crate::lower::class::{Class, Codes, SEGMENT, Uncovered};
use crate::lower::layout::{PackedLayout, SUBS};
use crate::lower::panels::interleave;
use crate::lower::planes::{CHUNK, ROWS};
pub use manifest::{Activations, Argument, Entry, Field, Manifest, Panels};
use print::Printer;
use spelling::{C, Spelling, Wgsl};

/// The skeleton of a module in C.
const SKELETON: &str = include_str!("../../../templates/device/module.tera");
/// What a module has besides where the language has words for products of matrices.
const FRAGMENTS: &str = include_str!("../../../templates/device/fragments.tera");
/// The skeleton of a module in WGSL.
const WGSL: &str = include_str!("../../../templates/device/wgsl.tera");
/// What units are decoded with there, and a multiply-add made of integers.
const WGSL_WORDS: &str = concat!(
    include_str!("../../../templates/device/wgsl_words.tera"),
    "\n",
    include_str!("../../../templates/device/wgsl_fma.tera")
);
const LANGUAGES: [Language; 5] = [
    Language { matrices: true, ..c("cuda", "cu", include_str!("../../../templates/device/cuda.tera")) },
    c("hip", "hip", include_str!("../../../templates/device/hip.tera")),
    c("metal", "metal", include_str!("../../../templates/device/metal.tera")),
    c("opencl", "cl", include_str!("../../../templates/device/opencl.tera")),
    Language { name: WGSL_NAME, extension: "wgsl", skeleton: WGSL, prelude: WGSL_WORDS, spelling: &Wgsl, matrices: false },
];

/// One that is C but for its first lines.
const fn c(name: &'static str, extension: &'static str, prelude: &'static str) -> Language {
    Language { name, extension, skeleton: SKELETON, prelude, spelling: &C, matrices: false }
}

/// The language of which compilers know too much: it has a zero from the launch.
const WGSL_NAME: &str = "wgsl";

/// A language that modules are printed in.
struct Language {
    name: &'static str,
    extension: &'static str,
    skeleton: &'static str,
    /// What it is begun with, or needs besides.
    prelude: &'static str,
    spelling: &'static dyn Spelling,
    /// Whether it has words for products of matrices.
    matrices: bool,
}

/// Vectors of 16 bytes of what a row has of its steps, at most.
const SUB_VECTORS: usize = 4;

/// Columns that a product takes at a time.
pub const COLUMNS: [usize; 4] = [1, 2, 4, 8];

/// The languages that modules are printed in.
pub fn targets() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().map(|language| language.name)
}

/// A module, and what a host must know of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Module {
    /// The source text.
    pub text: String,
    /// What files with such texts end with.
    pub extension: &'static str,
    /// What is in it.
    pub manifest: Manifest,
}

/// A product, as the skeleton wants it.
#[derive(Serialize)]
struct Product {
    name: String,
    columns: usize,
    int8: bool,
    /// Whether it needs the sums of quants.
    sums: bool,
    clear: String,
    unit: String,
}

/// The module of a format in one of [`targets`], as the card says that quantloom ships for it.
///
/// # Errors
/// There is no such language; no kernel covers the format.
pub fn module(format: &Format, target: &str) -> Result<Module, Error> {
    let language = LANGUAGES.iter().find(|language| language.name == target).ok_or_else(|| unknown(target))?;
    let dialect = dialect(target)?;
    let class = Class::of(format).map_err(|Uncovered { what }| Error::unsupported(format, &what))?.in_panels();
    let layout = PackedLayout::panel(&class);
    if sub_vectors(&layout) > SUB_VECTORS {
        return Err(Error::unsupported(
            format,
            "more than 64 bytes of a row's sub-scales and sub-mins in a unit: take larger groups",
        ));
    }
    let numerics = Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics)).collect::<Vec<_>>();
    let products =
        numerics.iter().flat_map(|numerics| COLUMNS.map(|columns| product(language, &class, &layout, *numerics, columns)));
    let products = products.collect::<Vec<_>>();
    let mut context = constants(&class, &layout, &dialect);
    context.insert("marker", &format!("{MARKER} from the card of {}: do not edit.", format.name));
    context.insert("doc", &format.doc);
    context.insert("class", &class.name());
    let decoding = weights(language, &class, &layout, 1);
    let units = products.iter().map(|product| product.unit.as_str()).chain([decoding.as_str()]);
    context.insert("uses", &units.collect::<Vec<_>>().join("\n"));
    context.insert("uses_chunks", &products.iter().all(|product| product.unit.contains("chunks[")));
    context.insert("decodes_chunks", &decoding.contains("chunks["));
    context.insert("weights", &weights(language, &class, &layout, 4));
    context.insert("decoding", &decoding);
    context.insert("products", &products);
    context.insert("int8", &class.has(Numerics::Int8));
    let print = |template: &str, context: &Context| {
        Tera::one_off(template, context, false).expect("the templates of this crate print with this context")
    };
    context.insert("prelude", print(language.prelude, &context).trim());
    let matrix_products = if language.matrices { fragments::products(&class, &layout) } else { Vec::new() };
    fragments::insert(&mut context, &class, &matrix_products);
    let besides = if matrix_products.is_empty() { String::new() } else { print(FRAGMENTS, &context) };
    context.insert("besides", besides.trim_end());
    let text = print(language.skeleton, &context);
    let manifest = manifest::of(format, &class, &layout, &dialect, &matrix_products, &text);
    Ok(Module { text, extension: language.extension, manifest })
}

fn unknown(target: &str) -> Error {
    Error::UnknownLanguage { name: target.to_owned(), known: targets().map(str::to_owned).collect() }
}

/// The card of a language.
fn dialect(target: &str) -> Result<Dialect, Error> {
    gpu::shipped(target).ok_or_else(|| unknown(target))?.map_err(Error::Cards)
}

/// The module of a format, as hosts of this project take it.
///
/// # Errors
/// As [`module`].
pub fn panel_kernels(format: &Format, target: &str) -> Result<PanelKernels, Error> {
    let class = Class::of(format).map_err(|Uncovered { what }| Error::unsupported(format, &what))?;
    let Module { text, manifest, .. } = module(format, target)?;
    let Activations { span, step, .. } = manifest.activations;
    Ok(PanelKernels {
        source: text,
        interleave: interleave(&class),
        numerics: Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics)).collect(),
        span,
        step,
        warps: warps(&dialect(target)?),
        columns: COLUMNS.to_vec(),
    })
}

/// The numbers that skeleton and preludes print.
fn constants(class: &Class, layout: &PackedLayout, dialect: &Dialect) -> Context {
    let mut context = Context::new();
    let mut put = |name: &'static str, value: usize| context.insert(name, &value);
    put("warps", warps(dialect));
    put("threads", ROWS * warps(dialect));
    put("helpers", HELPERS);
    put("partial_sums", PARTIAL_SUMS);
    put("unit_weights", class.unit);
    put("unit_bytes", layout.bytes());
    put("unit_chunks", layout.bytes() / CHUNK);
    put("segment", SEGMENT);
    put("segment_units", SEGMENT / class.unit);
    put("span", class.span);
    put("step", class.step);
    put("sub_vectors", sub_vectors(layout));
    context.insert("levels", &levels(class));
    context.insert("palette", &palette(class, 0));
    context.insert("palette_levels", &palette(class, class.zero as u8));
    context
}

/// Warps of a group.
fn warps(dialect: &Dialect) -> usize {
    (dialect.workgroup / ROWS).max(1)
}

/// Vectors of 16 bytes that hold what a row has of its steps.
fn sub_vectors(layout: &PackedLayout) -> usize {
    let subs = layout.fields.iter().find(|field| field.name == SUBS);
    subs.map_or(0, |field| field.element.bytes().div_ceil(CHUNK))
}

/// The f32 that codes stand for, as literals.
fn levels(class: &Class) -> Vec<String> {
    let Codes::Floats(values) = &class.codes else { return Vec::new() };
    values.iter().map(|value| format!("{value:?}f")).collect()
}

/// The bytes that codes stand for less so much, four to a word and 16 to a list of words.
fn palette(class: &Class, less: u8) -> Vec<String> {
    let Codes::Bytes(bytes) = &class.codes else { return Vec::new() };
    let size = if class.bits() > 4 { 32 } else { 16 };
    let mut filled = bytes.clone();
    filled.resize(size, 0);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(byte.wrapping_sub(less)));
    let words = |bytes: &[u8]| bytes.chunks(4).map(|bytes| format!("{:#010x}u", word(bytes))).collect::<Vec<_>>().join(", ");
    filled.chunks(16).map(words).collect()
}

/// The code of a product.
fn product(language: &Language, class: &Class, layout: &PackedLayout, numerics: Numerics, columns: usize) -> Product {
    let threads = Threads::new(class, numerics, columns);
    let mut printer = Printer::new(language.spelling, class, layout, numerics, columns);
    printer.code(&threads.clear);
    let clear = printer.take(2);
    printer.activations();
    printer.steps();
    printer.code(&threads.unit);
    let unit = printer.take(3);
    let (int8, sums) = (numerics == Numerics::Int8, unit.contains("sums0"));
    Product { name: product_name(numerics, columns), columns, int8, sums, clear, unit }
}

/// The code that decodes a unit to `decoded`, so many levels in.
fn weights(language: &Language, class: &Class, layout: &PackedLayout, levels: usize) -> String {
    let mut printer = Printer::new(language.spelling, class, layout, Numerics::Exact, 1);
    printer.steps();
    printer.code(&Threads::new(class, Numerics::Exact, 1).weights);
    printer.take(levels)
}

fn product_name(numerics: Numerics, columns: usize) -> String {
    format!("gemv_{}_{columns}", numerics.name())
}
