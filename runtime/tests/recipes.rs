//! Recipes, for a model that others have quantised.

mod support;

use quantloom::gguf::{Gguf, Value};
use quantloom::recipes::{Recipes, Target};
use support::{Writer, kind, testdata, value};

const F16: u32 = 1;

/// The bundled model was made by llama.cpp's own quantiser.
#[test]
fn a_recipe_gives_what_llama_cpp_gives() {
    let reference = Gguf::open(testdata("models").join("rustbook-Q4_K_M.gguf")).unwrap();
    let mut plain = Writer::default().text("general.architecture", "llama");
    for (key, value) in reference.metadata().iter().filter(|(key, _)| key.starts_with("llama.")) {
        if let Value::U32(number) = value {
            plain = plain.entry(key, value::U32, &number.to_le_bytes());
        }
    }
    for tensor in reference.tensors() {
        plain = plain.tensor(&tensor.name, &tensor.dims, F16, &vec![0; 2 * tensor.k() * tensor.rows()]);
    }
    let plain = Gguf::from_bytes("plain", plain.build()).unwrap();
    let recipes = Recipes::shipped().unwrap();
    let recipe = recipes.find("q4_k_m").unwrap();
    let targets = recipe.assign(&plain, false).unwrap();
    let found = targets.iter().map(|target| match target {
        Target::Keep => panic!("nothing to keep here"),
        Target::Plain => kind::F32,
        Target::Blocks(format) => format.gguf.unwrap(),
    });
    assert_eq!(found.collect::<Vec<_>>(), reference.tensors().iter().map(|tensor| tensor.kind).collect::<Vec<_>>());
    assert_eq!(Some(u64::from(recipe.file_type)), reference.value("general.file_type").unwrap().as_u64());
}
