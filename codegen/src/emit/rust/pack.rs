//! Packers: stored rows to packed panels. A format extracts its integers; its class weaves them into lines.

mod parts;

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use super::value::{self, name, needed};
use super::words::{Levels, Run, Staged, columns};
use crate::ir::{Decoder, Part, Piece, Storage};
use crate::lower::class::{self, Class, Min, Source};
use crate::lower::runs;
use parts::{Places, extract, extract_part};

/// `pub fn pack(tensors: &[Tensor], rows: Range<usize>, blocks: Range<usize>, panel: &mut [u8])` of a format.
///
/// Unit by unit, so that what is read and what is written stay in the nearest cache: of each block first the codes of all rows, then
/// row by row what they are multiplied by.
pub fn pack(decoder: &Decoder, class: &Class, class_module: &Ident) -> TokenStream {
    let doc = quote!(#[doc = " Packs some blocks of up to 16 rows into a zeroed panel; the first begins a unit."]);
    let arguments = quote!(tensors: &[Tensor], rows: Range<usize>, blocks: Range<usize>, panel: &mut [u8]);
    let (together, block) = (class.run() / class.block, class.run());
    let wide = (together > 1).then(|| runs::of_blocks(decoder, together)).flatten();
    let Some(wide) = wide else {
        let body = packer(decoder, class, class_module, true);
        return quote! {
            #doc
            pub fn pack(#arguments) { #body }
        };
    };
    let of_runs = packer(&wide, &Class { block, ..class.clone() }, class_module, true);
    let of_rest = packer(decoder, class, class_module, false);
    quote! {
        #doc
        pub fn pack(#arguments) {
            let (first, last) = (blocks.start / #together, blocks.end / #together);
            pack_runs(tensors, rows.clone(), first..last, panel);
            if last * #together < blocks.end {
                pack_rest(tensors, rows, last * #together..blocks.end, panel);
            }
        }
        /// The same of runs of blocks.
        fn pack_runs(#arguments) { #of_runs }
        /// The same of blocks that make no whole run.
        fn pack_rest(#arguments) { #of_rest }
    }
}

/// The body of a packer; `whole` says that its first block begins a unit.
fn packer(decoder: &Decoder, class: &Class, class_module: &Ident, whole: bool) -> TokenStream {
    // The pieces of a block that has several differ in their codes alone.
    let piece = &decoder.pieces[0];
    let access = Access::of(&decoder.storage);
    let Codes { items, of_rows, begin, of_row } = codes(decoder, class, class_module, &access);
    let scale = piece.values.scale.unwrap_or(Part { value: piece.values.own, stored: None, root: piece.values.own });
    let scales = extract_part(piece, class, scale, class.sub_scale, &Places::scale(class));
    let mins = class.min.map(|min| {
        let sub = match min {
            Min::Flat => None,
            Min::Sub(sub) => Some(sub),
        };
        extract_part(piece, class, piece.values.min.expect("the class has a min"), sub, &Places::min(class))
    });
    let zeros = class.zero_group.map(|group| {
        let zero = piece.values.zero.expect("the class has zero points");
        let value = name(zero);
        extract(piece, class, zero, group, &format_ident!("zeros"), &quote!(#value as i8 as u8))
    });
    // Units are one or more blocks, or several are one.
    let (blocks, parts) = ((class.unit / class.block).max(1), (class.block / class.unit).max(1));
    let Access { begin: lanes, of_block, of_rows: of_blocks, of_row: of_lane, .. } = &access;
    let from = if whole { quote!(0) } else { quote!(blocks.start.saturating_sub(first)) };
    let slots = quote!(for slot in #from..(blocks.end - first).min(#blocks));
    let first = if whole { quote!(blocks.start) } else { quote!(blocks.start / #blocks * #blocks) };
    let of_rows = of_rows.map(|of_rows| {
        quote! {
            #slots {
                let index = first + slot;
                #of_block
                #of_blocks
                #of_rows
            }
            if count_of < PANEL_ROWS {
                for line in unit.codes.as_flattened_mut() {
                    line[count_of..].fill([0; 4]);
                }
            }
        }
    });
    let units = match parts {
        1 => quote!(units[blocks.start / #blocks..].iter_mut()),
        _ => quote!(units[blocks.start * #parts..].chunks_exact_mut(#parts)),
    };
    quote! {
        #items
        const PANEL_ROWS: usize = 16;
        let units: &mut [#class_module::Packed] = bytemuck::cast_slice_mut(panel);
        let count_of = rows.len().min(PANEL_ROWS);
        if count_of == 0 {
            return;
        }
        #lanes
        for (unit, first) in #units.zip((#first..blocks.end).step_by(#blocks)) {
            #of_rows
            for lane in 0..count_of {
                #begin
                #slots {
                    let index = first + slot;
                    #of_block
                    #of_lane
                    #of_row
                    #scales
                    #mins
                    #zeros
                }
            }
        }
    }
}

/// How packers get at the stored items of a row's block. Rows beyond the last are like it.
struct Access {
    /// Before all.
    begin: TokenStream,
    /// When the block, `index`, is known.
    of_block: TokenStream,
    /// Then, before what is done with all rows.
    of_rows: TokenStream,
    /// In that, when the row is known: `lane`.
    of_lane: TokenStream,
    /// When the block and the row are known, without that.
    of_row: TokenStream,
    /// When the number of the row is known: `row`.
    digits: TokenStream,
}

impl Access {
    fn of(storage: &Storage) -> Self {
        match storage {
            &Storage::Rows { header, block } => {
                let of_row = value::row_of_blocks(&quote!(of_lane), header, block);
                let (headers, header) = match header {
                    0 => (None, None),
                    _ => (
                        Some(quote!(let mut headers: [&[u8]; PANEL_ROWS] = [&[]; PANEL_ROWS];)),
                        Some(quote!(headers[lane] = header;)),
                    ),
                };
                let of_header = header.as_ref().map(|_| quote!(let header = headers[lane];));
                Self {
                    begin: quote! {
                        #headers
                        let mut lanes: [&[[u8; #block]]; PANEL_ROWS] = [&[]; PANEL_ROWS];
                        for lane in 0..PANEL_ROWS {
                            let of_lane = tensors[0].row(rows.start + lane.min(count_of - 1));
                            #of_row
                            #header
                            lanes[lane] = of_lane;
                        }
                    },
                    of_lane: quote!(#of_header let block = of_lanes[lane];),
                    of_row: quote!(#of_header let block = &lanes[lane][index];),
                    digits: TokenStream::new(),
                    of_block: TokenStream::new(),
                    of_rows: quote! {
                        let mut of_lanes = [&[0_u8; #block]; PANEL_ROWS];
                        for lane in 0..PANEL_ROWS {
                            of_lanes[lane] = &lanes[lane][index];
                        }
                    },
                }
            }
            Storage::Tensors { known } => {
                let (digits, of_block) = value::digits(known);
                let of_lane = quote!(let row = rows.start + lane.min(count_of - 1); #digits);
                Self {
                    begin: TokenStream::new(),
                    of_block,
                    of_rows: TokenStream::new(),
                    of_row: of_lane.clone(),
                    of_lane,
                    digits,
                }
            }
        }
    }
}

/// The codes on their way into lines.
#[derive(Default)]
struct Codes {
    /// Tables.
    items: TokenStream,
    /// What is done with a block of all rows.
    of_rows: Option<TokenStream>,
    /// Else what holds codes of a row, where one block is not enough, and what is done with a block.
    begin: TokenStream,
    of_row: TokenStream,
}

fn codes(decoder: &Decoder, class: &Class, class_module: &Ident, access: &Access) -> Codes {
    if class.codes == class::Codes::None {
        return Codes::default();
    }
    let (block, body) = (class.block, class.body());
    // The others fill whole units.
    if class.run() == block && class.unit >= block {
        let weave = quote!(#class_module::weave);
        let place = |position: &TokenStream| quote!((slot * #block + #position) / #body);
        let run = Run { body, of_lane: &access.of_lane, of_row: &access.digits, place: &place, weave: &weave };
        if let Some(of_rows) = columns::of_rows(decoder, class, &run) {
            return Codes { of_rows: Some(of_rows), ..Codes::default() };
        }
        if let Some(of_rows) = Staged::of_rows(&decoder.pieces, block, class, &run) {
            return Codes { of_rows: Some(of_rows), ..Codes::default() };
        }
        if let Some((items, of_rows)) = Levels::of_rows(decoder, class, &run) {
            return Codes { items, of_rows: Some(of_rows), ..Codes::default() };
        }
    }
    by_rows(decoder, class, class_module)
}

/// Codes row by row and weight by weight, from as many blocks as fill a body.
fn by_rows(decoder: &Decoder, class: &Class, class_module: &Ident) -> Codes {
    let (run, block, body) = (class.run(), class.block, class.body());
    let (quads, blocks, bodies, quads_a_body) = (run / 4, run / block, run / body, body / 4);
    let first = (blocks > 1).then(|| quote!(slot % #blocks * #block));
    let fill = decoder.pieces.iter().map(|piece| one_by_one(class, piece, first.as_ref())).collect::<TokenStream>();
    let lines = in_unit(class, &format_ident!("codes"), &quote!(slot / #blocks * #bodies + body), class.unit / body);
    let store = quote! {
        for body in 0..#bodies {
            let quads = &quads.as_chunks::<#quads_a_body>().0[body];
            #class_module::weave(&mut #lines, lane, quads);
        }
    };
    let (items, zeroed) = (level_codes(class).unwrap_or_default(), quote!(let mut quads = [0_u32; #quads];));
    if blocks == 1 {
        return Codes { items, of_row: quote!(#zeroed #fill #store), ..Codes::default() };
    }
    let of_row = quote! {
        #fill
        if slot % #blocks == #blocks - 1 || index == blocks.end - 1 {
            #store
            quads = [0; #quads];
        }
    };
    Codes { items, begin: zeroed, of_row, of_rows: None }
}

/// Place `at` of a field of which a unit has `places`, counted from the first unit of the block.
fn in_unit(class: &Class, field: &Ident, at: &TokenStream, places: usize) -> TokenStream {
    if class.block <= class.unit { quote!(unit.#field[#at]) } else { quote!(unit[(#at) / #places].#field[(#at) % #places]) }
}

/// The code of each level, by the byte that is the level in two's complement.
fn level_codes(class: &Class) -> Option<TokenStream> {
    let Source::Level { levels, .. } = &class.source else { return None };
    let code = |byte: u8| levels.iter().position(|level| level.cast_unsigned() == byte).unwrap_or_default() as u8;
    let codes = (0..=255).map(code).map(Literal::u8_unsuffixed);
    Some(quote!(static CODES: [u8; 256] = [#(#codes),*];))
}

/// Puts the code of each weight where it belongs; a signed code becomes unsigned by flipping its top bit.
fn one_by_one(class: &Class, piece: &Piece, first: Option<&TokenStream>) -> TokenStream {
    let (wanted, value) = match &class.source {
        Source::Code { signed_bits } => {
            let code = name(piece.values.code);
            let flip = signed_bits.map(|bits| 1_u8 << (bits - 1));
            (piece.values.code, flip.map_or_else(|| quote!(#code as u8), |flip| quote!(#code as u8 ^ #flip)))
        }
        Source::Level { unit, .. } => {
            let wanted = if class.zero_group.is_some() { piece.values.own } else { piece.values.level };
            let (level, scale) = (name(wanted), value::float(1.0 / unit));
            let integer = if *unit == 1.0 { quote!(#level) } else { quote!((#level * #scale)) };
            (wanted, quote!(CODES[usize::from(#integer as i8 as u8)]))
        }
    };
    let first = first.map(|first| quote!(#first +));
    value::nest(piece, &needed(piece, &[wanted]), &|position| {
        quote! {
            let at = #first #position;
            quads[at / 4] |= u32::from(#value) << (8 * (at % 4));
        }
    })
}
