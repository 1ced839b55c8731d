//! ik_llama.cpp: one `ggml_mul_mat` on the CPU back end of its ggml, with weights as they are stored, or with their rows interleaved, as its
//! programs do it with `-rtr`. Its library is opened from where the user has built it; its functions have the names of llama.cpp's, so
//! they are looked up there.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use libloading::Library;
use llama_cpp_sys_2 as ggml;
use quantloom_bench::record::IK;

use crate::contender::Result;
use crate::ggml::api::{Api, LINKED, function};
use crate::ggml::memory::Tensor;
use crate::ggml::{Cpu, Ggml, Way, instructions};

/// The library and its back end.
pub struct Ik {
    version: String,
    cpu: Cpu,
    own: Own,
    path: PathBuf,
}

/// The functions that no other ggml has, or not with these types.
struct Own {
    type_name: unsafe extern "C" fn(ggml::ggml_type) -> *const c_char,
    type_traits: unsafe extern "C" fn(ggml::ggml_type) -> Traits,
    repacked_type: unsafe extern "C" fn(*const ggml::ggml_tensor) -> c_int,
    repack: unsafe extern "C" fn(*mut ggml::ggml_tensor),
    /// Sends the threads of OpenMP to sleep. Without OpenMP, threads end with each multiplication.
    pause: Option<unsafe extern "C" fn(c_int) -> c_int>,
}

/// What ik_llama.cpp's ggml tells of a type: its `ggml_type_traits_t`. What is read of it is compared with what its functions return.
#[repr(C)]
struct Traits {
    name: *const c_char,
    block_values: i64,
    _interleaved: i64,
    block_bytes: usize,
    _is_quantised: bool,
    _conversions: [Option<unsafe extern "C" fn()>; 4],
    dot: Option<unsafe extern "C" fn()>,
    /// What follows, and more than it can need.
    _rest: MaybeUninit<[u64; 64]>,
}

impl Ik {
    /// What was built in `folder`, a checkout or its build folder.
    ///
    /// # Errors
    /// One line that names the folder or the library, if there is none, or none that can take part.
    pub fn start(folder: &Path, threads: usize) -> Result<Rc<dyn Ggml>> {
        let path = find(folder)?;
        // It stays open to the end: threads of OpenMP may be in it.
        let library = ManuallyDrop::new(open(&path)?);
        // SAFETY: the functions of these names are those of a ggml, and the library stays open.
        let (api, own) = unsafe { (Api::of(&library, &path)?, Own::of(&library, &path)?) };
        let remedy = "build it again on this machine, with GGML_NATIVE=ON";
        let instructions = instructions(&api, &path.display().to_string(), remedy)?;
        let version =
            format!("{IK} ({}), compiled for {instructions}", commit(folder).unwrap_or("of unknown commit".to_owned()));
        let cpu = Cpu::new(Box::leak(Box::new(api)), threads)?;
        Ok(Rc::new(Self { version, cpu, own, path }))
    }
}

impl Own {
    /// Those of a library.
    ///
    /// # Safety
    /// The library stays open for as long as the functions are called.
    unsafe fn of(library: &Library, path: &Path) -> Result<Self> {
        // SAFETY: the caller says that the library stays open, and in ik_llama.cpp functions of these names have these types.
        unsafe {
            // Without it, what multiplies is what it has from llama.cpp.
            function::<*const c_void>(library, path, "iqk_mul_mat_4d")?;
            let pause = function(library, path, "omp_pause_resource_all").ok();
            if pause.is_none() && function::<*const c_void>(library, path, "omp_get_num_threads").is_ok() {
                let problem = "its OpenMP cannot send threads to sleep; a compiler of 2019 or later has one that can";
                return Err(format!("{}: {problem}", path.display()).into());
            }
            Ok(Self {
                type_name: function(library, path, "ggml_type_name")?,
                type_traits: function(library, path, "ggml_internal_get_type_traits")?,
                repacked_type: function(library, path, "iqk_repacked_type")?,
                repack: function(library, path, "iqk_repack_tensor")?,
                pause,
            })
        }
    }
}

impl Ggml for Ik {
    fn version(&self) -> &str {
        &self.version
    }

    fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    fn ways(&self) -> Vec<Way> {
        // SAFETY: it only returns the type of plain memory, which lives as long as the library.
        let memory = unsafe { (self.cpu.api.ggml_backend_cpu_buffer_type)() };
        let way = |name: String, repacks| Way { name, memory, repacks };
        vec![way(IK.to_owned(), false), way(format!("{IK} repacked"), true)]
    }

    fn has_kernel(&self, gguf: u32) -> Result<bool> {
        let api = self.cpu.api;
        // Its own types are numbered from 97 on, far beyond those of files that others write too.
        if gguf >= ggml::GGML_TYPE_COUNT {
            return Ok(false);
        }
        // SAFETY: its table goes beyond the number; the functions only return what it says.
        let (name, size, traits) = unsafe { ((self.own.type_name)(gguf), block(api, gguf), (self.own.type_traits)(gguf)) };
        if traits.name != name || (traits.block_values, traits.block_bytes) != size {
            let problem = "what it tells of types is laid out in another way than in the checkouts that `--ik` takes";
            return Err(format!("{}: {problem} (docs/benchmarks.md)", self.path.display()).into());
        }
        // SAFETY: the number is one of llama.cpp's.
        let same = size == unsafe { block(&LINKED, gguf) };
        Ok(!name.is_null() && same && traits.dot.is_some())
    }

    fn repacked(&self, gguf: u32, weights: Tensor) -> Option<String> {
        // SAFETY: the tensor is alive, and of this library; what it is told to become is a type of this library, with a constant name.
        unsafe {
            let kind = ggml::ggml_type::try_from((self.own.repacked_type)(weights.as_ptr())).ok()?;
            (kind != gguf).then(|| CStr::from_ptr((self.own.type_name)(kind)).to_string_lossy().into_owned())
        }
    }

    fn repack(&self, weights: Tensor) {
        // SAFETY: the tensor is alive, of this library, and has its bytes.
        unsafe { (self.own.repack)(weights.as_ptr()) };
    }

    fn foreign(&self) -> bool {
        true
    }

    fn rest(&self) {
        if let Some(pause) = self.own.pause {
            // SAFETY: no multiplication is running. The next one starts threads again. 1 is `omp_pause_soft`.
            unsafe { pause(1) };
        }
    }
}

/// Values and bytes of a block.
///
/// # Safety
/// The ggml has a type of that number, or room for it.
unsafe fn block(api: &Api, gguf: u32) -> (i64, usize) {
    // SAFETY: the caller says so; the functions only return what a table says.
    unsafe { ((api.ggml_blck_size)(gguf), (api.ggml_type_size)(gguf)) }
}

/// The library in a checkout or its build folder.
fn find(folder: &Path) -> Result<PathBuf> {
    let name = format!("{DLL_PREFIX}ggml{DLL_SUFFIX}");
    let places = ["build/ggml/src", "ggml/src", "build/bin", "bin", ""].map(|place| folder.join(place).join(&name));
    let found = places.into_iter().find(|path| path.is_file());
    let remedy = "give the folder of a checkout of ik_llama.cpp that is built with shared libraries, or its build folder";
    found.ok_or_else(|| {
        format!("--ik {}: no {name} in it, its ggml/src or its build/ggml/src; {remedy}", folder.display()).into()
    })
}

/// Opens a library so that its functions call each other, not those of llama.cpp that have the same names.
fn open(path: &Path) -> Result<Library> {
    #[cfg(unix)]
    // SAFETY: what runs when it is opened prepares the library for use, and that alone.
    let library = unsafe {
        use libloading::os::unix;
        /// In glibc, functions of the library come before those of the program.
        const DEEPBIND: c_int = if cfg!(all(target_os = "linux", target_env = "gnu")) { 8 } else { 0 };
        unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL | DEEPBIND).map(Library::from)
    };
    #[cfg(not(unix))]
    // SAFETY: as above. Such systems look functions up in one library only.
    let library = unsafe { Library::new(path) };
    library.map_err(|error| {
        // It begins with the path.
        let reason = error.source().map_or_else(|| format!("{}: {error}", path.display()), ToString::to_string);
        format!("{reason}; build it again on this machine, with the options that it has by itself").into()
    })
}

/// The commit of a checkout, if `folder` is one or lies in one.
fn commit(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let checkout = folder.ancestors().take(2).find(|folder| folder.join(".git").exists())?;
    let output = Command::new("git").arg("-C").arg(checkout).args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    let hash = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| format!("commit {}", hash.trim()))
}
