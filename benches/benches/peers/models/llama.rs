//! llama.cpp, as its programs run a model.

use std::ffi::{CString, c_int};
use std::path::Path;
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

use llama_cpp_sys_2 as llama;

use super::Runner;
use crate::contender::Result;
use crate::llama::warn;

/// Tokens that it takes at once, as its programs do unless they are told otherwise.
const BATCH: usize = 512;

/// How keys and values are kept.
#[derive(Clone, Copy)]
pub enum Cache {
    /// As its programs do.
    Usual,
    /// Without a loss. Flash attention is for the other.
    F32,
}

/// Weights, freed when the last context of theirs is.
struct Weights(NonNull<llama::llama_model>);

impl Drop for Weights {
    fn drop(&mut self) {
        // SAFETY: it came from `load`, and nothing else frees it.
        unsafe { llama::llama_model_free(self.0.as_ptr()) };
    }
}

/// A context of a model.
pub struct Llama {
    name: &'static str,
    context: NonNull<llama::llama_context>,
    vocabulary: usize,
    /// Freed after the context.
    _weights: Rc<Weights>,
}

impl Drop for Llama {
    fn drop(&mut self) {
        // SAFETY: it came from `llama_init_from_model`, and nothing else frees it.
        unsafe { llama::llama_free(self.context.as_ptr()) };
    }
}

impl Llama {
    /// One for each setting, with room for so many tokens.
    pub fn all(path: &Path, threads: usize, room: usize, cache: Cache) -> Result<Vec<Self>> {
        // SAFETY: the first uses nothing; the function that the second is given lives as long as the program, and uses but the text.
        unsafe {
            llama::llama_backend_init();
            llama::llama_log_set(Some(warn), std::ptr::null_mut());
        }
        let (plain, repacked) = (Rc::new(load(path, false)?), Rc::new(load(path, true)?));
        let settings = [
            ("plain", &plain, false),
            ("flash", &plain, true),
            ("repacked", &repacked, false),
            ("repacked, flash", &repacked, true),
        ];
        let settings = settings.into_iter().filter(|(_, _, flash)| !flash || matches!(cache, Cache::Usual));
        settings.map(|(name, weights, flash)| Self::new(name, weights, flash, threads, room, cache)).collect()
    }

    fn new(name: &'static str, weights: &Rc<Weights>, flash: bool, threads: usize, room: usize, cache: Cache) -> Result<Self> {
        let threads = c_int::try_from(threads)?;
        // SAFETY: the parameters are initialised by the first call; the model is alive, and stays so as long as the context.
        let (context, vocabulary) = unsafe {
            let mut parameters = llama::llama_context_default_params();
            parameters.n_ctx = u32::try_from(room)?;
            parameters.n_batch = u32::try_from(BATCH)?;
            parameters.n_ubatch = u32::try_from(BATCH)?;
            (parameters.n_threads, parameters.n_threads_batch) = (threads, threads);
            parameters.flash_attn_type =
                if flash { llama::LLAMA_FLASH_ATTN_TYPE_ENABLED } else { llama::LLAMA_FLASH_ATTN_TYPE_DISABLED };
            if let Cache::F32 = cache {
                (parameters.type_k, parameters.type_v) = (llama::GGML_TYPE_F32, llama::GGML_TYPE_F32);
            }
            let vocabulary = llama::llama_vocab_n_tokens(llama::llama_model_get_vocab(weights.0.as_ptr()));
            (llama::llama_init_from_model(weights.0.as_ptr(), parameters), usize::try_from(vocabulary)?)
        };
        let context = NonNull::new(context).ok_or("llama.cpp makes no context of the model")?;
        Ok(Self { name, context, vocabulary, _weights: Rc::clone(weights) })
    }
}

/// Weights as they are stored, or repacked where llama.cpp does so.
fn load(path: &Path, repack: bool) -> Result<Weights> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: the parameters are initialised by the first call, and the name ends with a zero.
    let model = unsafe {
        let mut parameters = llama::llama_model_default_params();
        parameters.use_extra_bufts = repack;
        llama::llama_model_load_from_file(name.as_ptr(), parameters)
    };
    Ok(Weights(NonNull::new(model).ok_or_else(|| format!("llama.cpp does not open {}", path.display()))?))
}

impl Runner for Llama {
    fn name(&self) -> &str {
        self.name
    }

    fn clear(&mut self) -> Result<()> {
        // SAFETY: the context is alive.
        unsafe { llama::llama_memory_clear(llama::llama_get_memory(self.context.as_ptr()), true) };
        Ok(())
    }

    fn take(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        let mut tokens = tokens.iter().map(|&token| Ok(i32::try_from(token)?)).collect::<Result<Vec<_>>>()?;
        for tokens in tokens.chunks_mut(BATCH) {
            let count = c_int::try_from(tokens.len())?;
            // SAFETY: the context is alive, and so are the tokens for as long as the call takes.
            let status =
                unsafe { llama::llama_decode(self.context.as_ptr(), llama::llama_batch_get_one(tokens.as_mut_ptr(), count)) };
            if status != 0 {
                return Err(format!("llama.cpp, {}: status {status}", self.name).into());
            }
        }
        // SAFETY: the context is alive; the last token's logits are as many as there are tokens, and stay until the next call.
        unsafe {
            let logits = llama::llama_get_logits_ith(self.context.as_ptr(), -1);
            if logits.is_null() {
                return Err("llama.cpp gives no logits".into());
            }
            Ok(slice::from_raw_parts(logits, self.vocabulary))
        }
    }
}
