//! Resolving a number: its fields, digits and tables.

use crate::diagnostic::Sink;
use crate::model::{Levels, Map, Number, Plane, Run, Stored};
use crate::raw;
use crate::table::{self, Tables};
use crate::walk::At;

use super::digits::Scope;
use super::stores::Stores;
use super::{place, rules, values};

/// What numbers refer to.
pub(crate) struct Resolver<'c> {
    pub stores: &'c Stores,
    pub tables: &'c dyn Tables,
}

impl Resolver<'_> {
    /// Resolves and checks a number with its supers. Its digits must exist in every scope; without scopes, the card's indices
    /// being wrong, nothing is said of digits. `None` if anything is wrong.
    pub(crate) fn resolve(&self, raw: &raw::Number, scopes: Option<&[Scope]>, sink: &mut Sink) -> Option<Number> {
        let before = sink.count();
        let levels = raw.levels.as_ref().map(|levels| self.levels(levels, sink));
        let outer = raw.outer.as_ref().map(|outer| self.resolve(outer, scopes, sink));
        let stored = self.stored(raw, scopes, sink)?;
        let values_known = raw.sound && levels.as_ref().is_none_or(Option::is_some);
        let number = Number {
            stored,
            levels: levels.flatten(),
            step: raw.step.as_ref().map(|at| f64::from(at.value)),
            offset: raw.offset.as_ref().map(|at| f64::from(at.value)),
            outer: outer.flatten().map(Box::new),
        };
        if values_known {
            values::check(raw, &number, &self.stores.storage, sink);
        }
        rules::check(raw, &number, self.stores, scopes.unwrap_or_default(), sink);
        (sink.count() == before && raw.sound && scopes.is_some()).then_some(number)
    }

    /// Resolves bits that mean nothing, of which it counts where they are. `None` if anything is wrong.
    pub(crate) fn reserved(&self, raw: &raw::Number, scopes: Option<&[Scope]>, sink: &mut Sink) -> Option<Number> {
        let before = sink.count();
        let stored = self.stored(raw, scopes, sink)?;
        let number = Number { stored, levels: None, step: None, offset: None, outer: None };
        rules::check(raw, &number, self.stores, scopes.unwrap_or_default(), sink);
        (sink.count() == before && scopes.is_some()).then_some(number)
    }

    fn stored(&self, raw: &raw::Number, scopes: Option<&[Scope]>, sink: &mut Sink) -> Option<Stored> {
        match &raw.stored {
            raw::Stored::Item(place) => {
                let (field, item) = self.place(place, scopes, sink)?;
                Some(Stored::Item { field, item })
            }
            raw::Stored::Planes(planes) => {
                let planes: Vec<_> = planes.iter().map(|plane| self.plane(plane, scopes, sink)).collect();
                let element = raw.element.as_ref().map(|kind| kind.value.element);
                Some(Stored::Planes { planes: planes.into_iter().collect::<Option<_>>()?, element })
            }
        }
    }

    fn plane(&self, raw: &raw::Plane, scopes: Option<&[Scope]>, sink: &mut Sink) -> Option<Plane> {
        let place = self.place(&raw.place, scopes, sink);
        let run = match &raw.run {
            raw::Run::Bits { bit, bits } => map(bit.as_ref(), scopes, sink).map(|bit| Run::Bits { bit, bits: bits.value }),
            raw::Run::Trit(trit) => map(Some(trit), scopes, sink).map(Run::Trit),
        };
        let (field, item) = place?;
        Some(Plane { field, item, run: run? })
    }

    /// The field that a place names, and the map of its item.
    fn place(&self, raw: &raw::Place, scopes: Option<&[Scope]>, sink: &mut Sink) -> Option<(usize, Map)> {
        let field = self.field(&raw.from, sink);
        if let (Some(item), false) = (&raw.item, self.stores.in_blocks()) {
            sink.error(item.span, "a place in a tensor has no `item`").label("the tensor's axes say which item");
            return None;
        }
        let item = map(raw.item.as_ref(), scopes, sink);
        Some((field?, item?))
    }

    /// The field of that name, unless its own description is wrong.
    fn field(&self, from: &At<String>, sink: &mut Sink) -> Option<usize> {
        let shapes = &self.stores.shapes;
        let Some(field) = shapes.iter().position(|shape| shape.name.value == from.value) else {
            let kind = if self.stores.in_blocks() { "field" } else { "tensor" };
            let names = shapes.iter().map(|shape| shape.name.value.as_str());
            let error = sink.error(from.span, format!("no {kind} `{}`", from.value));
            error.suggest(&from.value, &format!("{kind}s"), names);
            return None;
        };
        if let Some(sums) = shapes[field].sums {
            sink.error(from.span, format!("`{}` cannot be read", from.value))
                .also(sums, "holds redundant sums, which decoding ignores");
            return None;
        }
        shapes[field].lengths.is_some().then_some(field)
    }

    fn levels(&self, raw: &raw::Levels, sink: &mut Sink) -> Option<Levels> {
        match raw {
            raw::Levels::List(list) => Some(Levels { table: None, width: 1, values: list.value.clone() }),
            raw::Levels::Table(name) => self.table(name, sink),
        }
    }

    fn table(&self, name: &At<String>, sink: &mut Sink) -> Option<Levels> {
        let known = self.tables.names();
        if !known.contains(&name.value) {
            let error = sink.error(name.span, format!("no table `{}`", name.value));
            error.suggest(&name.value, "tables", known.iter().map(String::as_str));
            return None;
        }
        let source = match self.tables.open(&name.value) {
            Ok(source) => source,
            Err(why) => {
                sink.error(name.span, format!("cannot read the table `{}`: {why}", name.value));
                return None;
            }
        };
        match table::read_levels(&name.value, source) {
            Ok(levels) => Some(levels),
            Err(found) => {
                sink.adopt(found);
                None
            }
        }
    }
}

/// Resolves a map that is constant 0 if it is absent.
fn map(raw: Option<&raw::Map>, scopes: Option<&[Scope]>, sink: &mut Sink) -> Option<Map> {
    match raw {
        Some(raw) => place::resolve(raw, scopes?, sink),
        None => Some(Map::default()),
    }
}
