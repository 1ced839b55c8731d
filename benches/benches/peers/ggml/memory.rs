//! ggml's contexts and buffers, freed when dropped.

use std::ptr::{self, NonNull};

use llama_cpp_sys_2 as ggml;

use super::api::Api;
use crate::contender::Result;

/// A tensor of some ggml.
pub type Tensor = NonNull<ggml::ggml_tensor>;

/// Nodes that a graph has room for: attention without flash attention has the most.
const NODES: usize = 16;

/// Descriptions of tensors and graphs, and the buffers that hold their values.
pub struct Context {
    api: &'static Api,
    context: NonNull<ggml::ggml_context>,
    tensors: Vec<Tensor>,
    buffers: Vec<Buffer>,
}

impl Context {
    /// Room for so many tensors and graphs.
    pub fn new(api: &'static Api, tensors: usize, graphs: usize) -> Result<Self> {
        // SAFETY: these functions only compute sizes; the context that is made of them is checked, and freed by `drop`.
        let context = unsafe {
            let mem_size = tensors * (api.ggml_tensor_overhead)() + graphs * (api.ggml_graph_overhead_custom)(NODES, false);
            (api.ggml_init)(ggml::ggml_init_params { mem_size, mem_buffer: ptr::null_mut(), no_alloc: true })
        };
        let context = NonNull::new(context).ok_or("ggml has no memory for a context")?;
        Ok(Self { api, context, tensors: Vec::new(), buffers: Vec::new() })
    }

    /// The tensors, in the order in which they were made.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// A matrix of `rows` rows of `k` values, without memory.
    pub fn tensor(&mut self, kind: ggml::ggml_type, k: usize, rows: usize) -> Result<Tensor> {
        let (k, rows) = (i64::try_from(k)?, i64::try_from(rows)?);
        // SAFETY: the context is alive, and has room for as many tensors as it was made for; the callers keep to that.
        let tensor = unsafe { (self.api.ggml_new_tensor_2d)(self.context.as_ptr(), kind, k, rows) };
        self.kept(tensor)
    }

    /// The product of two tensors, without memory.
    pub fn product(&mut self, weights: Tensor, x: Tensor) -> Result<Tensor> {
        // SAFETY: context and tensors are alive, and rows are of one length.
        let tensor = unsafe { (self.api.ggml_mul_mat)(self.context.as_ptr(), weights.as_ptr(), x.as_ptr()) };
        self.kept(tensor)
    }

    /// Values in three axes, of which the first lies side by side, without memory.
    pub fn tensor_3d(&mut self, kind: ggml::ggml_type, shape: [usize; 3]) -> Result<Tensor> {
        let [a, b, c] = shape.map(i64::try_from);
        let (a, b, c) = (a?, b?, c?);
        // SAFETY: the context is alive, and has room for as many tensors as it was made for; the callers keep to that.
        let tensor = unsafe { ggml::ggml_new_tensor_3d(self.context.as_ptr(), kind, a, b, c) };
        self.kept(tensor)
    }

    /// What an operation of llama.cpp makes in this context.
    pub fn keep_tensor(&mut self, make: impl FnOnce(*mut ggml::ggml_context) -> *mut ggml::ggml_tensor) -> Result<Tensor> {
        let tensor = make(self.context.as_ptr());
        self.kept(tensor)
    }

    fn kept(&mut self, tensor: *mut ggml::ggml_tensor) -> Result<Tensor> {
        let tensor = NonNull::new(tensor).ok_or("ggml has no memory for a tensor")?;
        self.tensors.push(tensor);
        Ok(tensor)
    }

    /// The graph that computes a tensor.
    pub fn graph(&mut self, last: Tensor) -> Result<NonNull<ggml::ggml_cgraph>> {
        // SAFETY: the context is alive, and has room for as many graphs as it was made for.
        let graph = unsafe { (self.api.ggml_new_graph_custom)(self.context.as_ptr(), NODES, false) };
        let graph = NonNull::new(graph).ok_or("ggml has no memory for a graph")?;
        // SAFETY: graph and tensor are alive, and its nodes fit.
        unsafe { (self.api.ggml_build_forward_expand)(graph.as_ptr(), last.as_ptr()) };
        Ok(graph)
    }

    /// Memory of a type for all tensors.
    pub fn allocate(&mut self, buffer_type: ggml::ggml_backend_buffer_type_t) -> Result<()> {
        // SAFETY: the context is alive, and none of its tensors has memory yet.
        let buffer = unsafe { (self.api.ggml_backend_alloc_ctx_tensors_from_buft)(self.context.as_ptr(), buffer_type) };
        let buffer = NonNull::new(buffer).ok_or("ggml has no memory for weights")?;
        self.keep(Buffer { api: self.api, buffer });
        Ok(())
    }

    /// Keeps a buffer for as long as the tensors live that were placed in it.
    pub fn keep(&mut self, buffer: Buffer) {
        self.buffers.push(buffer);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it came from `ggml_init`, and nothing else frees it.
        unsafe { (self.api.ggml_free)(self.context.as_ptr()) };
    }
}

/// Memory for values.
pub struct Buffer {
    api: &'static Api,
    buffer: NonNull<ggml::ggml_backend_buffer>,
}

impl Buffer {
    /// Plain memory.
    pub fn plain(api: &'static Api, bytes: usize) -> Result<Self> {
        // SAFETY: the type of plain memory lives as long as the program.
        let buffer = unsafe { (api.ggml_backend_buft_alloc_buffer)((api.ggml_backend_cpu_buffer_type)(), bytes) };
        Ok(Self { api, buffer: NonNull::new(buffer).ok_or("ggml has no memory for a batch")? })
    }

    /// Gives a tensor the memory from `offset` on.
    pub fn place(&self, tensor: Tensor, offset: usize) -> Result<()> {
        // SAFETY: buffer and tensor are alive; ggml checks that the tensor has no memory yet and ends within the buffer.
        let placed = unsafe {
            let at = (self.api.ggml_backend_buffer_get_base)(self.buffer.as_ptr()).byte_add(offset);
            (self.api.ggml_backend_tensor_alloc)(self.buffer.as_ptr(), tensor.as_ptr(), at);
            (self.api.ggml_get_data)(tensor.as_ptr()) == at
        };
        if placed { Ok(()) } else { Err("ggml did not place a tensor where it was told to".into()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it came from an allocation that was checked, and nothing else frees it.
        unsafe { (self.api.ggml_backend_buffer_free)(self.buffer.as_ptr()) };
    }
}
