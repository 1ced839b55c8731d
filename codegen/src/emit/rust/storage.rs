//! How the weights of a format are stored, as a row of the registry says it.

use proc_macro2::{Literal, TokenStream};
use quantloom_spec::model::{Format, Index, Map, Storage, Tensor, Tensors};
use quote::quote;

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
            let indices = tensors.indices.iter().map(|index| of_k(format, index));
            quote!(stored::Storage::Tensors { rows: #rows, tensors: &[#(#specs),*], indices: &[#(#indices),*] })
        }
    }
}

fn spec(format: &Format, tensors: &Tensors, tensor: &Tensor) -> TokenStream {
    let (name, element) = (&tensor.file, tensor.element.to_string());
    let bytes = tensor.element.bits() as usize / 8;
    let axes = tensor.axes.iter().map(|map| axis(format, tensors, map));
    quote!(stored::Spec { name: #name, element: #element, bytes: #bytes, axes: &[#(#axes),*] })
}

/// A tensor that holds what follows from k.
fn of_k(format: &Format, index: &Index) -> TokenStream {
    let (name, element) = (&index.file, index.element.to_string());
    let bytes = index.element.bits() as usize / 8;
    let at = Literal::i64_unsuffixed(index.holds.at);
    let digits = format.pieces.iter().flat_map(|piece| &piece.digits).filter_map(|digit| {
        let times = Literal::i64_unsuffixed(*index.holds.strides.get(&digit.name)?);
        let (stride, size) = (digit.stride, digit.size);
        Some(quote!(stored::Digit { stride: #stride, size: #size, times: #times }))
    });
    quote!(stored::Index { name: #name, element: #element, bytes: #bytes, at: #at, digits: &[#(#digits),*] })
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
