//! The types that a kernel sees its memory through: a unit of packed weights and a unit of a column group.

use proc_macro2::{Ident, TokenStream};
use quantloom_spec::kernels::Numerics;
use quote::{format_ident, quote};

use crate::kernel::tile::Tile;
use crate::kernel::width::{self, Width};
use crate::lower::class::{Class, PANEL_ROWS, Sums};
use crate::lower::layout::{Element, Field, PackedLayout};

/// `struct Unit`: the fields of the packed layout, each with its rows split into vectors.
pub fn weights(class: &Class, width: Width) -> TokenStream {
    let fields = fields(class, |element| match element {
        Element::Quad => rows_type(width, &quote!(u8), 4 * width.lanes),
        element => rows_type(width, &element_type(element), width.lanes),
    });
    let fields = fields.map(|(field, name, ty)| {
        let doc = format!(" {}", field.doc);
        quote!(#[doc = #doc] #name: #ty,)
    });
    let pad = pad(class);
    let doc = format!(" {} weights of {PANEL_ROWS} rows.", class.unit);
    quote! {
        #[doc = #doc]
        #[repr(C)]
        #[derive(Clone, Copy, Pod, Zeroable)]
        #[bytemuck(crate = "bytemuck")]
        struct Unit {
            #(#fields)*
            #pad
        }
    }
}

/// The fields of the packed layout with their names and types, `[[rows; inner count]; outer count]`.
pub fn fields(class: &Class, rows: impl Fn(Element) -> TokenStream) -> impl Iterator<Item = (Field, Ident, TokenStream)> {
    PackedLayout::cpu(class).fields.into_iter().map(move |field| {
        let ty = field.counts.iter().rev().fold(rows(field.element), |ty, count| quote!([#ty; #count]));
        let name = format_ident!("{}", field.name);
        (field, name, ty)
    })
}

/// What fills a unit up, if anything does.
pub fn pad(class: &Class) -> Option<TokenStream> {
    let layout = PackedLayout::cpu(class);
    let pad = layout.bytes() - layout.content_bytes();
    (pad > 0).then(|| quote!(_pad: [u8; #pad],))
}

/// The type of what a row has.
pub fn element_type(element: Element) -> TokenStream {
    match element {
        Element::Byte => quote!(u8),
        Element::Half => quote!(u16),
        Element::Float => quote!(f32),
        Element::Pair => quote!([u8; 2]),
        Element::Quad => quote!([u8; 4]),
        Element::Bytes(count) => quote!([u8; #count]),
    }
}

/// The type of what a panel's rows have, `count` elements a vector.
pub fn rows_type(width: Width, element: &TokenStream, count: usize) -> TokenStream {
    let parts = width.parts();
    if parts == 1 { quote!([#element; #count]) } else { quote!([[#element; #count]; #parts]) }
}

/// The struct of a unit of the stage of a tile.
pub fn stage(tile: &Tile<'_>, numerics: Numerics) -> TokenStream {
    let (name, vectors, lanes) = (stage_name(tile, numerics), tile.vectors, tile.width.lanes);
    let bytes = 4 * lanes;
    let fields = tile.stage(numerics).into_iter().map(|field| {
        let lanes = if field.is_float { quote!([f32; #lanes]) } else { quote!([u8; #bytes]) };
        let ty = field.counts.iter().rev().fold(quote!([#lanes; #vectors]), |ty, count| quote!([#ty; #count]));
        let name = format_ident!("{}", field.name);
        quote!(#name: #ty,)
    });
    quote! {
        /// A unit of weights, unpacked.
        #[repr(C, align(64))]
        #[derive(Clone, Copy, Zeroable)]
        #[bytemuck(crate = "bytemuck")]
        struct #name { #(#fields)* }
    }
}

/// Its name, one per tile height.
pub fn stage_name(tile: &Tile<'_>, numerics: Numerics) -> Ident {
    match numerics {
        Numerics::Exact => format_ident!("ExactStage{}", tile.vectors),
        Numerics::Int8 => format_ident!("Int8Stage{}", tile.vectors),
    }
}

/// The struct of a unit of a column group of `cols` columns; `Pod` cannot be derived for a const parameter, so each has its own.
pub fn activations(class: &Class, width: Width, numerics: Numerics, cols: usize) -> TokenStream {
    let name = columns_name(numerics, cols);
    let (unit, chunk) = (class.unit, class.chunk());
    let chunks = unit / chunk;
    let fields = match numerics {
        Numerics::Exact => quote! {
            /// One f32 per weight and column.
            values: [[[f32; #cols]; #chunk]; #chunks],
        },
        Numerics::Int8 => int8_fields(class, width, cols),
    };
    let doc = format!(" {unit} activations of each of {cols} columns.");
    quote! {
        #[doc = #doc]
        #[repr(C)]
        #[derive(Clone, Copy, Pod, Zeroable)]
        #[bytemuck(crate = "bytemuck")]
        struct #name { #fields }
    }
}

fn int8_fields(class: &Class, width: Width, cols: usize) -> TokenStream {
    let (quads, bodies, steps) = (class.body() / 4, class.unit / class.body(), class.steps());
    let spans = class.unit / class.span;
    let bias = (width::bias(class, width) != 0).then(|| {
        quote! {
            /// What each step's dot starts at.
            bias: [[i32; #cols]; #steps],
        }
    });
    let sums = class.sums().map(|sums| {
        let count = match sums {
            Sums::Whole => steps,
            Sums::Pairs => class.min_pairs(),
        };
        quote! {
            /// Sums of the quants of steps.
            sums: [[i32; #cols]; #count],
        }
    });
    quote! {
        /// Four quants a word.
        quants: [[[i32; #cols]; #quads]; #bodies],
        /// One scale a span.
        scales: [[f32; #cols]; #spans],
        #bias
        #sums
    }
}

/// The struct of a column group of `cols` columns.
pub fn columns_name(numerics: Numerics, cols: usize) -> Ident {
    match numerics {
        Numerics::Exact => format_ident!("Floats{cols}"),
        Numerics::Int8 => format_ident!("Quants{cols}"),
    }
}

/// The constant that describes that struct.
pub fn layout_name(numerics: Numerics, cols: usize) -> Ident {
    format_ident!("{}", columns_name(numerics, cols).to_string().to_uppercase())
}

/// The registry's description of that struct.
pub fn layout(class: &Class, width: Width, numerics: Numerics, cols: usize) -> TokenStream {
    let name = columns_name(numerics, cols);
    let parts = match numerics {
        Numerics::Exact => quote!(abi::Parts::Floats),
        Numerics::Int8 => {
            let factor = width::bias(class, width);
            let bias = option((factor != 0).then(|| quote!((offset_of!(#name, bias), #factor))));
            let sums = option(class.sums().map(|sums| match sums {
                Sums::Whole => quote!((offset_of!(#name, sums), abi::Sums::Whole)),
                Sums::Pairs => quote!((offset_of!(#name, sums), abi::Sums::Pairs)),
            }));
            quote! {
                abi::Parts::Int8 {
                    quants: offset_of!(#name, quants),
                    scales: offset_of!(#name, scales),
                    bias: #bias,
                    sums: #sums,
                }
            }
        }
    };
    quote!(abi::Activations { unit_bytes: size_of::<#name>(), parts: #parts })
}

fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(|| quote!(None), |value| quote!(Some(#value)))
}
