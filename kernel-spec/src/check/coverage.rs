//! The strongest rule: every stored bit is read exactly once, and for one meaning.

use crate::diagnostic::{Sink, Span};
use crate::grid::Values;
use crate::model::Number;
use crate::raw;
use crate::reading::{Part, Reading, stretches};

use super::digits::{Scope, WINDOW};
use super::place;
use super::rules::TRITS;
use super::stores::{Shape, Stores};

/// Who reads every bit of the storage.
pub(crate) struct Coverage<'c> {
    stores: &'c Stores,
    fields: Vec<Bits>,
    readers: Vec<Reader>,
    conflicts: usize,
}

/// The bits of one field: for each, the reader and the piece in which it reads.
struct Bits {
    width: usize,
    owners: Vec<Option<Owner>>,
    /// The same for base-3 digits.
    trits: Vec<Option<Owner>>,
}

/// A reader in one piece; small, as there is one for each bit.
#[derive(Clone, Copy)]
struct Owner {
    reader: u32,
    piece: u32,
}

/// One plane of one number.
struct Reader {
    what: String,
    span: Span,
    /// Whether it reads base-3 digits, which share the bits of a byte.
    trit: bool,
}

impl<'c> Coverage<'c> {
    pub(crate) fn new(stores: &'c Stores) -> Self {
        let bits = |(field, shape): (usize, &Shape)| {
            let items = shape.lengths.as_ref().map_or(0, |lengths| lengths.iter().product());
            let width = stores.storage.element(field).bits() as usize;
            Bits { width, owners: vec![None; items * width], trits: vec![None; items * TRITS as usize] }
        };
        let fields = stores.shapes.iter().enumerate().map(bits).collect();
        Self { stores, fields, readers: Vec::new(), conflicts: 0 }
    }

    /// Marks all bits that a number and its supers read in the pieces of `scopes`.
    pub(crate) fn read(&mut self, raw: &raw::Number, number: &Number, scopes: &[Scope], sink: &mut Sink) {
        let readings = self.stores.storage.readings(number);
        for (reading, spot) in readings.iter().zip(raw.stored.places()) {
            let trit = matches!(reading.part, Part::Trit(_));
            self.readers.push(Reader { what: raw.what.clone(), span: spot.whole, trit });
            self.mark_all(reading, scopes, sink);
        }
        if let (Some(raw), Some(outer)) = (&raw.outer, &number.outer) {
            self.read(raw, outer, scopes, sink);
        }
    }

    /// Marks the bits of the newest reader; stops at the first conflict, as more would follow from it.
    fn mark_all(&mut self, reading: &Reading<'_>, scopes: &[Scope], sink: &mut Sink) {
        let reader = self.readers.len() as u32 - 1;
        for scope in scopes {
            let owner = Owner { reader, piece: scope.start as u32 };
            for values in Values::all(scope.sizes(&reading.digits())) {
                if let Err((bit, first)) = self.mark(reading, &values, owner) {
                    self.report(&values, &bit, first, sink);
                    return;
                }
            }
        }
    }

    /// Marks what one reading takes at one place, or says which bit has another owner.
    fn mark(&mut self, reading: &Reading<'_>, values: &Values<'_>, owner: Owner) -> Result<(), (String, Owner)> {
        let shape = &self.stores.shapes[reading.field];
        let lengths = shape.lengths.as_deref().unwrap_or_default();
        let field = &mut self.fields[reading.field];
        let (low, bits) = match reading.part {
            Part::Whole => (0, field.width as u32),
            Part::Bits { bit, bits } => (values.of(bit) as usize, bits),
            Part::Trit(trit) => {
                let (item, trit) = (place::item(reading, values, 0, lengths), values.of(trit) as usize);
                let Ok(item) = item else { return Ok(()) };
                claim(&mut field.trits[item * TRITS as usize + trit], owner)
                    .map_err(|first| (format!("base-3 digit {trit} of {}", shape.item_name(item)), first))?;
                (0, field.width as u32)
            }
        };
        let is_trit = |owner: Owner| self.readers[owner.reader as usize].trit;
        for stretch in stretches(low, bits, field.width as u32) {
            let Ok(item) = place::item(reading, values, stretch.step, lengths) else { return Ok(()) };
            for bit in stretch.low..stretch.low + stretch.bits {
                let slot = &mut field.owners[item * field.width + bit as usize];
                if !(is_trit(owner) && slot.is_some_and(is_trit)) {
                    claim(slot, owner).map_err(|first| (format!("bit {bit} of {}", shape.item_name(item)), first))?;
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, values: &Values<'_>, bit: &str, first: Owner, sink: &mut Sink) {
        self.conflicts += 1;
        let (again, first) = (&self.readers[self.readers.len() - 1], &self.readers[first.reader as usize]);
        let error = sink.error(again.span, format!("{bit} is read twice"));
        let at = values.to_string();
        let at = if at.is_empty() { at } else { format!(" at {at}") };
        if again.span == first.span {
            error.label(format!("by `{}`{at}, and before", again.what));
        } else {
            error.label(format!("by `{}`{at}", again.what)).also(first.span, format!("first by `{}`", first.what));
        }
    }

    /// Reports the bits that nothing reads, field by field.
    pub(crate) fn finish(self, sink: &mut Sink) {
        if self.conflicts > 0 {
            return;
        }
        for (bits, shape) in self.fields.iter().zip(&self.stores.shapes) {
            if shape.sums.is_some() {
                continue;
            }
            let unread: Vec<usize> = (0..bits.owners.len()).filter(|&bit| bits.owners[bit].is_none()).collect();
            let Some(first) = unread.first() else { continue };
            let (item, low) = (first / bits.width, first % bits.width);
            let run = unread.iter().enumerate().take_while(|(i, bit)| first + i == **bit && *bit / bits.width == item);
            let high = low + run.count() - 1;
            let which = if low == high { format!("bit {low}") } else { format!("bits {low} to {high}") };
            let error = sink.error(shape.name.span, format!("nothing reads {which} of {}", shape.item_name(item)));
            error.label(format!("{} of its {} bits are never read", unread.len(), bits.owners.len()));
            if !self.stores.in_blocks() {
                error.note(format!("counted over {WINDOW} values of each digit without bound"));
            }
            error.help("bits that mean nothing are the `planes` of `reserved`");
        }
    }
}

/// Gives a bit to an owner, or says who has it; the same plane may read it for several pieces.
const fn claim(slot: &mut Option<Owner>, owner: Owner) -> Result<(), Owner> {
    match *slot {
        Some(first) if first.reader != owner.reader || first.piece == owner.piece => Err(first),
        _ => {
            *slot = Some(owner);
            Ok(())
        }
    }
}
