//! The types that a kernel sees its memory through: a unit of packed weights and a unit of a column group.

use proc_macro2::TokenStream;
use quantloom_spec::isa::Dot;
use quantloom_spec::kernels::Numerics;
use quote::quote;

use super::Width;
use crate::lower::class::{Class, Codes, PANEL_ROWS, Root, Sums};

/// `struct Unit`: the parts of a unit in the order of the packed layout, each with its rows split into vectors.
pub fn weights(class: &Class, width: Width) -> TokenStream {
    let per_row = |element: TokenStream, count: usize| {
        let rows = width.rows(&element, width.lanes);
        quote!([#rows; #count])
    };
    let root = root_type(class.root);
    let field = |name: &str, doc: &str, count: usize, element: TokenStream| {
        let (name, ty) = (quote::format_ident!("{name}"), per_row(element, count));
        (count > 0).then(|| quote!(#[doc = #doc] #name: #ty,))
    };
    let subs = if class.sub_scale.is_some() { class.steps() } else { 0 };
    let fields = [
        field("roots", " Root scales.", class.roots(), root.clone()),
        field("min_roots", " Root mins.", class.min_roots(), root),
        field("zeros", " Zero points.", class.zeros(), quote!(u8)),
        field("scales", " Sub-scales, one a step.", subs, quote!(u8)),
        field("mins", " Sub-mins, two steps to a pair.", class.min_pairs(), quote!([u8; 2])),
    ];
    let (line, lines, bodies) = (width.rows(&quote!(u8), 4 * width.lanes), class.body_lines(), class.unit / class.body());
    let codes = (lines > 0).then(|| {
        quote! {
            /// Code lines.
            codes: [[#line; #lines]; #bodies],
        }
    });
    let pad = class.unit_bytes() - class.content_bytes();
    let pad = (pad > 0).then(|| quote!(_pad: [u8; #pad],));
    let doc = format!(" {} weights of {PANEL_ROWS} rows.", class.unit);
    quote! {
        #[doc = #doc]
        #[repr(C)]
        #[derive(Clone, Copy, Pod, Zeroable)]
        #[bytemuck(crate = "bytemuck")]
        struct Unit {
            #(#fields)*
            #codes
            #pad
        }
    }
}

/// The type that holds a root.
pub fn root_type(root: Root) -> TokenStream {
    match root {
        Root::E8m0 { .. } | Root::Ue4m3 => quote!(u8),
        Root::F16 | Root::Bf16 => quote!(u16),
        Root::F32 => quote!(f32),
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

/// What the sum of the quants of a step is multiplied by and its dot starts at, so that the dot is one of levels.
pub fn bias(class: &Class, width: Width) -> i32 {
    let taken_off = if signed_palette(class, width) {
        class.zero
    } else if less_128(class, width) {
        128
    } else {
        0
    };
    taken_off - class.zero
}

/// Whether the palette has levels and not bytes: what is looked up is signed then.
pub fn signed_palette(class: &Class, width: Width) -> bool {
    let narrow = width.dot.is_narrow() && narrow_budget(class.max_byte, width) == 0;
    (width.dot.is_signed() || narrow) && matches!(class.codes, Codes::Bytes(_))
}

/// Whether 128 is taken off every code before it is multiplied: it would not fit a signed byte otherwise, or pairs of products 16 bits.
pub fn less_128(class: &Class, width: Width) -> bool {
    let fits = if width.dot.is_signed() { class.max_byte <= 127 } else { narrow_budget(class.max_byte, width) > 0 };
    (width.dot.is_signed() || width.dot.is_narrow()) && !fits && !signed_palette(class, width)
}

/// How many quads' products are summed in 16 bits before they are widened.
pub fn budget(class: &Class, width: Width) -> usize {
    let magnitude = if signed_palette(class, width) {
        class.zero.unsigned_abs()
    } else if less_128(class, width) {
        128
    } else {
        class.max_byte
    };
    narrow_budget(magnitude, width).max(1)
}

/// How many quads of bytes up to `magnitude` have sums that fit 16 bits: of products by themselves, or of pairs.
fn narrow_budget(magnitude: u32, width: Width) -> usize {
    let together = if width.dot == Dot::PairsI16 { 2 } else { 1 };
    i16::MAX as usize / (together * 127 * magnitude as usize)
}

fn int8_fields(class: &Class, width: Width, cols: usize) -> TokenStream {
    let (quads, bodies, steps) = (class.body() / 4, class.unit / class.body(), class.steps());
    let spans = class.unit / class.span;
    let bias = (bias(class, width) != 0).then(|| {
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
pub fn columns_name(numerics: Numerics, cols: usize) -> proc_macro2::Ident {
    match numerics {
        Numerics::Exact => quote::format_ident!("Floats{cols}"),
        Numerics::Int8 => quote::format_ident!("Quants{cols}"),
    }
}

/// The constant that describes that struct.
pub fn layout_name(numerics: Numerics, cols: usize) -> proc_macro2::Ident {
    quote::format_ident!("{}", columns_name(numerics, cols).to_string().to_uppercase())
}

/// The registry's description of that struct.
pub fn layout(class: &Class, width: Width, numerics: Numerics, cols: usize) -> TokenStream {
    let name = columns_name(numerics, cols);
    let parts = match numerics {
        Numerics::Exact => quote!(abi::Parts::Floats),
        Numerics::Int8 => {
            let factor = bias(class, width);
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
