//! ggml, whosever it is: one `ggml_mul_mat` on its CPU back end, with weights in plain memory, or repacked.

pub mod api;
pub mod memory;

use std::ffi::c_int;
use std::ptr::NonNull;
use std::rc::Rc;

use llama_cpp_sys_2 as ggml;
use quantloom::measure::copies;

use crate::contender::{Contender, Result, Task};
use api::Api;
use memory::{Buffer, Context, Tensor};

/// llama.cpp's, or one that has come from it.
pub trait Ggml {
    /// The version, and the instructions that it was built for.
    fn version(&self) -> &str;

    /// The CPU back end.
    fn cpu(&self) -> &Cpu;

    /// The ways in which it can multiply, whatever the weights.
    fn ways(&self) -> Vec<Way>;

    /// Whether it multiplies by weights of a type, if only in some way.
    fn has_kernel(&self, gguf: u32) -> Result<bool>;

    /// The type that [`Ggml::repack`] would give weights of type `gguf`, or none if it would leave them.
    fn repacked(&self, _gguf: u32, _weights: Tensor) -> Option<String> {
        None
    }

    /// Repacks weights that have their bytes.
    fn repack(&self, _weights: Tensor) {}

    /// Whether the user has built it.
    fn foreign(&self) -> bool;

    /// Sends threads to sleep that wait for work on a core.
    fn rest(&self);
}

/// One way to multiply.
pub struct Way {
    /// What it is called in tables.
    pub name: String,
    /// Where weights lie.
    pub memory: ggml::ggml_backend_buffer_type_t,
    /// Whether they are repacked once they lie there. Some memory does that by itself.
    pub repacks: bool,
}

/// A CPU back end.
pub struct Cpu {
    /// The functions of its ggml.
    pub api: &'static Api,
    /// The back end.
    pub backend: ggml::ggml_backend_t,
}

impl Cpu {
    /// On so many threads.
    pub fn new(api: &'static Api, threads: usize) -> Result<Self> {
        let threads = c_int::try_from(threads)?;
        // SAFETY: what the first call returns is checked, and freed by `drop`.
        unsafe {
            let backend = (api.ggml_backend_cpu_init)();
            if backend.is_null() {
                return Err("ggml has no CPU back end".into());
            }
            (api.ggml_backend_cpu_set_n_threads)(backend, threads);
            Ok(Self { api, backend })
        }
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        // SAFETY: it came from its constructor, and nothing else frees it.
        unsafe { (self.api.ggml_backend_free)(self.backend) };
    }
}

/// The instructions that a ggml was built for.
///
/// # Errors
/// If it was built without instructions that this processor has: that would be no comparison. The line names the ggml and says `remedy`.
pub fn instructions(api: &Api, name: &str, remedy: &str) -> Result<String> {
    // SAFETY: these functions only return numbers.
    let built = unsafe { [(api.ggml_cpu_has_avx2)(), (api.ggml_cpu_has_avx512)(), (api.ggml_cpu_has_avx512_vnni)()] };
    #[cfg(target_arch = "x86_64")]
    for (instructions, present, built) in [
        ("AVX2", is_x86_feature_detected!("avx2"), built[0]),
        ("AVX-512", is_x86_feature_detected!("avx512f"), built[1]),
        ("AVX-512 VNNI", is_x86_feature_detected!("avx512vnni"), built[2]),
    ] {
        if present && built != 1 {
            return Err(format!("{name} was built without {instructions}, which this processor has: {remedy}").into());
        }
    }
    let on = |name, built| if built == 1 { name } else { "" };
    let names = [on("AVX2", built[0]), on("AVX-512", built[1]), on("AVX-512 VNNI", built[2])].join(" ");
    Ok(names.trim().to_owned())
}

/// Weights in copies, all in one kind of memory, and a batch.
pub struct Product {
    name: String,
    ggml: Rc<dyn Ggml>,
    /// Rows, columns, and bytes of one copy.
    size: (usize, usize, usize),
    /// What was made of the weights, if they were repacked.
    repacked: Option<String>,
    weights: Context,
    batch: Option<Batch>,
}

/// A graph for each copy of the weights: all multiply the same activations and write to one output.
struct Batch {
    graphs: Vec<NonNull<ggml::ggml_cgraph>>,
    y: Tensor,
    values: usize,
    /// What the graphs lie in.
    _context: Context,
}

