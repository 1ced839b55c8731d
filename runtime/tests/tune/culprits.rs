//! A format whose kernels are right, but for some that crash, hang, or give wrong bits.

use std::sync::OnceLock;
use std::{hint, ptr, thread, time::Duration};

use quantloom::measure::synthetic;
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Kernel, Numerics, Packed};
use quantloom::weights::Weights;
use quantloom_kernels::abi::{Arguments, Body, Palette, Run};

use crate::support;

/// A name and a body. Bodies are `unsafe fn` because those of kernels are: callers promise the instruction set, and none of these needs it but
/// [`wrong`], which calls a kernel that has it.
pub type Culprit = (&'static str, Run);

pub const ILLEGAL: Culprit = ("Culprits.illegal", illegal);
pub const FAULT: Culprit = ("Culprits.fault", fault);
pub const HANG: Culprit = ("Culprits.hang", hang);
pub const PANIC: Culprit = ("Culprits.panic", panics);
pub const WRONG: Culprit = ("Culprits.wrong", wrong);

unsafe fn illegal(_: &[u8], _: usize, _: &[u8], _: &Palette, _: Arguments, _: &mut [f32]) {
    // SAFETY: that the process ends here is the point.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("ud2")
    };
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("udf #0")
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::process::abort();
}

unsafe fn fault(_: &[u8], _: usize, _: &[u8], _: &Palette, _: Arguments, _: &mut [f32]) {
    // SAFETY: that the process ends here is the point: nothing is ever mapped at that address.
    unsafe { hint::black_box(ptr::without_provenance_mut::<u8>(8)).write_volatile(1) };
}

unsafe fn hang(_: &[u8], _: usize, _: &[u8], _: &Palette, _: Arguments, _: &mut [f32]) {
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

unsafe fn panics(_: &[u8], _: usize, _: &[u8], _: &Palette, _: Arguments, _: &mut [f32]) {
    panic!("a kernel that panics");
}

/// What [`wrong`] does but for the last bit. A function pointer cannot hold it.
static RIGHT: OnceLock<Run> = OnceLock::new();

unsafe fn wrong(weights: &[u8], units: usize, activations: &[u8], palette: &Palette, arguments: Arguments, out: &mut [f32]) {
    // SAFETY: the kernel that it stands for runs on this processor.
    unsafe { (RIGHT.get().unwrap())(weights, units, activations, palette, arguments, out) };
    out[0] = f32::from_bits(out[0].to_bits() ^ 1);
}

/// Registers the format: kernels of [`support::format`] under other names, then the culprits, which belong to the best instruction
/// set. The same in every process.
pub fn register(culprits: &[Culprit]) -> &'static Format {
    if let Ok(known) = registry::format_by_name("Culprits") {
        return known;
    }
    let like = support::format();
    let packed = like.packed.as_ref().unwrap();
    let copy = |kernel: &Kernel, name: String| Kernel { name: name.leak(), format: "Culprits", ..*kernel };
    let right = packed.kernels.iter().map(|kernel| copy(kernel, kernel.name.replacen(like.name, "Culprits", 1)));
    let mut kernels = right.collect::<Vec<_>>();
    let isa = registry::kernel_isa(like, Numerics::Int8, registry::best_isa());
    let of_isa = |kernel: &&Kernel| kernel.numerics == Numerics::Int8 && ptr::eq(kernel.isa(), isa);
    let model = packed.kernels.iter().rfind(of_isa).unwrap();
    RIGHT.get_or_init(|| model.run());
    // SAFETY: see [`Culprit`]; that some end the process is the point.
    let body = |run| unsafe { Body::new(isa, run) };
    let culprit = |&(name, run): &Culprit| Kernel { body: body(run), batch: &[], ..copy(model, name.to_owned()) };
    kernels.extend(culprits.iter().map(culprit));
    let packed = Packed { kernels: kernels.leak(), ..*packed };
    let format = Box::leak(Box::new(Format { name: "Culprits", gguf: None, packed: Some(packed), ..*like }));
    registry::register(&[format]).unwrap();
    format
}

/// Weights of the format.
pub fn weights(format: &'static Format) -> Weights {
    let (n, k) = (70, 2 * format.block_weights);
    Weights::pack(format, n, k, &synthetic(format, n, k).unwrap(), Pool::global()).unwrap()
}

/// A kernel of the format.
pub fn kernel(format: &'static Format, (name, _): Culprit) -> &'static Kernel {
    registry::kernels(format).iter().find(|kernel| kernel.name == name).unwrap()
}
