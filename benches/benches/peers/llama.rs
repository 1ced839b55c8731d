//! llama.cpp: one `ggml_mul_mat` on its CPU back end, with weights in plain memory, where its tiled kernels run, or in one of its
//! extra kinds of buffers, which repack them.

mod memory;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use llama_cpp_sys_2 as ggml;
use quantloom::measure::copies;

use crate::contender::{Contender, Result, Task};
use memory::{Buffer, Context};

/// The back end and its threads.
pub struct Backend {
    backend: ggml::ggml_backend_t,
    threads: NonNull<ggml::ggml_threadpool>,
}

impl Backend {
    /// With a thread pool of its own, as llama.cpp's programs have it.
    pub fn new(threads: usize) -> Result<Rc<Self>> {
        let threads = c_int::try_from(threads)?;
        // SAFETY: the function lives as long as the program, and uses nothing of what it is given but the text.
        unsafe { ggml::ggml_log_set(Some(warn), ptr::null_mut()) };
        // SAFETY: the parameters are initialised by the first call; what the others return is checked, and freed by `drop`.
        unsafe {
            let mut parameters = ggml::ggml_threadpool_params_default(threads);
            let backend = ggml::ggml_backend_cpu_init();
            let pool = NonNull::new(ggml::ggml_threadpool_new(&raw mut parameters)).ok_or("ggml has no threads")?;
            if backend.is_null() {
                return Err("ggml has no CPU back end".into());
            }
            ggml::ggml_backend_cpu_set_n_threads(backend, threads);
            ggml::ggml_backend_cpu_set_threadpool(backend, pool.as_ptr());
            Ok(Rc::new(Self { backend, threads: pool }))
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
}

/// Shows what ggml has to say if it is a warning or an error; it also tells of every tensor that it repacks.
extern "C" fn warn(level: ggml::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if matches!(level, ggml::GGML_LOG_LEVEL_WARN | ggml::GGML_LOG_LEVEL_ERROR) {
        // SAFETY: ggml calls with text that ends with a zero.
        eprint!("{}", unsafe { CStr::from_ptr(text) }.to_string_lossy());
    }
}

impl Backend {
    /// The names of those who may take part, one for each kind of memory.
    pub fn contenders() -> impl Iterator<Item = String> {
        Self::buffer_types().into_iter().enumerate().map(|(index, kind)| contender_name(index, kind))
    }
}

/// Plain memory is not mentioned.
fn contender_name(index: usize, kind: ggml::ggml_backend_buffer_type_t) -> String {
    // SAFETY: buffer types and their names live as long as the program.
    let kind = unsafe { CStr::from_ptr(ggml::ggml_backend_buft_name(kind)) }.to_string_lossy();
    if index == 0 { "llama.cpp".to_owned() } else { format!("llama.cpp {kind}") }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // SAFETY: both came from their constructors, and nothing else frees them; the back end goes first, because it uses the threads.
        unsafe {
            ggml::ggml_backend_free(self.backend);
            ggml::ggml_threadpool_free(self.threads.as_ptr());
        }
    }
}

/// The version, and the instructions that it was built for.
///
/// # Errors
/// If it was built without instructions that this processor has: that would be no comparison.
pub fn version() -> Result<String> {
    // SAFETY: these functions only return numbers.
    let built = unsafe { [ggml::ggml_cpu_has_avx2(), ggml::ggml_cpu_has_avx512(), ggml::ggml_cpu_has_avx512_vnni()] };
    #[cfg(target_arch = "x86_64")]
    for (name, present, built) in [
        ("AVX2", is_x86_feature_detected!("avx2"), built[0]),
        ("AVX-512", is_x86_feature_detected!("avx512f"), built[1]),
        ("AVX-512 VNNI", is_x86_feature_detected!("avx512vnni"), built[2]),
    ] {
        if present && built != 1 {
            let remedy = "`cargo clean --release -p llama-cpp-sys-2`, then run cargo in the repository, whose .cargo/config.toml says how";
            return Err(format!("llama.cpp was built without {name}, which this processor has: {remedy}").into());
        }
    }
    let on = |name, built| if built == 1 { name } else { "" };
    let instructions = [on("AVX2", built[0]), on("AVX-512", built[1]), on("AVX-512 VNNI", built[2])].join(" ");
    // SAFETY: it returns a constant string.
    let version = unsafe { CStr::from_ptr(ggml::ggml_version()) }.to_string_lossy();
    Ok(format!("llama.cpp (ggml {version}), compiled for {}", instructions.trim()))
}

/// Weights in copies, all in one kind of memory, and a batch.
pub struct Llama {
    name: String,
    backend: Rc<Backend>,
    task: (u32, usize, usize, usize),
    weights: Context,
    batch: Option<Batch>,
}

/// A multiplication by each copy of the weights, all of the same activations to the same output.
struct Batch {
    graphs: Vec<NonNull<ggml::ggml_cgraph>>,
    y: NonNull<ggml::ggml_tensor>,
    values: usize,
    /// What the graphs lie in.
    _context: Context,
}

impl Llama {
    /// One for each kind of memory that llama.cpp would put such weights into.
    pub fn all(task: &Task<'_>, backend: &Rc<Backend>) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (index, buffer_type) in Backend::buffer_types().into_iter().enumerate() {
            all.extend(Self::new(contender_name(index, buffer_type), task, backend, buffer_type)?);
        }
        Ok(all)
    }

