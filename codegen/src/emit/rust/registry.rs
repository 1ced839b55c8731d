//! The registry: the only list of formats, instruction sets, processors and kernels.

mod processors;

use std::collections::BTreeMap;

use proc_macro2::{Ident, TokenStream};
use quantloom_spec::isa::{Dot, Isa};
use quantloom_spec::kernels::{Distances, Prefetch, Schedule, Variant};
use quote::{format_ident, quote};

use super::kernel::Kernel;
use super::{Width, class_module, format_module, gate, kernel_module, numerics, storage, unit, value};
use crate::lower::class::{Class, Codes, PALETTE};
use crate::plan::{Plan, PlannedFormat, kernel_name};

/// Hash of each generated file's text, by its stem.
type Hashes = BTreeMap<String, u64>;

/// `FORMATS`, in the crate that is the support itself also `ISAS` and `PROCESSORS`, and what they refer to.
pub fn registry(plan: &Plan, support: &syn::Path, hashes: &Hashes) -> TokenStream {
    // Other crates use the rows of the support: an instruction set is one thing, whoever has kernels for it, and so is a processor.
    let is_support = support.is_ident("crate");
    let isas = if is_support { isa_rows(plan) } else { quote!(use #support::isas;) };
    let processors = is_support.then(|| processors::rows(plan));
    let tables = tables(plan);
    let classes = plan.classes.iter().map(|(name, class)| class_row(name, class));
    let formats = plan.formats.iter().map(|format| format_row(plan, format, hashes));
    let format_refs = plan.formats.iter().map(|format| static_name(&format_module(format)));
    quote! {
        use #support::{abi, stored};

        /// The formats, in the order of their cards.
        pub static FORMATS: &[&abi::Format] = &[#(&#format_refs),*];

        #isas
        #processors
        #tables
        #(#classes)*
        #(#formats)*
    }
}

fn static_name(module: &Ident) -> Ident {
    format_ident!("{}", module.to_string().to_uppercase())
}

/// The row of an instruction set.
pub fn isa_name(isa: &Isa) -> Ident {
    format_ident!("{}", isa.name.to_uppercase().replace('-', "_"))
}

/// `ISAS` and its rows.
fn isa_rows(plan: &Plan) -> TokenStream {
    let rows = plan.isas.iter().map(|isa| isa_row(isa, &plan.isas));
    let refs = plan.isas.iter().map(|isa| {
        let (gate, name) = (gate(isa.arch.as_deref()), isa_name(isa));
        quote!(#gate &isas::#name)
    });
    quote! {
        /// The instruction sets that kernels were generated for, lowest rank first.
        pub static ISAS: &[&abi::Isa] = &[#(#refs),*];

        /// The rows of the instruction sets.
        pub mod isas {
            use crate::{abi, compiled_rows};

            #(#rows)*
        }
    }
}

/// The texts of the tables that cards name; cards share them.
fn tables(plan: &Plan) -> TokenStream {
    let named = plan.formats.iter().flat_map(|format| &format.card.tables);
    let statics = named.map(|(name, text)| (table_name(name, text), text)).collect::<BTreeMap<_, _>>();
    let statics = statics.into_iter().map(|(item, text)| quote!(static #item: &str = #text;));
    quote!(#(#statics)*)
}

/// Two folders of cards may have tables of one name.
fn table_name(name: &str, text: &str) -> Ident {
    format_ident!("TABLE_{}_{:016X}", name.to_uppercase(), crate::hash(text))
}

/// What compiles a function for an instruction set.
pub fn enable(isa: &Isa) -> Option<TokenStream> {
    let all = isa.features.join(",");
    (!all.is_empty()).then(|| quote!(#[target_feature(enable = #all)]))
}

fn isa_row(isa: &Isa, isas: &[Isa]) -> TokenStream {
    let (gate, item, name, doc, rank) = (gate(isa.arch.as_deref()), isa_name(isa), &isa.name, &isa.doc, isa.rank);
    let enable = enable(isa);
    let available = if isa.features.is_empty() {
        quote!(true)
    } else {
        let features = &isa.features;
        let arch = isa.arch.as_deref().unwrap_or_default();
        let detect = format_ident!("is_{}_feature_detected", if arch == "x86_64" { "x86" } else { arch });
        quote!(#(std::arch::#detect!(#features))&&*)
    };
    let base = isa.lineage(isas).nth(1).map(isa_name);
    let base = base.map_or_else(|| quote!(None), |base| quote!(Some(&#base)));
    let vector_bits = isa.vector_bits;
    let primitive = match isa.dot {
        Dot::Scalar => quote!(abi::Dot::Scalar),
        Dot::PairsI16 => quote!(abi::Dot::PairsI16),
        Dot::ProductsI16 => quote!(abi::Dot::ProductsI16),
        Dot::QuadsI32 => quote!(abi::Dot::QuadsI32),
        Dot::SignedQuadsI32 => quote!(abi::Dot::SignedQuadsI32),
        Dot::MatrixI32 => quote!(abi::Dot::MatrixI32),
    };
    quote! {
        #gate
        #[doc = #doc]
        pub static #item: abi::Isa = abi::Isa {
            name: #name,
            doc: #doc,
            rank: #rank,
            vector_bits: #vector_bits,
            primitive: #primitive,
            #[doc = " SAFETY: row functions are safe but for the features that they enable, which are looked for, those of the base among them."]
            access: unsafe { abi::Access::new(#base, || #available, compiled_rows!([#enable])) },
        };
    }
}

fn class_row(name: &str, class: &Class) -> TokenStream {
    let (item, module) = (static_name(&class_module(name)), class_module(name));
    let (unit_weights, unit_bytes, span, step, zero) = (class.unit, class.unit_bytes(), class.span, class.step, class.zero);
    let zero_group = class.zero_group.map_or_else(|| quote!(None), |group| quote!(Some(#group)));
    let palette = matches!(class.codes, Codes::Bytes(_));
    quote! {
        static #item: abi::Class = abi::Class {
            name: #name,
            unit_weights: #unit_weights,
            unit_bytes: #unit_bytes,
            span: #span,
            step: #step,
            zero: #zero,
            zero_group: #zero_group,
            palette: #palette,
            unpack: super::#module::unpack,
        };
    }
}

fn format_row(plan: &Plan, planned: &PlannedFormat, hashes: &Hashes) -> TokenStream {
    let (format, module) = (&planned.card.format, format_module(planned));
    let (item, name, doc, card) = (static_name(&module), &format.name, &format.doc, &planned.card.text);
    let (weights, storage) = (planned.decoder.weights, storage::row(format));
    let gguf = format.gguf.map_or_else(|| quote!(None), |number| quote!(Some(#number)));
    let drawing = format!("{}\n{}", quantloom_spec::draw(format), format.summary());
    let uncovered = planned.uncovered.as_ref().map_or_else(|| quote!(None), |what| quote!(Some(#what)));
    let tables = planned.card.tables.iter().map(|(name, text)| {
        let text = table_name(name, text);
        quote!(abi::Table { name: #name, text: #text })
    });
    let hash = combine(hashes, planned, plan);
    let on_demand = !format.kernels && planned.class.is_none() && Class::of(format).is_ok();
    let packed = planned.class.as_ref().map_or_else(
        || quote!(None),
        |(name, class)| {
            let kernels = kernel_rows(plan, planned, name, hashes);
            let (class, palette) = (static_name(&class_module(name)), palette(class));
            quote!(Some(abi::Packed { class: &#class, palette: #palette, pack: super::#module::pack, kernels: &[#(#kernels),*] }))
        },
    );
    quote! {
        static #item: abi::Format = abi::Format {
            name: #name,
            doc: #doc,
            card: #card,
            tables: &[#(#tables),*],
            drawing: #drawing,
            gguf: #gguf,
            block_weights: #weights,
            storage: #storage,
            decode: super::#module::decode,
            packed: #packed,
            uncovered: #uncovered,
            on_demand: #on_demand,
            hash: #hash,
        };
    }
}

/// The palette of a format.
fn palette(class: &Class) -> TokenStream {
    match &class.codes {
        Codes::Linear | Codes::E4m3 | Codes::None => quote!(abi::Palette::NONE),
        Codes::Bytes(bytes) => {
            let bytes = (0..PALETTE).map(|code| bytes.get(code).copied().unwrap_or_default());
            quote!(abi::Palette { bytes: [#(#bytes),*], ..abi::Palette::NONE })
        }
        Codes::Floats(floats) => {
            let floats = (0..16).map(|code| value::float(floats.get(code).copied().unwrap_or_default()));
            quote!(abi::Palette { floats: [#(#floats),*], ..abi::Palette::NONE })
        }
    }
}

/// The hash of everything that was generated for a format.
fn combine(hashes: &Hashes, planned: &PlannedFormat, plan: &Plan) -> u64 {
    let mut stems = vec![format_module(planned).to_string()];
    if let Some((name, class)) = &planned.class {
        stems.push(class_module(name).to_string());
        let modules = plan.kernel_files(class).map(|(isa, numerics)| kernel_module(name, isa, numerics));
        stems.extend(modules.map(|module| module.to_string()));
    }
    let text = stems.iter().map(|stem| format!("{stem}={:016x};", hashes[stem])).collect::<String>();
    crate::hash(&text)
}

fn kernel_rows(plan: &Plan, planned: &PlannedFormat, class: &str, hashes: &Hashes) -> Vec<TokenStream> {
    let rows = plan.isas.iter().flat_map(|isa| plan.variants_of(isa).map(move |variant| (isa, variant)));
    let has = |numerics| planned.class.as_ref().is_some_and(|(_, class)| class.has(numerics));
    rows.filter(|(_, variant)| has(variant.numerics) && plan.lists(planned, variant))
        .map(|(isa, variant)| kernel_row(planned, class, isa, variant, hashes))
        .collect()
}

fn kernel_row(planned: &PlannedFormat, class_name: &str, isa: &Isa, variant: &Variant, hashes: &Hashes) -> TokenStream {
    let (_, class) = planned.class.as_ref().expect("only formats with a class have kernels");
    let format = &planned.card.format.name;
    let name = kernel_name(format, variant);
    let module = kernel_module(class_name, isa, variant.numerics);
    let kernel = Kernel::new(class, isa, variant);
    let (function, counts) = (kernel.name(), kernel.counts_name());
    let layout = unit::layout_name(variant.numerics, variant.cols);
    let (gate, isa_item) = (gate(isa.arch.as_deref()), isa_name(isa));
    let schedule = schedule(variant.schedule);
    let numerics = numerics(variant.numerics);
    let prefetch = match variant.prefetch {
        Prefetch::None => quote!(abi::Prefetch::None),
        Prefetch::Near => quote!(abi::Prefetch::Near),
        Prefetch::Far => quote!(abi::Prefetch::Far),
        Prefetch::Both => quote!(abi::Prefetch::Both),
    };
    let Distances { far, near } = variant.distances;
    let (rows, cols, tile) = (variant.rows, variant.cols, variant.tile_name());
    let batch = &variant.batch;
    let hash = crate::hash(&format!("{name}={:016x}", hashes[&module.to_string()]));
    debug_assert!(rows.is_multiple_of(Width::of(isa).lanes));
    quote! {
        #gate
        abi::Kernel {
            name: #name,
            format: #format,
            numerics: #numerics,
            schedule: #schedule,
            rows: #rows,
            cols: #cols,
            tile: #tile,
            prefetch: #prefetch,
            distances: (#far, #near),
            batch: &[#(#batch),*],
            activations: super::#module::#layout,
            counts: super::#module::#counts,
            #[doc = " SAFETY: the function is safe but for the features that it enables, which are those of the instruction set."]
            body: unsafe { abi::Body::new(&isas::#isa_item, super::#module::#function) },
            hash: #hash,
        }
    }
}

/// `Schedule` of the registry.
fn schedule(schedule: Schedule) -> TokenStream {
    match schedule {
        Schedule::Direct => quote!(abi::Schedule::Direct),
        Schedule::Panel => quote!(abi::Schedule::Panel),
    }
}
