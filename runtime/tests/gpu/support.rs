//! Cards, blocks and the plain form of what devices compute.

use std::path::{Path, PathBuf};

use quantloom::gguf::{BlockShape, Gguf};
use quantloom::gpu::{Error, Kernels};
use quantloom_codegen::lower::class::SEGMENT;
use quantloom_codegen::plan::{Card, Plan, PlannedFormat};
use quantloom_codegen::Config;
use quantloom_spec::gpu::Dialect;
use quantloom_spec::{Spec, TableFolder, cards_dir, eval, read_format};

/// What a test needs, or nothing where it is missing and need not be there.
pub fn required<T>(found: Result<T, Error>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(why @ Error::Missing { .. }) if std::env::var_os("QUANTLOOM_REQUIRE_GPU_TESTS").is_none() => {
            eprintln!("skipped: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

/// Every block format of the shipped cards, and one that uses what they leave out.
pub fn formats() -> Vec<PlannedFormat> {
    let mut formats = Config::new().plan().unwrap_or_else(|wrong| panic!("{wrong}")).formats;
    formats.push(planned("odd.toml", include_str!("../../../codegen/tests/gpu/odd.toml")));
    formats
}

/// A card that is not shipped.
pub fn planned(file: &str, text: &str) -> PlannedFormat {
    let tables = TableFolder::new(cards_dir().join("tables"));
    let format = read_format(file, text, &tables).unwrap_or_else(|wrong| panic!("{wrong}"));
    let card = Card { file: file.to_owned(), text: text.to_owned(), format };
    let plan = Plan::new(vec![card], Vec::new(), Vec::new()).unwrap_or_else(|wrong| panic!("{wrong}"));
    plan.formats.into_iter().next().expect("one card is one format")
}

/// A shipped GPU dialect.
pub fn dialect(name: &str) -> Dialect {
    let dialects = Spec::read(cards_dir()).unwrap_or_else(|wrong| panic!("{wrong}")).dialects;
    dialects.into_iter().map(|(_, dialect)| dialect).find(|dialect| dialect.name == name).expect("the dialect has a card")
}

/// A generated text with its sizes.
pub fn kernels<'a>(format: &PlannedFormat, dialect: &Dialect, source: &'a str, tables: &'a [u32]) -> Kernels<'a> {
    Kernels { source, tables, block: block(format), workgroup: dialect.workgroup, segment: SEGMENT }
}

fn block(format: &PlannedFormat) -> BlockShape {
    BlockShape { weights: format.decoder.weights, bytes: format.decoder.bytes }
}

/// Stored weights and what they decode to, from a golden file.
pub struct Golden {
    pub name: String,
    pub format: PlannedFormat,
    pub rows: usize,
    pub k: usize,
    pub bytes: Vec<u8>,
    pub weights: Vec<f32>,
}

/// Both stored tensors of every golden file.
pub fn golden() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden");
    let entries = folder.read_dir().unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    assert!(!files.is_empty(), "there are golden files");
    let formats = formats();
    files.iter().flat_map(|path| ["quantized", "random"].map(|name| read_golden(path, name, &formats))).collect()
}

fn read_golden(path: &Path, name: &str, formats: &[PlannedFormat]) -> Golden {
    let file = Gguf::open(path).unwrap();
    let (stored, decoded) = (file.tensor(name).unwrap(), file.tensor(&format!("{name}.f32")).unwrap());
    let format = formats.iter().find(|format| format.card.format.gguf == Some(stored.kind)).expect("a card for the file").clone_of();
    Golden {
        name: format!("{}, {name}", path.display()),
        rows: stored.rows(),
        k: stored.k(),
        bytes: file.bytes(stored, block(&format)).unwrap().to_vec(),
        weights: bytemuck::pod_collect_to_vec(file.bytes(decoded, BlockShape::F32).unwrap()),
        format,
    }
}
