//! llama.cpp's: the graphs that it builds for a layer, over keys and values in f16.

use std::ptr::NonNull;
use std::rc::Rc;

use llama_cpp_sys_2 as ggml;

use super::Task;
use crate::contender::{Contender, Result};
use crate::ggml::Ggml;
use crate::ggml::memory::{Context, Tensor};

/// Tensors of a graph, views among them.
const TENSORS: usize = 16;

/// Masks have a multiple of so many rows.
const MASK_ROWS: usize = 64;

/// How it computes attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one operation.
    Flash,
    /// As two products with a softmax between them; the cache has values the other way round then.
    Plain,
}

/// Keys and values as a cache has them, and a graph.
pub struct Attention<'a> {
    task: &'a Task,
    way: Way,
    ggml: Rc<dyn Ggml>,
    batch: Option<Batch>,
}

struct Batch {
    graph: NonNull<ggml::ggml_cgraph>,
    out: Tensor,
    values: usize,
    /// What the graph lies in.
    _context: Context,
}

impl<'a> Attention<'a> {
    pub fn new(task: &'a Task, way: Way, ggml: &Rc<dyn Ggml>) -> Self {
        Self { task, way, ggml: Rc::clone(ggml), batch: None }
    }

    /// Which keys each query sees, as what is added to scores: `[rows of the mask][positions]`.
    fn mask(&self, queries: usize) -> Vec<f32> {
        let all = self.task.positions();
        let row = |query: usize| (0..all).map(move |key| if key <= all - queries + query { 0.0 } else { f32::NEG_INFINITY });
        (0..queries.next_multiple_of(MASK_ROWS)).flat_map(row).collect()
    }

    /// Values as the cache has them.
    fn values(&self) -> Vec<f32> {
        let row = self.task.heads.key * self.task.heads.size;
        match self.way {
            Way::Flash => self.task.values.clone(),
            Way::Plain => (0..row).flat_map(|column| self.task.values[column..].iter().step_by(row).copied()).collect(),
        }
    }

    /// What `[size][heads][positions]` becomes for products: `[size][positions][heads]`, a view.
    fn by_head(context: &mut Context, tensor: Tensor) -> Result<Tensor> {
        // SAFETY: context and tensor are alive, and the axes are the four that there are.
        context.keep_tensor(|context| unsafe { ggml::ggml_permute(context, tensor.as_ptr(), 0, 2, 1, 3) })
    }

    /// The graph's nodes, up to the output: `[size][heads][positions]`.
    fn nodes(&self, context: &mut Context, [q, k, v, mask]: [Tensor; 4]) -> Result<Tensor> {
        let scale = 1.0 / (self.task.heads.size as f32).sqrt();
        let (q, k) = (Self::by_head(context, q)?, Self::by_head(context, k)?);
        match self.way {
            Way::Flash => {
                let v = Self::by_head(context, v)?;
                // SAFETY: context and tensors are alive, and have the shapes that the operation is for.
                context.keep_tensor(|context| unsafe {
                    let out =
                        ggml::ggml_flash_attn_ext(context, q.as_ptr(), k.as_ptr(), v.as_ptr(), mask.as_ptr(), scale, 0.0, 0.0);
                    ggml::ggml_flash_attn_ext_set_prec(out, ggml::GGML_PREC_F32);
                    out
                })
            }
            Way::Plain => {
                let scores = context.product(k, q)?;
                // SAFETY: context and tensors are alive; the mask has a row for each query.
                let weights = context.keep_tensor(|context| unsafe {
                    ggml::ggml_mul_mat_set_prec(scores.as_ptr(), ggml::GGML_PREC_F32);
                    ggml::ggml_soft_max_ext(context, scores.as_ptr(), mask.as_ptr(), scale, 0.0)
                })?;
                let sums = context.product(v, weights)?;
                let sums = Self::by_head(context, sums)?;
                // SAFETY: context and tensor are alive.
                context.keep_tensor(|context| unsafe { ggml::ggml_cont(context, sums.as_ptr()) })
            }
        }
    }
}

