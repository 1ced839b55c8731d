//! The rows of the processors.

use proc_macro2::TokenStream;
use quantloom_spec::processor::{Identity, Kind, Peer, Pipes, Processor, Start};
use quote::quote;

use super::super::{gate, numerics};
use super::schedule;
use crate::plan::Plan;

/// `PROCESSORS`.
pub(super) fn rows(plan: &Plan) -> TokenStream {
    let rows = plan.processors.iter().map(|processor| row(plan, processor));
    quote! {
        /// What is known of microarchitectures, in the order of their cards.
        pub static PROCESSORS: &[&abi::Processor] = &[#(#rows),*];
    }
}

fn row(plan: &Plan, processor: &Processor) -> TokenStream {
    let Processor { name, doc, arch, .. } = processor;
    let gate = gate(Some(arch));
    let measured = option(processor.measured.as_ref().map(|line| quote!(#line)));
    let identities = processor.identities.iter().map(identity);
    let pipes = processor.pipes.iter().map(pipes);
    // A slim build has not got every variant.
    let starts = processor.starts.iter().filter(|start| plan.has_start(start)).map(start);
    let peers = processor.peers.iter().map(peer);
    quote! {
        #gate
        &abi::Processor {
            name: #name,
            doc: #doc,
            measured: #measured,
            identities: &[#(#identities),*],
            pipes: &[#(#pipes),*],
            starts: &[#(#starts),*],
            peers: &[#(#peers),*],
        }
    }
}

fn identity(identity: &Identity) -> TokenStream {
    let vendor = &identity.vendor;
    let family = option(identity.family.map(|family| quote!(#family)));
    let models = identity.models.iter().map(|range| {
        let (first, last) = (range.start(), range.end());
        quote!(#first..=#last)
    });
    quote!(abi::Identity { vendor: #vendor, family: #family, models: &[#(#models),*] })
}

fn pipes(pipes: &Pipes) -> TokenStream {
    let Pipes { vector_bits, of, a_cycle } = pipes;
    let of = of.iter().map(|kind| match kind {
        Kind::Broadcasts => quote!(abi::Kind::Broadcasts),
        Kind::Loads => quote!(abi::Kind::Loads),
        Kind::Stores => quote!(abi::Kind::Stores),
        Kind::Products => quote!(abi::Kind::Products),
        Kind::Floats => quote!(abi::Kind::Floats),
        Kind::Converts => quote!(abi::Kind::Converts),
        Kind::Integers => quote!(abi::Kind::Integers),
    });
    quote!(abi::Pipes { vector_bits: #vector_bits, of: &[#(#of),*], a_cycle: #a_cycle })
}

fn peer(peer: &Peer) -> TokenStream {
    let Peer { name, record, batch, times } = peer;
    let times = times.iter().map(|(format, times)| quote!((#format, #times)));
    quote!(abi::Peer { name: #name, record: #record, batch: #batch, times: &[#(#times),*] })
}

fn start(start: &Start) -> TokenStream {
    let Start { isa, tile, batch, .. } = start;
    let (numerics, schedule) = (numerics(start.numerics), schedule(start.schedule));
    let [far, near, tiles] = [start.far, start.near, start.tiles].map(|argument| option(argument.map(|value| quote!(#value))));
    let bits = option(start.bits.map(|bits| quote!(#bits)));
    let keep = start.keep;
    quote! {
        abi::Start {
            isa: #isa,
            numerics: #numerics,
            schedule: #schedule,
            tile: #tile,
            batch: &[#(#batch),*],
            bits: #bits,
            far: #far,
            near: #near,
            tiles: #tiles,
            keep: #keep,
        }
    }
}

fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(|| quote!(None), |value| quote!(Some(#value)))
}
