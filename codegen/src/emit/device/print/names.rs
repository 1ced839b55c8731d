//! Names: what the neutral form calls a variable or a place, and what the text does.

use std::iter;

use super::{Meaning, NOTHING, Printer};
use crate::kernel::ir::{Arithmetic, Base, Expr, Index, Pattern, Place};

/// Names that the skeleton of a kernel has.
const TAKEN: [&str; 34] = [
    "at", "begin", "bytes", "chunks", "column", "columns", "decoded", "end", "first", "g", "half", "k", "lane", "last", "left",
    "out", "panel", "part", "place", "quants", "round", "row", "rows", "scales", "segment", "splits", "stage", "sums", "t",
    "unit", "units", "values", "warp", "weights",
];

impl Printer<'_> {
    /// A new variable; the languages do not have a second one of a name in a scope, nor one in terms of another of its name.
    pub(super) fn variable(&mut self, name: &str) -> String {
        let variables = self.scopes.iter().flat_map(|scope| &scope.variables);
        let is_taken = |candidate: &str| TAKEN.contains(&candidate) || variables.clone().any(|known| known == candidate);
        let numbered = (2..).map(|number| format!("{name}_at{number}"));
        let unique = iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).expect("numbers do not end");
        self.bind(name, Meaning::Variable(unique.clone()));
        self.scopes.last_mut().expect("there is a scope").variables.push(unique.clone());
        unique
    }

    pub(super) fn bind(&mut self, name: &str, meaning: Meaning) {
        self.scopes.last_mut().expect("there is a scope").meanings.insert(name.to_owned(), meaning);
    }

    pub(super) fn meaning(&self, name: &str) -> &Meaning {
        let found = self.scopes.iter().rev().find_map(|scope| scope.meanings.get(name));
        found.unwrap_or_else(|| unreachable!("{name} was not named before"))
    }

    pub(super) fn name(&self, name: &str) -> String {
        match self.meaning(name) {
            Meaning::Variable(name) => name.clone(),
            Meaning::Place(place) => unreachable!("{name} is {place:?}, and no variable"),
        }
    }

    /// The memory that an expression is about.
    pub(super) fn place(&self, of: &Expr) -> Place {
        match of {
            Expr::Read(place) | Expr::Write(place) | Expr::Value(place) => self.resolved(place),
            Expr::Variable(name) | Expr::Pointee(name) => match self.meaning(name) {
                Meaning::Place(place) => place.clone(),
                Meaning::Variable(name) => unreachable!("{name} is a variable, and no memory"),
            },
            other => unreachable!("{other:?} is no memory"),
        }
    }

    /// A place in terms of what the kernel has.
    pub(super) fn resolved(&self, place: &Place) -> Place {
        let Base::Name(name) = &place.base else { return place.clone() };
        let Meaning::Place(of) = self.meaning(name) else { unreachable!("{name} is a variable, and no memory") };
        Place { base: of.base.clone(), at: of.at.iter().chain(&place.at).cloned().collect() }
    }

    pub(super) fn names(&mut self, pattern: &Pattern, place: &Place) {
        match pattern {
            Pattern::Skip => {}
            Pattern::Name(name) => self.bind(name, Meaning::Place(place.clone())),
            Pattern::Parts(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    let at = place.at.iter().cloned().chain([index.into()]).collect();
                    self.names(part, &Place { base: place.base.clone(), at });
                }
            }
        }
    }

    pub(super) fn index(&self, of: &Index) -> String {
        match of {
            Index::Constant(value) => format!("{value}u"),
            Index::Name(name) => self.name(name),
            Index::Of(one, arithmetic, other) => {
                let (one, other) = (self.index(one), self.index(other));
                match arithmetic {
                    Arithmetic::Plus if other == NOTHING => one,
                    Arithmetic::Plus if one == NOTHING => other,
                    Arithmetic::Times | Arithmetic::Over | Arithmetic::Modulo if one == NOTHING => one,
                    Arithmetic::Times | Arithmetic::Over if other == "1u" => one,
                    Arithmetic::Plus => format!("({one} + {other})"),
                    Arithmetic::Times => format!("{one} * {other}"),
                    Arithmetic::Over => format!("{one} / {other}"),
                    Arithmetic::Modulo => format!("{one} % {other}"),
                }
            }
        }
    }
}