impl Contender for Attention<'_> {
    fn name(&self) -> &str {
        match self.way {
            Way::Flash => "llama.cpp with flash attention",
            Way::Plain => "llama.cpp without flash attention",
        }
    }

    fn prepare(&mut self, x: &[f32], batch: usize) -> Result<()> {
        let (heads, positions) = (self.task.heads, self.task.positions());
        let mut context = Context::new(self.ggml.cpu().api, TENSORS, 1)?;
        let (f16, f32) = (ggml::GGML_TYPE_F16, ggml::GGML_TYPE_F32);
        let q = context.tensor_3d(f32, [heads.size, heads.query, batch])?;
        let k = context.tensor_3d(f16, [heads.size, heads.key, positions])?;
        let (v_shape, mask_kind) = match self.way {
            Way::Flash => ([heads.size, heads.key, positions], f16),
            Way::Plain => ([positions, heads.size, heads.key], f32),
        };
        let v = context.tensor_3d(f16, v_shape)?;
        let mask = context.tensor_3d(mask_kind, [positions, batch.next_multiple_of(MASK_ROWS), 1])?;
        let out = self.nodes(&mut context, [q, k, v, mask])?;
        // SAFETY: the type of plain memory lives as long as the program.
        context.allocate(unsafe { ggml::ggml_backend_cpu_buffer_type() })?;
        set(q, f32, x)?;
        set(k, f16, &self.task.keys)?;
        set(v, f16, &self.values())?;
        set(mask, mask_kind, &self.mask(batch))?;
        let graph = context.graph(out)?;
        self.batch = Some(Batch { graph, out, values: x.len(), _context: context });
        Ok(())
    }

    fn multiply(&mut self, _call: usize) -> Result<()> {
        let batch = self.batch.as_ref().ok_or("ggml was not prepared")?;
        // SAFETY: back end, graph, and the tensors that it names are alive.
        let status = unsafe { ggml::ggml_backend_graph_compute(self.ggml.cpu().backend, batch.graph.as_ptr()) };
        if status == ggml::GGML_STATUS_SUCCESS {
            Ok(())
        } else {
            Err(format!("{}: ggml's status {status}", self.name()).into())
        }
    }

    fn rest(&mut self) {
        self.ggml.rest();
    }

    fn output(&self) -> Result<Vec<f32>> {
        let batch = self.batch.as_ref().ok_or("ggml was not run")?;
        let mut out = vec![0.0_f32; batch.values];
        // SAFETY: the tensor has so many values: as many as the queries.
        unsafe { ggml::ggml_backend_tensor_get(batch.out.as_ptr(), out.as_mut_ptr().cast(), 0, size_of_val(out.as_slice())) };
        Ok(out)
    }
}

/// Writes values into a tensor of f32 or f16 that has memory.
fn set(tensor: Tensor, kind: ggml::ggml_type, values: &[f32]) -> Result<()> {
    let halves = || {
        // SAFETY: both are numbers.
        values.iter().flat_map(|&value| unsafe { ggml::ggml_fp32_to_fp16(value) }.to_ne_bytes()).collect::<Vec<u8>>()
    };
    let bytes =
        if kind == ggml::GGML_TYPE_F16 { halves() } else { values.iter().flat_map(|value| value.to_ne_bytes()).collect() };
    // SAFETY: the tensor is alive, and its size is checked to be that of the bytes.
    unsafe {
        if ggml::ggml_nbytes(tensor.as_ptr()) != bytes.len() {
            return Err(format!("ggml has {} bytes where {} are meant", ggml::ggml_nbytes(tensor.as_ptr()), bytes.len()).into());
        }
        ggml::ggml_backend_tensor_set(tensor.as_ptr(), bytes.as_ptr().cast(), 0, bytes.len());
    }
    Ok(())
}
