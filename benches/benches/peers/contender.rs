//! What takes part in a comparison.

use quantloom_bench::shape::Shape;

/// What goes wrong, as one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The weights that all contenders multiply by.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The number of the format in GGUF files, by which everyone knows it.
    pub gguf: u32,
    /// Rows and columns.
    pub shape: Shape,
    /// The bytes as a file has them.
    pub stored: &'a [u8],
    /// The smallest batch that will be asked for: it needs the most copies.
    pub least_batch: usize,
}

/// One way to multiply.
pub trait Contender {
    /// What it is called in tables.
    fn name(&self) -> &str;

    /// Makes ready for `batch` rows of activations. What a way does once for a matrix, such as packing it, is done before this returns.
    fn prepare(&mut self, x: &[f32], batch: usize) -> Result<()>;

    /// One multiplication, by the next copy of the weights: what is timed.
    fn multiply(&mut self, call: usize) -> Result<()>;

    /// Sends threads to sleep that would otherwise wait for work on a core while others are timed.
    fn rest(&mut self) {}

    /// What the last multiplication gave, `[batch, n]`.
    fn output(&self) -> Result<Vec<f32>>;

    /// Whether the user has built it, so that a wrong output says nothing of ours: it is then left out.
    fn foreign(&self) -> bool {
        false
    }

    /// The kernel that ran, if that can be told.
    fn kernel(&self) -> Option<String> {
        None
    }
}
