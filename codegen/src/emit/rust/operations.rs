//! The operations, and what gates rows: activation functions, compiled once per instruction set.

use proc_macro2::{Ident, TokenStream};
use quantloom_spec::isa::Isa;
use quantloom_spec::operation::{Operation, Projections, Prologue};
use quote::{format_ident, quote};
use syn::ItemFn;

use super::gate;
use super::registry::{enable, isa_name};
use crate::functions;
use crate::plan::Plan;

/// `OPERATIONS`, in the order of their cards.
pub fn operations(plan: &Plan) -> TokenStream {
    let rows = plan.operations.iter().map(row);
    let functions = plan.functions.iter().map(|(name, function)| activation_function(name, function, &plan.isas));
    quote! {
        use super::registry::isas;
        use crate::abi;
        use crate::rows::*;

        /// The operations, in the order of their cards.
        pub static OPERATIONS: &[abi::Operation] = &[#(#rows),*];

        #(#functions)*
    }
}

/// The row of an activation function, and what gates with it on each instruction set.
fn activation_function(name: &str, text: &str, isas: &[Isa]) -> TokenStream {
    let function: ItemFn = syn::parse_str(text).expect("the function was parsed when it was read");
    let (item, own) = (static_name(name), format_ident!("{name}"));
    let value = match functions::arguments(&function, name) {
        Some(2) => quote!(#own(gate, up)),
        _ => quote!(#own(gate) * up),
    };
    let gated = format_ident!("{name}_gated");
    let gate_name = |isa| format_ident!("{item}_{}", isa_name(isa));
    let gates = isas.iter().map(|isa| {
        let (cfg, enable, isa_item, gate_item) = (gate(isa.arch.as_deref()), enable(isa), isa_name(isa), gate_name(isa));
        quote! {
            #cfg
            static #gate_item: abi::Gate = {
                #enable
                fn gate(gates: &mut [f32], ups: &[f32]) {
                    for (gate, up) in gates.iter_mut().zip(ups) {
                        *gate = #gated(*gate, *up);
                    }
                }
                #[doc = " SAFETY: the function is safe but for the features that it enables, which are those of the instruction set."]
                let gate = unsafe { abi::Gate::new(&isas::#isa_item, gate) };
                gate
            };
        }
    });
    let refs = isas.iter().map(|isa| {
        let (cfg, gate_item) = (gate(isa.arch.as_deref()), gate_name(isa));
        quote!(#cfg &#gate_item)
    });
    quote! {
        #[inline(always)]
        #function

        #[inline(always)]
        fn #gated(gate: f32, up: f32) -> f32 {
            #value
        }

        #(#gates)*

        static #item: abi::ActivationFunction = abi::ActivationFunction { name: #name, value: #gated, gates: &[#(#refs),*] };
    }
}

fn static_name(function: &str) -> Ident {
    format_ident!("{}", function.to_uppercase())
}

fn row(operation: &Operation) -> TokenStream {
    let (name, doc, kernels) = (&operation.name, &operation.doc, operation.kernels.name());
    let prologue = match operation.prologue {
        Prologue::None => quote!(abi::Prologue::None),
        Prologue::RmsNorm => quote!(abi::Prologue::RmsNorm),
    };
    let projections = match operation.projections {
        Projections::One => quote!(abi::Projections::One),
        Projections::Several => quote!(abi::Projections::Several),
        Projections::Gated => quote!(abi::Projections::Gated),
    };
    let (bias, residual) = (operation.epilogue.bias, operation.epilogue.residual);
    let activation = operation.epilogue.activation.as_ref().map_or_else(
        || quote!(None),
        |function| {
            let item = static_name(function);
            quote!(Some(&#item))
        },
    );
    quote! {
        abi::Operation {
            name: #name,
            doc: #doc,
            kernels: #kernels,
            prologue: #prologue,
            projections: #projections,
            epilogue: abi::Epilogue { bias: #bias, activation: #activation, residual: #residual },
        }
    }
}
