//! Activation functions: one Rust function in a file of its own, which operation cards name: of the gate, or of the gate and what it gates.

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
/// A file that cannot be read, or is not a function of one number or of two.
pub fn read(folder: &Path, operations: &[Operation]) -> Result<BTreeMap<String, String>, Error> {
    let named = operations.iter().filter_map(|operation| Some((operation, operation.epilogue.activation.as_ref()?)));
    let read = named.map(|(operation, name)| {
        let path = folder.join(name).with_extension("rs");
        let wrong =
            |what: String| Error::Function { operation: operation.name.clone(), name: name.clone(), path: path.clone(), what };
        let text = text::read(&path).map_err(|why| wrong(format!("cannot be read: {why}")))?;
        let function = syn::parse_str::<ItemFn>(&text).map_err(|why| wrong(format!("is not one Rust function: {why}")))?;
        if arguments(&function, name).is_none() {
            return Err(wrong(format!("must be `fn {name}(x: f32) -> f32` or `fn {name}(gate: f32, up: f32) -> f32`")));
        }
        Ok((name.clone(), text))
    });
    read.collect()
}

/// How many numbers a function takes, one or two, if it has a name, takes f32s and gives one, and no more is said of it.
pub fn arguments(function: &ItemFn, name: &str) -> Option<usize> {
    let signature = &function.sig;
    let mut patterns = Vec::new();
    for argument in &signature.inputs {
        let FnArg::Typed(argument) = argument else { return None };
        patterns.push(&argument.pat);
    }
    let ident = &signature.ident;
    let plain = quote!(fn #ident(#(#patterns: f32),*) -> f32).to_string();
    let fits = ident == name && matches!(patterns.len(), 1 | 2) && quote!(#signature).to_string() == plain;
    fits.then_some(patterns.len())
}
