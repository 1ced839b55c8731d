//! What matrices that are made on a thread ask of kernels.

use std::cell::Cell;

use quantloom::matmul::Request;

thread_local! {
    static REQUEST: Cell<Request> = Cell::default();
}

/// Makes something, most often a model: what multiplies in it asks this of kernels. Of formats without the class, another class of theirs. It is
/// for what the closure does on this thread, and holds for what was made as long as that lives.
pub fn with_request<T>(request: Request, make: impl FnOnce() -> T) -> T {
    /// Gives back what held before, also if something panics.
    struct Before(Request);
    impl Drop for Before {
        fn drop(&mut self) {
            REQUEST.set(self.0);
        }
    }
    let _before = Before(REQUEST.replace(request));
    make()
}

/// What is asked for on this thread.
pub fn request() -> Request {
    REQUEST.get()
}
