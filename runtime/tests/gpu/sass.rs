//! Instructions of machine code, as NVIDIA's disassembler spells them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// How often each kernel has an instruction, by the name of both.
pub struct Instructions(BTreeMap<String, BTreeMap<String, usize>>);

impl Instructions {
    /// Of machine code.
    pub fn of(cubin: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module.cubin");
        fs::write(&path, cubin).unwrap();
        let output = Command::new("nvdisasm")
            .arg("-c")
            .arg(&path)
            .output()
            .expect("nvdisasm, as the package nvidia-cuda-nvdisasm has it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (mut kernels, mut kernel) = (BTreeMap::<_, BTreeMap<_, _>>::new(), String::new());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some(name) = line.strip_prefix(".text.") {
                kernel = name.trim_end_matches(':').to_owned();
            }
            // `/*0010*/ @!P0 LDG.E.128.CONSTANT R4, ...`
            let Some((_, code)) = line.trim_start().strip_prefix("/*").and_then(|line| line.split_once("*/")) else { continue };
            if let Some(name) = code.split_whitespace().find(|word| !word.starts_with(['@', '{'])) {
                *kernels.entry(kernel.clone()).or_default().entry(name.trim_end_matches(';').to_owned()).or_default() += 1;
            }
        }
        Self(kernels)
    }

    /// How many of a kernel begin so.
    pub fn count(&self, kernel: &str, begin: &str) -> usize {
        let all = self.0.get(kernel).unwrap_or_else(|| panic!("no kernel {kernel}"));
        all.iter().filter(|(name, _)| name.starts_with(begin)).map(|(_, count)| count).sum()
    }
}
