//! Which formats a matrix may be in, and when what it is read as is in doubt.

use quantloom_spec::eval::{Items, tensor_weight};

use super::SafeTensors;
use crate::error::quoted;
use crate::registry::{self, Format};
use crate::stored::{Storage, Stored};

/// Formats that a message names, at most.
const NAMED: usize = 4;

impl SafeTensors {
    /// The formats that the matrix may be in: whose tensors the file has, with the right types and shapes, and which nothing that is
    /// said of the matrix contradicts. More than one may be: the names and sizes of tensors do not always tell.
    #[must_use]
    pub fn fits(&self, name: &str, shape: Option<(usize, usize)>) -> Vec<&'static Format> {
        registry::formats().filter(|format| self.find(format, name, shape).is_ok()).collect()
    }

    /// Why the matrix is probably not in the format that it was read in, on one line, with the remedy. `None`: it may well be.
    #[must_use]
    pub fn doubt(&self, name: &str, stored: &Stored<'_>) -> Option<String> {
        let (format, zero) = (stored.format(), doubtful(stored)?);
        let others = self.fits(name, Some((stored.n(), stored.k())));
        let others =
            others.into_iter().filter(|other| self.find(other, name, None).is_ok_and(|other| doubtful(&other).is_none()));
        Some(format!(
            "{}: read as {}, all zero points of {} are {zero}, which tells of a file that stores them otherwise{}",
            self.path.display(),
            format.name,
            quoted(name),
            list(&others.collect::<Vec<_>>(), "; it may be in ")
        ))
    }

    /// The remedy of a file that is in another format: the formats that it may be in, if there are any.
    pub(super) fn remedy(&self, name: &str, shape: Option<(usize, usize)>) -> Option<String> {
        let fits = self.fits(name, shape);
        (!fits.is_empty()).then(|| format!("name the format it was stored in{}", list(&fits, ": it fits ")))
    }
}

/// Names of formats, after some words; nothing if there are none.
fn list(formats: &[&Format], words: &str) -> String {
    let (named, more) = formats.split_at(formats.len().min(NAMED));
    let names = named.iter().map(|format| format.name).collect::<Vec<_>>();
    let more = if more.is_empty() { String::new() } else { format!(" or {} more", more.len()) };
    if names.is_empty() { String::new() } else { format!("{words}{}{more}", names.join(" or ")) }
}

/// The zero point that all weights have, if it makes the format doubtful.
fn doubtful(stored: &Stored<'_>) -> Option<f32> {
    let format = stored.format();
    let Storage::Tensors { doubtful_zero: Some(doubtful), .. } = format.storage else { return None };
    let card = registry::model(format).ok()?;
    let run = card.zero.as_ref().map(|zero| card.run(&card.pieces[0], zero))?;
    let (shapes, tensors) = (format.shapes(stored.n(), stored.k())?, stored.tensors());
    let items =
        shapes.iter().zip(&tensors).map(|((shape, _), tensor)| Items { shape, bytes: tensor.bytes() }).collect::<Vec<_>>();
    let mut zeros = (0..stored.n()).flat_map(|row| (0..stored.k()).step_by(run).map(move |position| (row, position)));
    let is_doubtful =
        |(row, position)| tensor_weight(card, &items, row, position).zero.is_some_and(|zero| zero.get() == doubtful);
    (stored.n() > 0 && stored.k() > 0 && zeros.all(is_doubtful)).then_some(doubtful)
}
