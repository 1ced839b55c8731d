//! A card of every kind, and behind a line of `====` the table `own`; of a format that is right, its picture, its weights and its encoder.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom::encode::Encoder;
use quantloom_fuzz::cards::{formats, right_card};
use quantloom_fuzz::right;
use quantloom_spec::gpu::read_dialect;
use quantloom_spec::isa::{Isa, read_isa};
use quantloom_spec::kernels::{Kernels, read_kernels};
use quantloom_spec::model::{Format, Storage};
use quantloom_spec::operation::read_operation;
use quantloom_spec::processor::read_processor;
use quantloom_spec::{Spec, cards_dir, draw, eval};

/// Weights of a block that are decoded.
const FEW: usize = 1 << 12;

static SPEC: LazyLock<Spec> = LazyLock::new(|| Spec::read(cards_dir()).expect("cards that are checked by tests"));
static ISAS: LazyLock<Vec<Isa>> = LazyLock::new(|| SPEC.isas.iter().map(|(_, isa)| isa.clone()).collect());
static KERNELS: LazyLock<Vec<Kernels>> = LazyLock::new(|| SPEC.kernels.iter().map(|(_, kernels)| kernels.clone()).collect());

fn use_format(format: &Format) {
    assert!(!draw(format).is_empty() && !format.summary().to_string().is_empty());
    if let Storage::Blocks(blocks) = &format.storage
        && blocks.weights <= FEW
    {
        let row = vec![0xA5; blocks.row_bytes(blocks.weights)];
        assert_eq!(eval::decode_rows(format, &row, blocks.weights).len(), blocks.weights);
    }
    right(Encoder::of_model(format));
}

fuzz_target!(init: LazyLock::force(&KERNELS), |bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    formats(text).iter().for_each(use_format);
    right_card(read_isa("card.toml", text));
    right_card(read_dialect("card.toml", text));
    right_card(read_kernels("card.toml", text, &ISAS));
    right_card(read_operation("card.toml", text, &KERNELS));
    right_card(read_processor("card.toml", text, &ISAS, &KERNELS));
});
