//! Sizes of the data caches.

use std::fs;
use std::path::Path;

/// The data caches of a core, in bytes. A level that the processor does not have is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// First level, of one core.
    pub l1d: usize,
    /// Second level, of one core or a small cluster.
    pub l2: usize,
    /// Third level, shared.
    pub l3: usize,
    /// Logical cores that share one third-level cache; 1 if there is none.
    pub l3_sharers: usize,
}

impl Caches {
    /// A modest guess, for machines that tell nothing.
    const GUESS: Self = Self { l1d: 32 << 10, l2: 512 << 10, l3: 8 << 20, l3_sharers: 1 };

    /// Asks the operating system, then the processor, then guesses.
    pub(crate) fn detect() -> Self {
        Self::from_sysfs(Path::new("/sys/devices/system/cpu/cpu0/cache")).or_else(Self::from_cpuid).unwrap_or(Self::GUESS)
    }

    /// The size of the last level that the processor has, in bytes.
    #[must_use]
    pub fn last_level(&self) -> usize {
        self.l3.max(self.l2).max(self.l1d)
    }

    /// Gathers levels, if there is a first one among them.
    fn from_levels(levels: impl Iterator<Item = Level>) -> Option<Self> {
        let mut caches = Self { l1d: 0, l2: 0, l3: 0, l3_sharers: 1 };
        for level in levels {
            match level.number {
                1 => caches.l1d = level.bytes,
                2 => caches.l2 = level.bytes,
                3 => (caches.l3, caches.l3_sharers) = (level.bytes, level.sharers.max(1)),
                _ => {}
            }
        }
        (caches.l1d > 0).then_some(caches)
    }

    /// Reads the folder in which Linux describes the caches of a core.
    fn from_sysfs(folder: &Path) -> Option<Self> {
        let entries = fs::read_dir(folder).ok()?;
        Self::from_levels(entries.flatten().filter_map(|entry| Level::from_sysfs(&entry.path())))
    }

    #[cfg(target_arch = "x86_64")]
    fn from_cpuid() -> Option<Self> {
        Self::from_levels(cpuid::levels())
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn from_cpuid() -> Option<Self> {
        None
    }
}

/// One level of a core's caches, holding data.
#[derive(Debug, PartialEq, Eq)]
struct Level {
    number: u32,
    bytes: usize,
    /// Logical cores that share it.
    sharers: usize,
}

impl Level {
    /// Reads the folder in which Linux describes one cache; none if that holds instructions or cannot be read.
    fn from_sysfs(folder: &Path) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        if read("type")?.trim() == "Instruction" {
            return None;
        }
        Some(Self {
            number: read("level")?.trim().parse().ok()?,
            bytes: parse_size(&read("size")?)?,
            sharers: read("shared_cpu_list").and_then(|list| count_cores(&list)).unwrap_or(1),
        })
    }
}

/// A size as Linux writes it, in bytes: `48K`, `2M`, or a bare number.
fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let (digits, shift) = match text.strip_suffix('K') {
        Some(digits) => (digits, 10),
        None => text.strip_suffix('M').map_or((text, 0), |digits| (digits, 20)),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// How many cores a list as Linux writes it names: `0-3,8` names five.
fn count_cores(list: &str) -> Option<usize> {
    list.trim()
        .split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            last.checked_sub(first)?.checked_add(1)
        })
        .sum()
}

#[cfg(target_arch = "x86_64")]
mod cpuid {
    use std::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

    use super::Level;

    /// The caches that the processor describes. Intel and AMD do so in the same form, in different leaves.
    pub(super) fn levels() -> impl Iterator<Item = Level> {
        const INTEL: u32 = 4;
        const AMD: u32 = 0x8000_001d;
        let leaf = if __cpuid(0x8000_0000).eax >= AMD { AMD } else { INTEL };
        let count = if __cpuid(leaf & 0x8000_0000).eax >= leaf { 16 } else { 0 };
        (0..count)
            .map(move |index| __cpuid_count(leaf, index))
            .take_while(|description| description.eax & 31 != 0)
            .filter_map(level)
    }

    /// Decodes one description; none if it is of an instruction cache.
    pub(super) fn level(description: CpuidResult) -> Option<Level> {
        const INSTRUCTION: u32 = 2;
        let CpuidResult { eax, ebx, ecx, .. } = description;
        let (ways, partitions, line) = ((ebx >> 22) + 1, (ebx >> 12 & 0x3ff) + 1, (ebx & 0xfff) + 1);
        (eax & 31 != INSTRUCTION).then(|| Level {
            number: eax >> 5 & 7,
            bytes: [ways, partitions, line].into_iter().fold(ecx as usize + 1, |bytes, factor| bytes * factor as usize),
            sharers: (eax >> 14 & 0xfff) as usize + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let read = ["48K\n", "2M", "65536", "", "K", "1G", "-1K"].map(parse_size);
        assert_eq!(read, [Some(48 << 10), Some(2 << 20), Some(65536), None, None, None, None]);
    }

    #[test]
    fn core_lists_are_counted() {
        let counts = ["0\n", "0-3", "0-3,8", "0,2,4-5", "", "3-1", "a"].map(count_cores);
        assert_eq!(counts, [Some(1), Some(4), Some(5), Some(4), None, None, None]);
    }

    #[test]
    fn a_missing_folder_tells_nothing() {
        assert_eq!(Caches::from_sysfs(Path::new("no/such/folder")), None);
    }

    #[test]
    fn levels_are_gathered() {
        let level = |number, bytes| Level { number, bytes, sharers: 6 };
        assert_eq!(Caches::from_levels([level(2, 9)].into_iter()), None);
        let caches = Caches::from_levels([level(2, 9), level(1, 5)].into_iter()).unwrap();
        assert_eq!(caches, Caches { l1d: 5, l2: 9, l3: 0, l3_sharers: 1 });
        assert_eq!(caches.last_level(), 9);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_description_is_decoded() {
        // A first-level data cache of 64 sets, 12 ways and lines of 64 bytes, for two logical cores.
        let description = std::arch::x86_64::CpuidResult { eax: 1 << 14 | 1 << 5 | 1, ebx: 11 << 22 | 63, ecx: 63, edx: 0 };
        assert_eq!(cpuid::level(description), Some(Level { number: 1, bytes: 48 << 10, sharers: 2 }));
    }
}
