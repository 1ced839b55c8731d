//! From a card as written to the checked model.

mod axes;
mod coverage;
mod digits;
mod number;
mod place;
mod rules;
mod stores;
mod sums;
mod values;

use std::collections::BTreeSet;

use crate::diagnostic::Sink;
use crate::model::{Format, Number, Piece};
use crate::raw::{self, Card};
use crate::table::Tables;

use coverage::Coverage;
use digits::Scope;
use number::Resolver;
use stores::Stores;

/// The checked format; every error that keeps it from being right goes into the sink.
///
/// `covered` are places of bits that have been found right: members of a family often differ in other things.
pub(crate) fn check(card: &Card, tables: &dyn Tables, covered: &mut BTreeSet<String>, sink: &mut Sink) -> Option<Format> {
    let before = sink.count();
    let scopes = digits::scopes(card, sink);
    let stores = stores::check(card.storage.as_ref()?, scopes.as_deref(), sink);
    let resolver = Resolver { stores: &stores, tables };
    let codes = codes(card, &resolver, scopes.as_deref(), sink);
    let mut part = |raw: &Option<raw::Number>| resolver.resolve(raw.as_ref()?, scopes.as_deref(), sink);
    let (zero, sign, scale, min) = (part(&card.zero), part(&card.sign), part(&card.scale), part(&card.min));
    let reserved = card.reserved.as_ref().and_then(|raw| resolver.reserved(raw, scopes.as_deref(), sink));
    let scopes = scopes?;
    let name = &card.name.as_ref()?.value;
    let format = Format {
        kernels: card.kernels.as_ref().is_none_or(|listed| listed.iter().any(|listed| listed.value == *name)),
        name: name.clone(),
        gguf: card.gguf.as_ref().map(|gguf| gguf.value),
        doc: card.doc.clone()?,
        storage: stores.storage.clone(),
        pieces: pieces(codes, &scopes)?,
        zero,
        sign,
        scale,
        min,
        reserved,
    };
    check_levels(card, &format, sink);
    if sink.count() == before && card.sound {
        let places = places(&format, &stores, &scopes);
        if !covered.contains(&places) {
            check_coverage(card, &format, &stores, &scopes, sink);
            covered.insert(places);
        }
        sums::check(card, &format, sink);
    }
    Some(format)
}

/// A tensor that holds the levels again goes with a code that has some.
fn check_levels(card: &Card, format: &Format, sink: &mut Sink) {
    let Some(raw::Storage::Tensors { indices, .. }) = &card.storage else { return };
    let has_list = format.pieces.iter().all(|piece| piece.code.levels.as_ref().is_some_and(|levels| levels.width == 1));
    for index in indices.iter().filter(|_| !has_list) {
        if let Some(raw::Holds::Levels(span)) = index.holds {
            sink.error(span, "`code` has no `levels` with one value for each code");
        }
    }
}

/// The code of each piece.
fn codes(card: &Card, resolver: &Resolver<'_>, scopes: Option<&[Scope]>, sink: &mut Sink) -> Vec<Option<Number>> {
    let code = |(i, piece): (usize, &raw::Piece)| {
        let raw = piece.code.as_ref()?;
        let scope = scopes.and_then(|scopes| scopes.get(i..=i));
        let code = resolver.resolve(raw, scope, sink)?;
        scope?.iter().for_each(|scope| rules::check_code(raw, &code, resolver.stores, scope, sink));
        Some(code)
    };
    card.pieces.iter().enumerate().map(code).collect()
}

fn pieces(codes: Vec<Option<Number>>, scopes: &[Scope]) -> Option<Vec<Piece>> {
    let piece = |(code, scope): (Option<Number>, &Scope)| {
        Some(Piece { start: scope.start, end: scope.end, digits: scope.columns.clone(), code: code? })
    };
    codes.into_iter().zip(scopes).map(piece).collect()
}

/// All that decides which bits are read.
fn places(format: &Format, stores: &Stores, scopes: &[Scope]) -> String {
    let lengths = stores.shapes.iter().map(|shape| &shape.lengths).collect::<Vec<_>>();
    let codes = format.pieces.iter().map(|piece| &piece.code);
    let parts = [&format.zero, &format.sign, &format.scale, &format.min].into_iter().flatten();
    let readings = codes.chain(parts).flat_map(Number::chain).map(|number| stores.storage.readings(number)).collect::<Vec<_>>();
    let widths = (0..lengths.len()).map(|field| format.element(field).bits()).collect::<Vec<_>>();
    format!("{scopes:?} {lengths:?} {widths:?} {readings:?}")
}

/// Every stored bit is read exactly once, and for one meaning.
fn check_coverage(card: &Card, format: &Format, stores: &Stores, scopes: &[Scope], sink: &mut Sink) {
    let mut coverage = Coverage::new(stores);
    for ((piece, checked), scope) in card.pieces.iter().zip(&format.pieces).zip(scopes) {
        if let Some(raw) = &piece.code {
            coverage.read(raw, &checked.code, std::slice::from_ref(scope), sink);
        }
    }
    let raw = [&card.zero, &card.sign, &card.scale, &card.min, &card.reserved];
    let checked = [&format.zero, &format.sign, &format.scale, &format.min, &format.reserved];
    for (raw, number) in raw.into_iter().flatten().zip(checked.into_iter().flatten()) {
        coverage.read(raw, number, scopes, sink);
    }
    coverage.finish(sink);
}
