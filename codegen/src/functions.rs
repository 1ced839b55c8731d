//! Activation functions: one Rust function in a file of its own, which operation cards name.

use std::collections::BTreeMap;
use std::path::Path;

use quantloom_spec::operation::Operation;
use quantloom_spec::text;
use quote::quote;
use syn::{FnArg, ItemFn};

use crate::Error;

/// The texts of the functions that operations name, each from the file `NAME.rs` of a folder.
///
/// # Errors
/// A file that cannot be read, or is not a function of one number.
pub fn read(folder: &Path, operations: &[Operation]) -> Result<BTreeMap<String, String>, Error> {
    let named = operations.iter().filter_map(|operation| Some((operation, operation.epilogue.activation.as_ref()?)));
    let read = named.map(|(operation, name)| {
        let path = folder.join(name).with_extension("rs");
        let wrong =
            |what: String| Error::Function { operation: operation.name.clone(), name: name.clone(), path: path.clone(), what };
        let text = text::read(&path).map_err(|why| wrong(format!("cannot be read: {why}")))?;
        let function = syn::parse_str::<ItemFn>(&text).map_err(|why| wrong(format!("is not one Rust function: {why}")))?;
        if !is_of_one_number(&function, name) {
            return Err(wrong(format!("must be `fn {name}(x: f32) -> f32`")));
        }
        Ok((name.clone(), text))
    });
    read.collect()
}

/// Whether a function has a name, takes an f32 and gives one, and no more is said of it.
fn is_of_one_number(function: &ItemFn, name: &str) -> bool {
    let signature = &function.sig;
    let Some(FnArg::Typed(argument)) = signature.inputs.first() else { return false };
    let (ident, argument) = (&signature.ident, &argument.pat);
    ident == name && quote!(#signature).to_string() == quote!(fn #ident(#argument: f32) -> f32).to_string()
}