impl Product {
    /// One for each way in which such weights can be multiplied by.
    pub fn all(task: &Task<'_>, ggml: &Rc<dyn Ggml>) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        if ggml.has_kernel(task.gguf)? {
            for way in ggml.ways() {
                all.extend(Self::new(way, task, ggml)?);
            }
        }
        Ok(all)
    }

    /// None if such weights cannot be multiplied by in such a way.
    fn new(way: Way, task: &Task<'_>, ggml: &Rc<dyn Ggml>) -> Result<Option<Self>> {
        let (n, k, bytes) = (task.shape.n, task.shape.k, task.stored.len());
        let api = ggml.cpu().api;
        let count = copies(bytes, task.least_batch);
        let mut weights = Context::new(api, count, 0)?;
        let tensors = (0..count).map(|_| weights.tensor(task.gguf, k, n)).collect::<Result<Vec<_>>>()?;
        weights.allocate(way.memory)?;
        let repacked = if way.repacks { ggml.repacked(task.gguf, tensors[0]) } else { None };
        let this = Self { name: way.name, ggml: Rc::clone(ggml), size: (n, k, bytes), repacked, weights, batch: None };
        if way.repacks && this.repacked.is_none() || !this.supported(tensors[0])? {
            return Ok(None);
        }
        for tensor in tensors {
            // SAFETY: the tensor is alive, as its context is, and the size of the bytes is checked to be its own.
            unsafe {
                if (api.ggml_nbytes)(tensor.as_ptr()) != bytes {
                    return Err(format!("{}: its size of {n}x{k} weights of type {} is another", this.name, task.gguf).into());
                }
                (api.ggml_backend_tensor_set)(tensor.as_ptr(), task.stored.as_ptr().cast(), 0, bytes);
            }
            if way.repacks {
                ggml.repack(tensor);
            }
        }
        Ok(Some(this))
    }

    fn api(&self) -> &'static Api {
        self.ggml.cpu().api
    }

    /// Whether the back end multiplies by such a tensor, in such memory.
    fn supported(&self, weights: Tensor) -> Result<bool> {
        let mut context = Context::new(self.api(), 2, 0)?;
        let x = context.tensor(ggml::GGML_TYPE_F32, self.size.1, 1)?;
        let product = context.product(weights, x)?;
        // SAFETY: back end and tensor are alive.
        Ok(unsafe { (self.api().ggml_backend_supports_op)(self.ggml.cpu().backend, product.as_ptr()) })
    }
}

impl Contender for Product {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&mut self, x: &[f32], batch: usize) -> Result<()> {
        let (n, k, bytes) = self.size;
        let turns = copies(bytes, batch).min(self.weights.tensors().len());
        let mut context = Context::new(self.api(), 1 + turns, turns)?;
        let activations = context.tensor(ggml::GGML_TYPE_F32, k, batch)?;
        let products = self.weights.tensors()[..turns].iter().map(|&weights| context.product(weights, activations));
        let products = products.collect::<Result<Vec<_>>>()?;
        let (x_bytes, y_bytes) = (size_of_val(x), 4 * batch * n);
        let buffer = Buffer::plain(self.api(), x_bytes + y_bytes)?;
        buffer.place(activations, 0)?;
        for &product in &products {
            buffer.place(product, x_bytes)?;
        }
        // SAFETY: the tensor lies in the buffer, with room for just these values.
        unsafe { (self.api().ggml_backend_tensor_set)(activations.as_ptr(), x.as_ptr().cast(), 0, x_bytes) };
        let graphs = products.iter().map(|&product| context.graph(product)).collect::<Result<Vec<_>>>()?;
        context.keep(buffer);
        self.batch = Some(Batch { graphs, y: products[0], values: batch * n, _context: context });
        Ok(())
    }

    fn multiply(&mut self, call: usize) -> Result<()> {
        let batch = self.batch.as_ref().ok_or("ggml was not prepared")?;
        let graph = batch.graphs[call % batch.graphs.len()];
        // SAFETY: back end, graph, and the tensors that it names are alive.
        let status = unsafe { (self.api().ggml_backend_graph_compute)(self.ggml.cpu().backend, graph.as_ptr()) };
        if status == ggml::GGML_STATUS_SUCCESS { Ok(()) } else { Err(format!("{}: ggml's status {status}", self.name).into()) }
    }

    fn rest(&mut self) {
        self.ggml.rest();
    }

    fn output(&self) -> Result<Vec<f32>> {
        let batch = self.batch.as_ref().ok_or("ggml was not run")?;
        let mut y = vec![0.0_f32; batch.values];
        // SAFETY: the tensor has so many values.
        unsafe { (self.api().ggml_backend_tensor_get)(batch.y.as_ptr(), y.as_mut_ptr().cast(), 0, size_of_val(y.as_slice())) };
        Ok(y)
    }

    fn foreign(&self) -> bool {
        self.ggml.foreign()
    }

    fn kernel(&self) -> Option<String> {
        self.repacked.clone()
    }
}
