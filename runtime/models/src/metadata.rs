//! The metadata of an architecture: every value is checked before it is used, and none is passed over that a card does not name.

use std::cell::RefCell;
use std::collections::BTreeSet;

use quantloom::gguf::{Gguf, Value};

use crate::error::{Error, Result};

/// Counts beyond it are those of no model: products of three of them are below 2^63.
const MOST: u64 = 1 << 21;

/// The metadata of a file under the name of its architecture.
pub struct Metadata<'f> {
    file: &'f Gguf,
    /// What keys begin with: `NAME.`.
    prefix: String,
    /// The keys that were asked for.
    asked: RefCell<BTreeSet<String>>,
}

impl<'f> Metadata<'f> {
    pub fn new(file: &'f Gguf, name: &str) -> Self {
        Self { file, prefix: format!("{name}."), asked: RefCell::default() }
    }

    fn value(&self, key: &str) -> Option<&'f Value> {
        let key = format!("{}{key}", self.prefix);
        let value = self.file.value(&key);
        self.asked.borrow_mut().insert(key);
        value
    }

    /// An error about the value of a key.
    pub fn wrong(&self, key: &str, detail: &str) -> Error {
        Error::model(self.file.path(), format!("{}{key} {detail}", self.prefix))
    }

    fn missing(&self, key: &str) -> Error {
        self.wrong(key, "is missing; convert the model again")
    }

    /// A number of things, from 1 on, if the file gives it.
    pub fn count_if(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let count = value.as_u64().filter(|count| (1..=MOST).contains(count));
        let count =
            count.ok_or_else(|| self.wrong(key, &format!("must be an integer from 1 to {MOST}; convert the model again")))?;
        Ok(Some(count as usize))
    }

    pub fn count(&self, key: &str) -> Result<usize> {
        self.count_if(key)?.ok_or_else(|| self.missing(key))
    }

    /// Positions that are seen, or none where the number is 0; what is said where the file does not give it. Where that is not 0, the number
    /// is not, either.
    pub fn window(&self, key: &str, default: Option<usize>) -> Result<Option<usize>> {
        let none = default == Some(0) && self.value(key).is_none_or(|value| value.as_u64() == Some(0));
        if none {
            return Ok(None);
        }
        let count = self.count_if(key)?.or(default);
        count.map(Some).ok_or_else(|| self.missing(key))
    }

    /// A finite number above 0, if the file gives it.
    pub fn number_if(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.as_f64().or_else(|| value.as_u64().map(|number| number as f64));
        let number = number.filter(|number| number.is_finite() && *number > 0.0 && (*number as f32).is_normal());
        number.map(Some).ok_or_else(|| self.wrong(key, "must be a finite number above 0; convert the model again"))
    }

    pub fn number(&self, key: &str) -> Result<f64> {
        self.number_if(key)?.ok_or_else(|| self.missing(key))
    }

    /// A truth value, if the file gives it.
    pub fn flag_if(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(key, "must be true or false; convert the model again"))
    }

    /// A text, if the file gives it.
    pub fn text_if(&self, key: &str) -> Result<Option<&'f str>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, "must be a text; convert the model again"))
    }

    /// Passes over a value, whatever it is.
    pub fn pass(&self, key: &str) {
        self.value(key);
    }

    /// That the file says nothing of the architecture that nobody asked for: it might change results.
    pub fn finish(&self) -> Result<()> {
        let asked = self.asked.borrow();
        let of_model = |key: &str| key.starts_with(&self.prefix) && !asked.contains(key);
        match self.file.metadata().iter().find(|(key, _)| of_model(key)) {
            None => Ok(()),
            Some((key, _)) => {
                let detail =
                    format!("{key} means something that the card of this architecture does not know; it cannot be run");
                Err(Error::model(self.file.path(), detail))
            }
        }
    }
}
