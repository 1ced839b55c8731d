//! What the fuzz targets share: all that can be done with a model once it is open, and files in folders of their own.
//!
//! A target fails by a panic, by more time or memory than `.ci/fuzz` allows, and by what it asserts: what was read can be written and
//! read again, two ways to one result come to the same bits, and what is wrong is said in one line that no terminal obeys.

pub mod cards;

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use quantloom::gguf::{BlockShape, Gguf, GgufWriter, NewTensor, TensorInfo};
use quantloom::matmul::{Request, matmul};
use quantloom::model::Model;
use quantloom::pool::Pool;
use quantloom::recipes::Recipes;
use quantloom::registry::{self, Format};
use quantloom::stored::Stored;
use quantloom::tune::{self, Mode};
use quantloom::weights::{Layout, Weights};
use quantloom_models::text::Message;
use quantloom_spec::model;
use tempfile::TempDir;

/// Weights that a matrix may have to be decoded and multiplied by: more take time, and find nothing else.
const FEW: usize = 1 << 14;

/// Everything runs on the thread that libFuzzer watches.
pub static POOL: LazyLock<Pool> = LazyLock::new(|| {
    // What was tuned on this machine must not change what an input does.
    tune::choices().set_mode(Mode::Off);
    Pool::new(1)
});

/// The formats of this build, with their cards.
pub static FORMATS: LazyLock<Vec<(&'static Format, &'static model::Format)>> = LazyLock::new(|| {
    let card = |format| (format, registry::model(format).expect("the card was checked when this was built"));
    registry::formats().map(card).collect()
});

static RECIPES: LazyLock<Recipes> = LazyLock::new(|| Recipes::shipped().expect("a test reads them"));

/// Files in a folder of their own, which goes away with it.
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    #[must_use]
    pub fn temporary() -> Self {
        Self(tempfile::tempdir().expect("a folder for temporary files"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and returns where it is.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("room for a temporary file");
        path
    }
}

/// What came out, unless it went wrong: then the message is one line, and has nothing that a terminal obeys.
pub fn right<T, E: Display>(result: Result<T, E>) -> Option<T> {
    result
        .map_err(|error| {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
        })
        .ok()
}

/// A conversation that chat templates are given.
#[must_use]
pub fn conversation() -> Vec<Message> {
    let messages =
        [("system", "Be brief."), ("user", " What is <b>\"é\"</b>?\n"), ("assistant", "A letter."), ("user", "Why?")];
    messages.map(|(role, content)| Message::new(role, content)).to_vec()
}

/// Asks all that can be asked of a GGUF file, and uses it as a model.
pub fn use_file(folder: &Folder, file: Gguf) {
    for (key, value) in file.metadata() {
        assert!(file.value(key).is_some());
        let _ = (value.as_u64(), value.as_f64(), value.as_bool(), value.as_str(), value.as_array().map(|array| array.len()));
    }
    for tensor in file.tensors() {
        assert_eq!(right(file.tensor(&tensor.name)), Some(tensor));
    }
    right(file.tensor("blk.0.attn_q.weight"));
    let Some(model) = right(Model::new(file)) else { return };
    // What takes long is done to some inputs each.
    match model.file().file_len() % 4 {
        0 => use_recipe(model.file()),
        1 => drop(right(write_again(folder, &model))),
        2 => use_matrices(&model),
        _ => pack(folder, &model),
    }
}

/// Asks a recipe what becomes of the tensors: one for each length of a file.
fn use_recipe(file: &Gguf) {
    let names: Vec<_> = RECIPES.names().collect();
    right(RECIPES.find(names[file.file_len() / 4 % names.len()]).and_then(|recipe| recipe.assign(file, false)));
}

/// Takes every matrix of a model as weights, which multiply to the same bits in both layouts.
fn use_matrices(model: &Model) {
    for tensor in model.file().tensors() {
        let [packed, stored] = [Layout::Packed, Layout::Stored].map(|layout| right(model.weights(tensor, layout, &POOL)));
        let products = [packed, stored].map(|weights| weights.map(|weights| products(&weights)));
        if let [Some(packed), Some(stored)] = products {
            assert_eq!(packed, stored, "{}", tensor.name);
        }
    }
}

/// Packs a model, unless it is packed, and opens the copy.
fn pack(folder: &Folder, model: &Model) {
    let path = folder.file("packed", &[]);
    if right(model.pack(&path, &POOL, &mut |_| {})).is_some() {
        let copy = Model::open(&path).expect("a packed copy that was just written");
        assert_eq!(copy.file().tensors().len(), model.file().tensors().len());
    }
}

/// Writes the file of a model with all that can be read of it, and reads that.
fn write_again(folder: &Folder, model: &Model) -> quantloom::Result<()> {
    let file = model.file();
    let mut tensors = Vec::new();
    let mut contents = Vec::new();
    for tensor in file.tensors() {
        let Ok(bytes) = model.bytes(tensor) else { continue };
        let Some(shape) = BlockShape::of_kind(tensor.kind) else { continue };
        contents.push(file.bytes(tensor, shape)?);
        let TensorInfo { name, dims, kind, .. } = tensor.clone();
        tensors.push(NewTensor { name, dims, kind, bytes });
    }
    let path = folder.file("again", &[]);
    let mut writer = GgufWriter::create(&path, file.metadata(), &tensors)?;
    for bytes in &contents {
        writer.write(bytes)?;
    }
    writer.finish()?;
    let again = Gguf::open(&path).expect("a file that was just written");
    assert_eq!(format!("{:?}", again.metadata()), format!("{:?}", file.metadata()));
    for (new, bytes) in tensors.iter().zip(contents) {
        let tensor = again.tensor(&new.name).expect("a tensor that was just written");
        let shape = BlockShape::of_kind(tensor.kind).expect("a type that was known");
        assert_eq!(again.bytes(tensor, shape).expect("the bytes of a tensor that was just written"), bytes);
    }
    Ok(())
}

/// Decodes a stored matrix, and multiplies by it in both layouts, which must give the same bits.
pub fn use_matrix(stored: &Stored<'_>) {
    let Some(weights) = stored.n().checked_mul(stored.k()).filter(|&weights| weights <= FEW) else { return };
    let mut decoded = vec![0.0; weights];
    stored.decode(0..stored.n(), &mut decoded).expect("a place for each weight");
    let [packed, kept] = [Layout::Packed, Layout::Stored].map(|layout| right(Weights::with_layout(stored, layout, &POOL)));
    if let (Some(packed), Some(kept)) = (packed, kept) {
        assert_eq!(products(&packed), products(&kept));
    }
}

/// The bits of two rows of activations times the weights in every numerics class that they have; nothing of NaN but that it is one.
fn products(weights: &Weights) -> Vec<u32> {
    let (n, k) = (weights.n(), weights.k());
    if n.checked_mul(k).is_none_or(|weights| weights > FEW) || n > FEW || k > FEW {
        return Vec::new();
    }
    let x = (0..2 * k).map(|i| ((i * 7919 % 1009) as f32 / 500.0) - 1.0).collect::<Vec<_>>();
    let mut bits = Vec::new();
    for numerics in registry::numerics(weights.format()) {
        let mut y = vec![0.0; 2 * n];
        let request = Request::default().numerics(numerics);
        matmul(weights, &x, 2, &mut y, &request, &*POOL).expect("activations that are finite, and a kernel in plain code");
        bits.extend(y.iter().map(|y| if y.is_nan() { f32::NAN.to_bits() } else { y.to_bits() }));
    }
    bits
}
