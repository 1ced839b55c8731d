//! What the assembler reports of each kernel.

/// What a kernel needs of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The kernel.
    pub name: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of a thread's stack.
    pub stack: u32,
    /// Bytes that a thread stores because it is short of registers.
    pub spill_stores: u32,
    /// Bytes that it loads again.
    pub spill_loads: u32,
}

/// Reads the lines of `ptxas -v`.
pub(super) fn resources(log: &str) -> Vec<Resources> {
    let mut kernels: Vec<Resources> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let name = rest.split('\'').next().unwrap_or_default().to_owned();
            kernels.push(Resources { name, ..Resources::default() });
        }
        let Some(kernel) = kernels.last_mut() else { continue };
        let set = |place: &mut u32, unit| *place = before(line, unit).unwrap_or(*place);
        set(&mut kernel.registers, "registers");
        set(&mut kernel.stack, "bytes stack frame");
        set(&mut kernel.spill_stores, "bytes spill stores");
        set(&mut kernel.spill_loads, "bytes spill loads");
    }
    kernels
}

/// The number before a unit.
fn before(line: &str, unit: &str) -> Option<u32> {
    let (front, _) = line.split_once(unit)?;
    front.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_assembler_prints() {
        let log = "ptxas info    : 12 bytes gmem, 24 bytes cmem[4]\n\
            ptxas info    : Compiling entry function 'sum' for 'sm_80'\n\
            ptxas info    : Function properties for sum\n\
            ptxas         .     16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n\
            ptxas info    : Used 32 registers, used 0 barriers, 376 bytes cmem[0]\n\
            ptxas info    : Compiling entry function 'copy' for 'sm_80'\n\
            ptxas info    : Used 8 registers\n";
        let sum = Resources { name: "sum".into(), registers: 32, stack: 16, spill_stores: 8, spill_loads: 12 };
        let copy = Resources { name: "copy".into(), registers: 8, ..Resources::default() };
        assert_eq!(resources(log), [sum, copy]);
    }
}
