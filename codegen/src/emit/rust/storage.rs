//! How the weights of a format are stored, as a row of the registry says it.

use proc_macro2::{Literal, TokenStream};
use quantloom_spec::model::{Format, Holds, Index, Map, Nested, Setting, Storage, Tensor, Tensors, Word};
use quote::quote;

use super::value;

/// The expression for `stored::Storage`.
pub fn row(format: &Format) -> TokenStream {
    match &format.storage {
        Storage::Blocks(blocks) => {
            let (header, block) = (blocks.header, blocks.bytes);
            quote!(stored::Storage::Rows { header: #header, block: #block })
        }
        Storage::Tensors(tensors) => {
            let rows = tensors.rows.first().map_or(1, |digit| digit.stride);
            let specs = tensors.tensors.iter().map(|tensor| spec(format, tensors, tensor));
            let indices = tensors.indices.iter().map(|index| of_index(format, index));
            let config = tensors.config.iter().map(setting);
            let doubtful_zero = option(tensors.doubtful_zero.map(value::float));
            quote! {
                stored::Storage::Tensors {
                    rows: #rows,
                    tensors: &[#(#specs),*],
                    indices: &[#(#indices),*],
                    config: &[#(#config),*],
                    doubtful_zero: #doubtful_zero,
                }
            }
        }
    }
}

fn spec(format: &Format, tensors: &Tensors, tensor: &Tensor) -> TokenStream {
    let (name, element) = (&tensor.file, tensor.element.to_string());
    let bytes = tensor.element.bits() as usize / 8;
    let axes = tensor.axes.iter().map(|map| axis(format, tensors, map));
    let nested = option(tensor.nested.as_ref().map(|Nested { levels, scales, group, offset }| {
        quote!(stored::Nested { levels: #levels, scales: #scales, group: #group, offset: #offset })
    }));
    quote!(stored::Spec { name: #name, element: #element, bytes: #bytes, axes: &[#(#axes),*], nested: #nested })
}

fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(|| quote!(None), |value| quote!(Some(#value)))
}

fn setting(Setting { key, values }: &Setting) -> TokenStream {
    let values = values.iter().map(|value| match value {
        Word::Text(text) => quote!(stored::Word::Text(#text)),
        Word::Integer(integer) => {
            let integer = Literal::i64_unsuffixed(*integer);
            quote!(stored::Word::Integer(#integer))
        }
    });
    quote!(stored::Setting { key: #key, values: &[#(#values),*] })
}

/// A tensor that says again what is known.
fn of_index(format: &Format, index: &Index) -> TokenStream {
    let (name, element) = (&index.file, index.element.to_string());
    let bytes = index.element.bits() as usize / 8;
    let holds = match &index.holds {
        Holds::Column(map) => of_k(format, map),
        Holds::Levels => {
            let levels = format.levels_by_code().unwrap_or_default().into_iter().map(value::float);
            quote!(stored::Holds::Levels(&[#(#levels),*]))
        }
        Holds::Shape => quote!(stored::Holds::Shape),
    };
    quote!(stored::Index { name: #name, element: #element, bytes: #bytes, holds: #holds })
}

/// A map over the digits of k.
fn of_k(format: &Format, map: &Map) -> TokenStream {
    let at = Literal::i64_unsuffixed(map.at);
    let digits = format.pieces.iter().flat_map(|piece| &piece.digits).filter_map(|digit| {
        let times = Literal::i64_unsuffixed(*map.strides.get(&digit.name)?);
        let (stride, size) = (digit.stride, digit.size);
        Some(quote!(stored::Digit { stride: #stride, size: #size, times: #times }))
    });
    quote!(stored::Holds::Column(stored::Map { at: #at, digits: &[#(#digits),*] }))
}

/// The length of an axis: in proportion to the digit without bound that it uses, if it uses one.
fn axis(format: &Format, tensors: &Tensors, map: &Map) -> TokenStream {
    let stride = |name: &str| map.strides.get(name).copied().filter(|&stride| stride != 0);
    let columns = || format.pieces.iter().flat_map(|piece| &piece.digits);
    if let Some((digit, items)) = tensors.rows.first().and_then(|digit| Some((digit, stride(&digit.name)?))) {
        let (per, items) = (digit.stride, items as usize);
        return quote!(stored::Axis::Rows { per: #per, items: #items });
    }
    if let Some((digit, items)) = columns().next().and_then(|digit| Some((digit, stride(&digit.name)?))) {
        let (per, items) = (digit.stride, items as usize);
        return quote!(stored::Axis::Columns { per: #per, items: #items });
    }
    let digits = tensors.rows.iter().chain(columns());
    let reach: i64 = digits.filter_map(|digit| Some(stride(&digit.name)?.max(0) * (digit.size as i64 - 1))).sum();
    let items = (map.at + reach + 1) as usize;
    quote!(stored::Axis::Fixed(#items))
}
