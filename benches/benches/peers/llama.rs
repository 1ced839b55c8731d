//! llama.cpp: one `ggml_mul_mat` on its CPU back end, with weights in plain memory, where its tiled kernels run, or in one of its
//! extra kinds of buffers, which repack them.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use llama_cpp_sys_2 as ggml;

use crate::contender::Result;
use crate::ggml::api::LINKED;
use crate::ggml::{Cpu, Ggml, Way, instructions};

/// The back end and its threads, of which the back end is freed first, because it uses them.
pub struct Llama {
    version: String,
    cpu: Cpu,
    threads: Threads,
}

impl Llama {
    /// With a thread pool of its own, as llama.cpp's programs have it.
    ///
    /// # Errors
    /// If it was built without instructions that this processor has.
    pub fn start(threads: usize) -> Result<Rc<dyn Ggml>> {
        // SAFETY: the function lives as long as the program, and uses nothing of what it is given but the text.
        unsafe { ggml::ggml_log_set(Some(warn), ptr::null_mut()) };
        let (version, cpu, threads) = (version()?, Cpu::new(&LINKED, threads)?, Threads::new(threads)?);
        // SAFETY: back end and threads are alive, and stay so together.
        unsafe { ggml::ggml_backend_cpu_set_threadpool(cpu.backend, threads.0.as_ptr()) };
        Ok(Rc::new(Self { version, cpu, threads }))
    }
}

impl Ggml for Llama {
    fn version(&self) -> &str {
        &self.version
    }

    fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// One for each kind of memory that llama.cpp would put weights into; plain memory is not mentioned.
    fn ways(&self) -> Vec<Way> {
        let way = |(index, memory)| {
            // SAFETY: buffer types and their names live as long as the program.
            let kind = unsafe { CStr::from_ptr(ggml::ggml_backend_buft_name(memory)) }.to_string_lossy();
            let name = if index == 0 { "llama.cpp".to_owned() } else { format!("llama.cpp {kind}") };
            Way { name, memory, repacks: false }
        };
        buffer_types().into_iter().enumerate().map(way).collect()
    }

    fn has_kernel(&self, gguf: u32) -> Result<bool> {
        // SAFETY: the number is below that of types, so the table has an entry.
        Ok(gguf < ggml::GGML_TYPE_COUNT
            && unsafe { ggml::ggml_get_type_traits_cpu(gguf).as_ref() }.is_some_and(|traits| traits.vec_dot.is_some()))
    }

    fn foreign(&self) -> bool {
        false
    }

    fn rest(&self) {
        // SAFETY: the threads are alive. The next multiplication resumes them.
        unsafe { ggml::ggml_threadpool_pause(self.threads.0.as_ptr()) };
    }
}

/// The kinds of memory that weights can be in: plain memory first.
fn buffer_types() -> Vec<ggml::ggml_backend_buffer_type_t> {
    // SAFETY: the registry and its device live as long as the program; the function of that name has that type, and returns a list
    // that ends with a null pointer, or none.
    unsafe {
        let registry = ggml::ggml_backend_cpu_reg();
        let device = ggml::ggml_backend_reg_dev_get(registry, 0);
        let mut types = vec![ggml::ggml_backend_dev_buffer_type(device)];
        let extra = ggml::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_dev_get_extra_bufts".as_ptr());
        let extra: ggml::ggml_backend_dev_get_extra_bufts_t = std::mem::transmute(extra);
        let mut next = extra.map_or(ptr::null_mut(), |extra| extra(device));
        while !next.is_null() && !(*next).is_null() {
            types.push(*next);
            next = next.add(1);
        }
        types
    }
}

/// Shows what ggml has to say if it is a warning or an error; it also tells of every tensor that it repacks.
pub extern "C" fn warn(level: ggml::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if matches!(level, ggml::GGML_LOG_LEVEL_WARN | ggml::GGML_LOG_LEVEL_ERROR) {
        // SAFETY: ggml calls with text that ends with a zero.
        eprint!("{}", unsafe { CStr::from_ptr(text) }.to_string_lossy());
    }
}

/// The version, and the instructions that it was built for.
fn version() -> Result<String> {
    let remedy =
        "`cargo clean --release -p llama-cpp-sys-2`, then run cargo in the repository, whose .cargo/config.toml says how";
    let instructions = instructions(&LINKED, "llama.cpp", remedy)?;
    // SAFETY: it returns a constant string.
    let version = unsafe { CStr::from_ptr(ggml::ggml_version()) }.to_string_lossy();
    Ok(format!("llama.cpp (ggml {version}), compiled for {instructions}"))
}

/// A thread pool.
struct Threads(NonNull<ggml::ggml_threadpool>);

impl Threads {
    fn new(threads: usize) -> Result<Self> {
        let threads = c_int::try_from(threads)?;
        // SAFETY: the parameters are initialised by the first call; what the second returns is checked, and freed by `drop`.
        let pool = unsafe {
            let mut parameters = ggml::ggml_threadpool_params_default(threads);
            ggml::ggml_threadpool_new(&raw mut parameters)
        };
        Ok(Self(NonNull::new(pool).ok_or("ggml has no threads")?))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // SAFETY: it came from its constructor, and nothing else frees it.
        unsafe { ggml::ggml_threadpool_free(self.0.as_ptr()) };
    }
}
