//! Recipes for whole models: which tensor becomes which format. They are data, in `recipes/llama.toml`, or a file of one's own.

mod card;
mod model;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quantloom_spec::text;

use crate::error::{Error, Result, quoted, suggest};
use crate::gguf::{Gguf, Items, TensorInfo};
use crate::registry::{self, Format};
use card::{Card, RecipeCard, Rule, matches};
use model::{Classes, Model};

/// The recipes that come with the program.
const SHIPPED: &str = include_str!("../../recipes/llama.toml");

/// The number that stands for a file of which none says more.
const UNNAMED: u32 = 1024;

/// Recipes of a file.
#[derive(Clone, Debug)]
pub struct Recipes {
    path: PathBuf,
    card: Card,
}

/// A way to quantise a model: a recipe, or one format for all matrices.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recipe<'r> {
    /// Its name.
    pub name: &'r str,
    /// What the model's `general.file_type` becomes.
    pub file_type: u32,
    recipes: &'r Recipes,
    format: &'static Format,
    rules: Vec<&'r Rule>,
}

/// What becomes of a tensor.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// It stays as it is.
    Keep,
    /// It becomes f32.
    Plain,
    /// It becomes blocks of a format.
    Blocks(&'static Format),
}

impl Recipes {
    /// The recipes that come with the program.
    ///
    /// # Errors
    /// None: a test reads them.
    pub fn shipped() -> Result<Self> {
        Self::parse(Path::new("recipes/llama.toml"), SHIPPED)?.checked()
    }

    /// The recipes of a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Recipe`] if it is not a file of recipes or names what there is not.
    pub fn read(path: &Path) -> Result<Self> {
        let mut own = Self::parse(path, &text::read(path).map_err(Error::io(path))?)?;
        let shipped = Self::shipped()?.card;
        let card = &mut own.card;
        if card.only.is_empty() {
            card.only = shipped.only;
        }
        if card.keep.is_empty() {
            card.keep = shipped.keep;
        }
        card.unusual = card.unusual.take().or(shipped.unusual);
        let missing = |own: &BTreeMap<String, _>, name: &String| !own.contains_key(name);
        if card.class.is_empty() {
            card.class = shipped.class;
        }
        let fallback = shipped.fallback.into_iter().filter(|(name, _)| missing(&card.fallback, name)).collect::<Vec<_>>();
        card.fallback.extend(fallback);
        for (name, rules) in shipped.rules {
            card.rules.entry(name).or_insert(rules);
        }
        own.checked()
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let card = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            Error::Recipe { path: path.to_owned(), detail: format!("line {line}: {}; see recipes/llama.toml", error.message()) }
        })?;
        Ok(Self { path: path.to_owned(), card })
    }

    /// Reports the first name that stands for nothing.
    fn checked(self) -> Result<Self> {
        let card = &self.card;
        for name in card.fallback.values().chain(card.fallback.keys()).chain(&card.unusual) {
            registry::format_by_name(name)?;
        }
        let rules = card.rules.values().flatten().chain(card.recipe.iter().flat_map(|recipe| &recipe.rules));
        for rule in rules {
            registry::format_by_name(&rule.to)?;
            if let Some(class) = rule.class.iter().find(|class| !card.class.contains_key(*class)) {
                let hint = suggest(class, card.class.keys().map(String::as_str), "name one of `class`");
                return Err(self.wrong(format!("no class is called {}; {hint}", quoted(class))));
            }
            if rule.parts().any(|parts| parts == 0) {
                return Err(self.wrong("a rule cuts the layers into 0 parts; give at least 1".to_owned()));
            }
        }
        for recipe in &card.recipe {
            registry::format_by_name(&recipe.format)?;
            if let Some(list) = recipe.shared.iter().find(|list| !card.rules.contains_key(*list)) {
                let hint = suggest(list, card.rules.keys().map(String::as_str), "name one of `rules`");
                return Err(self.wrong(format!("recipe {}: no list is called {}; {hint}", quoted(&recipe.name), quoted(list))));
            }
        }
        Ok(self)
    }

    fn wrong(&self, detail: String) -> Error {
        Error::Recipe { path: self.path.clone(), detail }
    }

    /// The names of the recipes, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.card.recipe.iter().map(|recipe| recipe.name.as_str())
    }

    /// The recipe of that name, without regard to case, or else the format of that name for all matrices.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] with the nearest names.
    pub fn find(&self, name: &str) -> Result<Recipe<'_>> {
        let Some(card) = self.card.recipe.iter().find(|recipe| recipe.name.eq_ignore_ascii_case(name)) else {
            return self.pure(name);
        };
        let shared = card.shared.iter().filter_map(|list| self.card.rules.get(list)).flatten();
        Ok(Recipe {
            name: &card.name,
            file_type: card.file_type,
            recipes: self,
            format: registry::format_by_name(&card.format)?,
            rules: shared.chain(&card.rules).collect(),
        })
    }

    /// One format for all matrices, as far as their rows are whole blocks of it: see [`Recipe::assign`].
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] with the nearest names.
    pub fn pure(&self, name: &str) -> Result<Recipe<'_>> {
        let format = registry::format_by_name(name).map_err(|_| {
            let names = self.names().chain(registry::formats().map(|format| format.name));
            let hint = suggest(name, names, "name a recipe, or a format that is registered");
            Error::UnknownFormat { name: name.to_owned(), hint }
        })?;
        // llama.cpp has numbers for mixtures only: that of the first one which is mostly of this format.
        let mostly = |recipe: &&RecipeCard| recipe.format.eq_ignore_ascii_case(format.name);
        let file_type = self.card.recipe.iter().find(mostly).map_or(UNNAMED, |recipe| recipe.file_type);
        Ok(Recipe { name: format.name, file_type, recipes: self, format, rules: Vec::new() })
    }
}