    /// None if such weights cannot be multiplied by in such memory.
    fn new(
        name: String,
        task: &Task<'_>,
        backend: &Rc<Backend>,
        buffer_type: ggml::ggml_backend_buffer_type_t,
    ) -> Result<Option<Self>> {
        let (n, k) = (task.shape.n, task.shape.k);
        // SAFETY: the number is below that of types, so the table has an entry.
        let has_kernel = task.gguf < ggml::GGML_TYPE_COUNT
            && unsafe { ggml::ggml_get_type_traits_cpu(task.gguf).as_ref() }.is_some_and(|traits| traits.vec_dot.is_some());
        if !has_kernel {
            return Ok(None);
        }
        let count = copies(task.stored.len(), task.least_batch);
        let mut weights = Context::new(count, 0)?;
        let tensors = (0..count).map(|_| weights.tensor(task.gguf, k, n)).collect::<Result<Vec<_>>>()?;
        weights.allocate(buffer_type)?;
        let this = Self { name, backend: Rc::clone(backend), task: (task.gguf, n, k, count), weights, batch: None };
        if !this.supported(tensors[0])? {
            return Ok(None);
        }
        for tensor in tensors {
            // SAFETY: the tensor is alive, as its context is, and the size of the bytes is checked to be its own.
            unsafe {
                if ggml::ggml_nbytes(tensor.as_ptr()) != task.stored.len() {
                    return Err(format!("ggml's size of {n}x{k} weights of type {} is another", task.gguf).into());
                }
                ggml::ggml_backend_tensor_set(tensor.as_ptr(), task.stored.as_ptr().cast(), 0, task.stored.len());
            }
        }
        Ok(Some(this))
    }

    /// Whether the back end multiplies by such a tensor, in such memory.
    fn supported(&self, weights: NonNull<ggml::ggml_tensor>) -> Result<bool> {
        let mut context = Context::new(2, 0)?;
        let x = context.tensor(ggml::GGML_TYPE_F32, self.task.2, 1)?;
        let product = context.product(weights, x)?;
        // SAFETY: back end and tensor are alive.
        Ok(unsafe { ggml::ggml_backend_supports_op(self.backend.backend, product.as_ptr()) })
    }
}

impl Contender for Llama {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&mut self, x: &[f32], batch: usize) -> Result<()> {
        let (_, n, k, count) = self.task;
        // SAFETY: it only asks for the size of the tensor.
        let bytes = unsafe { ggml::ggml_nbytes(self.weights.tensors()[0].as_ptr()) };
        let turns = copies(bytes, batch).min(count);
        let mut context = Context::new(1 + turns, turns)?;
        let activations = context.tensor(ggml::GGML_TYPE_F32, k, batch)?;
        let products = self.weights.tensors()[..turns].iter().map(|&weights| context.product(weights, activations));
        let products = products.collect::<Result<Vec<_>>>()?;
        let (x_bytes, y_bytes) = (size_of_val(x), 4 * batch * n);
        let buffer = Buffer::plain(x_bytes + y_bytes)?;
        buffer.place(activations, 0)?;
        for &product in &products {
            buffer.place(product, x_bytes)?;
        }
        // SAFETY: the tensor lies in the buffer, with room for just these values.
        unsafe { ggml::ggml_backend_tensor_set(activations.as_ptr(), x.as_ptr().cast(), 0, x_bytes) };
        let graphs = products.iter().map(|&product| context.graph(product)).collect::<Result<Vec<_>>>()?;
        context.keep(buffer);
        self.batch = Some(Batch { graphs, y: products[0], values: batch * n, _context: context });
        Ok(())
    }

    fn multiply(&mut self, call: usize) -> Result<()> {
        let batch = self.batch.as_ref().ok_or("llama.cpp was not prepared")?;
        let graph = batch.graphs[call % batch.graphs.len()];
        // SAFETY: back end, graph, and the tensors that it names are alive.
        let status = unsafe { ggml::ggml_backend_graph_compute(self.backend.backend, graph.as_ptr()) };
        if status == ggml::GGML_STATUS_SUCCESS { Ok(()) } else { Err(format!("ggml: status {status}").into()) }
    }

    fn rest(&mut self) {
        // SAFETY: the threads are alive. The next multiplication resumes them.
        unsafe { ggml::ggml_threadpool_pause(self.backend.threads.as_ptr()) };
    }

    fn output(&self) -> Result<Vec<f32>> {
        let batch = self.batch.as_ref().ok_or("llama.cpp was not run")?;
        let mut y = vec![0.0_f32; batch.values];
        // SAFETY: the tensor has so many values.
        unsafe { ggml::ggml_backend_tensor_get(batch.y.as_ptr(), y.as_mut_ptr().cast(), 0, size_of_val(y.as_slice())) };
        Ok(y)
    }
}
