//! The functions of a ggml. llama.cpp's are linked; those of another ggml, which have the same names, are looked up in its library, so
//! that each calls its own. Whatever they point to is theirs: nothing here looks into it.

use std::ffi::{c_int, c_void};
use std::path::Path;

use libloading::Library;
use llama_cpp_sys_2 as ggml;

use crate::contender::Result;

/// The linked functions, as [`Api`] has them.
mod linked {
    use std::ffi::c_void;

    pub use llama_cpp_sys_2::*;

    /// Not every ggml returns a status here, so none is used.
    ///
    /// # Safety
    /// As of llama.cpp's: buffer and tensor are alive, the tensor has no memory yet, and ends within the buffer.
    pub unsafe extern "C" fn ggml_backend_tensor_alloc(
        buffer: ggml_backend_buffer_t,
        tensor: *mut ggml_tensor,
        at: *mut c_void,
    ) {
        // SAFETY: the caller says so.
        unsafe { llama_cpp_sys_2::ggml_backend_tensor_alloc(buffer, tensor, at) };
    }
}

/// Declares the functions that all ggml have, and the two ways to come by them.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions that all ggml have.
        #[allow(missing_docs)]
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        /// Those of llama.cpp.
        pub static LINKED: Api = Api { $($name: linked::$name,)* };

        impl Api {
            /// Those of a library, which lies at `path`.
            ///
            /// # Safety
            /// The library is a ggml, and stays open for as long as the functions are called.
            pub unsafe fn of(library: &Library, path: &Path) -> Result<Self> {
                // SAFETY: the caller says so, and these functions have been what they are here for as long as any ggml has had them.
                unsafe { Ok(Self { $($name: function(library, path, stringify!($name))?,)* }) }
            }
        }
    };
}

functions! {
    ggml_backend_alloc_ctx_tensors_from_buft: fn(*mut ggml::ggml_context, ggml::ggml_backend_buffer_type_t) -> ggml::ggml_backend_buffer_t;
    ggml_backend_buffer_free: fn(ggml::ggml_backend_buffer_t);
    ggml_backend_buffer_get_base: fn(ggml::ggml_backend_buffer_t) -> *mut c_void;
    ggml_backend_buft_alloc_buffer: fn(ggml::ggml_backend_buffer_type_t, usize) -> ggml::ggml_backend_buffer_t;
    ggml_backend_cpu_buffer_type: fn() -> ggml::ggml_backend_buffer_type_t;
    ggml_backend_cpu_init: fn() -> ggml::ggml_backend_t;
    ggml_backend_cpu_set_n_threads: fn(ggml::ggml_backend_t, c_int);
    ggml_backend_free: fn(ggml::ggml_backend_t);
    ggml_backend_graph_compute: fn(ggml::ggml_backend_t, *mut ggml::ggml_cgraph) -> ggml::ggml_status;
    ggml_backend_supports_op: fn(ggml::ggml_backend_t, *const ggml::ggml_tensor) -> bool;
    ggml_backend_tensor_alloc: fn(ggml::ggml_backend_buffer_t, *mut ggml::ggml_tensor, *mut c_void);
    ggml_backend_tensor_get: fn(*const ggml::ggml_tensor, *mut c_void, usize, usize);
    ggml_backend_tensor_set: fn(*mut ggml::ggml_tensor, *const c_void, usize, usize);
    ggml_blck_size: fn(ggml::ggml_type) -> i64;
    ggml_build_forward_expand: fn(*mut ggml::ggml_cgraph, *mut ggml::ggml_tensor);
    ggml_cpu_has_avx2: fn() -> c_int;
    ggml_cpu_has_avx512: fn() -> c_int;
    ggml_cpu_has_avx512_vnni: fn() -> c_int;
    ggml_free: fn(*mut ggml::ggml_context);
    ggml_get_data: fn(*const ggml::ggml_tensor) -> *mut c_void;
    ggml_graph_overhead_custom: fn(usize, bool) -> usize;
    ggml_init: fn(ggml::ggml_init_params) -> *mut ggml::ggml_context;
    ggml_mul_mat: fn(*mut ggml::ggml_context, *mut ggml::ggml_tensor, *mut ggml::ggml_tensor) -> *mut ggml::ggml_tensor;
    ggml_nbytes: fn(*const ggml::ggml_tensor) -> usize;
    ggml_new_graph_custom: fn(*mut ggml::ggml_context, usize, bool) -> *mut ggml::ggml_cgraph;
    ggml_new_tensor_2d: fn(*mut ggml::ggml_context, ggml::ggml_type, i64, i64) -> *mut ggml::ggml_tensor;
    ggml_tensor_overhead: fn() -> usize;
    ggml_type_size: fn(ggml::ggml_type) -> usize;
}

/// A function of a library, which lies at `path`.
///
/// # Safety
/// It is of type `T`, and not called after the library is closed.
pub unsafe fn function<T: Copy>(library: &Library, path: &Path, name: &str) -> Result<T> {
    // SAFETY: the caller says so.
    let found = unsafe { library.get::<T>(name.as_bytes()) };
    let remedy = "docs/benchmarks.md says which checkout `--ik` takes and how it must be built";
    Ok(*found.map_err(|_| format!("{}: it has no function `{name}`; {remedy}", path.display()))?)
}