impl Recipe<'_> {
    /// What becomes of each tensor of a model, in file order. Where rows are not whole blocks of a format, what the file of recipes gives as
    /// its fallback stands in.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the tensor if its rows are not whole blocks of the fallback either.
    pub fn assign(&self, file: &Gguf, imatrix: bool) -> Result<Vec<Target>> {
        let model = Model::of(file, imatrix);
        let classes = Classes::of(&self.recipes.card, file);
        file.tensors()
            .iter()
            .zip(&classes.of_tensors)
            .map(|(tensor, class)| self.target(&model, &classes, tensor, *class))
            .collect()
    }

    fn target(&self, model: &Model, classes: &Classes, tensor: &TensorInfo, class: Option<&str>) -> Result<Target> {
        let card = &self.recipes.card;
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &tensor.name));
        if Items::of(tensor.kind).is_some() {
            return Ok(Target::Keep);
        }
        if tensor.dims.len() <= 1 {
            return Ok(Target::Plain);
        }
        // As llama.cpp counts axes, those of length 1 at the end are none.
        if tensor.rows() <= 1 || !fits(&card.only) || fits(&card.keep) {
            return Ok(Target::Keep);
        }
        let rule = self.rules.iter().find(|rule| class.is_some_and(|class| model.fits(rule, class, classes, &tensor.name)));
        let format = rule.map_or(Ok(self.format), |rule| registry::format_by_name(&rule.to))?;
        self.with_whole_blocks(format, tensor).map(Target::Blocks)
    }

    /// The format, or what stands in for it when rows are not whole blocks of it.
    fn with_whole_blocks(&self, format: &'static Format, tensor: &TensorInfo) -> Result<&'static Format> {
        let whole = |format: &Format| tensor.k().is_multiple_of(format.block_weights);
        if whole(format) {
            return Ok(format);
        }
        let card = &self.recipes.card;
        let fallback = card.fallback.iter().find(|(name, _)| name.eq_ignore_ascii_case(format.name));
        for name in fallback.map(|(_, name)| name).into_iter().chain(&card.unusual) {
            let other = registry::format_by_name(name)?;
            if whole(other) {
                return Ok(other);
            }
        }
        let (name, k) = (quoted(&tensor.name), tensor.k());
        Err(self.recipes.wrong(format!(
            "rows of {k} weights in tensor {name} are whole blocks neither of {} nor of what stands in for it; give `unusual` a format for rows \
             of any length",
            format.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_recipes_are_right() {
        let recipes = Recipes::shipped().unwrap();
        let names = recipes.names().collect::<Vec<_>>();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert_eq!(recipes.find(&name.to_lowercase()).unwrap().name, name);
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, part) in [
            ("[[recipe]]\nname = 1", "line 2: "),
            ("what = 1", "line 1: "),
            ("[[recipe]]\nname='x'\nfile_type=1\nformat='F16'\nrules=[{class=['y'], to='F16'}]", "no class is called \"y\""),
            ("[[recipe]]\nname='x'\nfile_type=1\nformat='F16'\nshared=['y']", "no list is called \"y\""),
        ] {
            let error = Recipes::parse(Path::new("x.toml"), text).and_then(Recipes::checked).unwrap_err().to_string();
            assert!(error.starts_with("x.toml: ") && error.contains(part) && error.lines().count() == 1, "{error}");
        }
    }
}
