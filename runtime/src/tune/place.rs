//! Where this machine's choices are kept.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::{env, fs};

use etcetera::BaseStrategy;

use super::CacheFile;
use crate::machine::Facts;
use crate::registry;

/// The environment variable that names the cache folder.
pub const VARIABLE: &str = "QUANTLOOM_CACHE";

/// The end of the environment of a debug build: what surrounds the kernels is slow there, and its times say nothing about others.
pub(super) const DEBUG: &str = ";debug";

/// What all choices on this machine depend on: the processor, the instruction sets that it has, and whether this program was
/// optimised. One line.
#[must_use]
pub fn environment() -> &'static str {
    static ENVIRONMENT: LazyLock<String> = LazyLock::new(|| {
        let isas = registry::isas().iter().filter(|isa| isa.is_available()).map(|isa| isa.name).collect::<Vec<_>>();
        let build = if cfg!(debug_assertions) { DEBUG } else { "" };
        Facts::detect().fingerprint(&isas) + build
    });
    &ENVIRONMENT
}

/// The program and the system that measure: what may change the speed of a kernel, but rarely changes which is the fastest. One line.
#[must_use]
pub fn system() -> &'static str {
    static SYSTEM: LazyLock<String> = LazyLock::new(|| {
        let Facts { processor, .. } = Facts::detect();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| env::consts::OS.to_owned());
        format!("quantloom {}; {processor}; {}", env!("CARGO_PKG_VERSION"), kernel.trim())
    });
    &SYSTEM
}

/// The folder that `QUANTLOOM_CACHE` names, or else `quantloom` in the user's cache folder; `None` for a user without a home.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let named = env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("quantloom")))
}

/// The cache file of this user on this machine.
pub(super) fn file() -> Option<CacheFile> {
    Some(CacheFile::new(&folder()?, environment()))
}
