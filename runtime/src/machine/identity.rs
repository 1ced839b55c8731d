//! Who made the processor, and what they call it.

/// See the fields of the same names in [`super::Facts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) vendor: String,
    pub(super) family: u32,
    pub(super) model: u32,
    pub(super) stepping: u32,
}

impl Identity {
    /// Asks the processor itself.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn detect() -> Self {
        x86::identity()
    }

    /// Asks the operating system.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn detect() -> Self {
        let identity = from_cpuinfo(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        // macOS has no such file, and runs on the processors of one maker.
        if cfg!(target_os = "macos") { Self { vendor: "Apple".to_owned(), ..identity } } else { identity }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::__cpuid;

    use super::Identity;

    /// Bits `low..low + width` of `word`.
    const fn bits(word: u32, low: u32, width: u32) -> u32 {
        (word >> low) & ((1 << width) - 1)
    }

    /// The text in registers, up to its first NUL.
    fn text(registers: &[u32]) -> String {
        let bytes: Vec<u8> = registers.iter().flat_map(|register| register.to_le_bytes()).collect();
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(super) fn identity() -> Identity {
        let maker = __cpuid(0);
        let signature = __cpuid(1).eax;
        let (family, model, stepping) = decode(signature);
        Identity { name: name(), vendor: text(&[maker.ebx, maker.edx, maker.ecx]), family, model, stepping }
    }

    /// Family, model and stepping of a signature, extensions included.
    pub(super) const fn decode(signature: u32) -> (u32, u32, u32) {
        let (stepping, model, family) = (bits(signature, 0, 4), bits(signature, 4, 4), bits(signature, 8, 4));
        let model = if matches!(family, 6 | 15) { bits(signature, 16, 4) << 4 | model } else { model };
        let family = if family == 15 { family + bits(signature, 20, 8) } else { family };
        (family, model, stepping)
    }

    /// The name that the maker gave the processor.
    fn name() -> String {
        const NAME: std::ops::RangeInclusive<u32> = 0x8000_0002..=0x8000_0004;
        if __cpuid(0x8000_0000).eax < *NAME.end() {
            return "unknown".into();
        }
        let words: Vec<u32> = NAME.map(__cpuid).flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]).collect();
        text(&words)
    }
}

/// Reads the entry of the first processor in the text of `/proc/cpuinfo`.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn from_cpuinfo(text: &str) -> Identity {
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(key, value)| (key.trim() == name).then(|| value.trim().to_owned()))
    };
    let number = |name: &str| field(name).and_then(|value| parse_number(&value)).unwrap_or(0);
    let unknown = || "unknown".to_owned();
    Identity {
        name: field("model name").or_else(|| field("Model")).unwrap_or_else(unknown),
        vendor: field("CPU implementer").unwrap_or_else(unknown),
        family: number("CPU architecture"),
        model: number("CPU part"),
        stepping: number("CPU variant") << 4 | number("CPU revision"),
    }
}

/// A number as `/proc/cpuinfo` writes it: `0xd0c` or `12`.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn signatures_are_decoded() {
        assert_eq!(x86::decode(0x000c_06f2), (6, 207, 2)); // Emerald Rapids
        assert_eq!(x86::decode(0x00b4_0f40), (26, 68, 0)); // Zen 5
        assert_eq!(x86::decode(0x0000_0543), (5, 4, 3)); // Pentium MMX: its extensions are not used
    }

    #[test]
    fn cpuinfo_of_an_arm_core_is_read() {
        let text = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n\
                    CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n\
                    processor\t: 1\nCPU part\t: 0xd0d\n";
        let expected = Identity { name: "unknown".into(), vendor: "0x41".into(), family: 8, model: 0xd0c, stepping: 0x31 };
        assert_eq!(from_cpuinfo(text), expected);
    }

    #[test]
    fn cpuinfo_that_says_nothing_is_unknown() {
        let nobody = from_cpuinfo("");
        assert_eq!((nobody.name.as_str(), nobody.vendor.as_str(), nobody.family), ("unknown", "unknown", 0));
    }
}
