//! `quantloom matmul`: activations times a tensor.

use std::num::NonZero;
use std::path::PathBuf;

use quantloom::Error;
use quantloom::matmul::matmul;
use quantloom::stored;
use quantloom::weights::Weights;

use super::Failure;
use super::args::Choice;
use super::failure::tell;
use super::files::{FloatWriter, read_floats};
use super::source::{Model, Source};
use super::stored::Stored;

/// Multiply activations by a tensor: Y = X * W^T
#[derive(Debug, clap::Args)]
#[command(after_help = "X is M rows of K values, Y is M rows of N values, both little-endian f32; W is N rows of K weights.

Example: quantloom matmul model.gguf output.weight --input x.f32 --batch 4 -o y.f32")]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// The activations
    #[arg(long, value_name = "X.f32")]
    input: PathBuf,
    /// Rows of the activations
    #[arg(long, value_name = "M")]
    batch: NonZero<usize>,
    /// Where to write
    #[arg(short, long, value_name = "Y.f32")]
    output: PathBuf,
    #[command(flatten)]
    choice: Choice,
}

/// Packs the tensor, multiplies, and says which kernel did it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let model = args.source.open()?;
    let stored = matrix(&model, &args.source)?;
    let request = args.choice.request(stored.format())?;
    let x = read_batch(args, stored.k())?;

    let pool = args.choice.pool();
    let weights = Weights::pack_stored(&stored, &pool)?;
    drop(model);
    let mut y = output(args.batch.get(), weights.n())?;
    let used = matmul(&weights, &x, args.batch.get(), &mut y, &request, &pool)?;

    let mut out = FloatWriter::create(&args.output, &args.source.file)?;
    out.write(&y)?;
    out.finish()?;
    tell(&format!("{} rows of {} values by {} ({})", args.batch, weights.n(), used.kernel.name, used.source));
    Ok(())
}

/// The matrix to multiply by; plain f32 has no kernels.
fn matrix<'f>(model: &'f Model, source: &Source) -> Result<stored::Stored<'f>, Failure> {
    let file = match model {
        Model::SafeTensors(file) => return source.matrix(file),
        Model::Gguf(file) => file,
    };
    let tensor = file.tensor(&source.tensor)?;
    match Stored::of(file, tensor)? {
        Stored::Blocks(format, shape) => {
            Ok(stored::Stored::new(format, tensor.rows(), tensor.k(), file.bytes(tensor, shape)?)?)
        }
        Stored::Plain => Err(Failure::Input(format!(
            "{}: tensor {:?} is plain f32, which has no kernels; name a quantised tensor",
            file.path().display(),
            tensor.name
        ))),
    }
}

/// The input, which must be as many rows of `k` as were announced.
fn read_batch(args: &Args, k: usize) -> Result<Vec<f32>, Failure> {
    let x = read_floats(&args.input)?;
    let batch = args.batch.get();
    if batch.checked_mul(k) == Some(x.len()) {
        Ok(x)
    } else {
        let wrong = Error::Batch { found: x.len(), batch, k };
        Err(Failure::Input(format!("{}: {wrong}", args.input.display())))
    }
}

/// Zeros for the output, unless they are more than memory holds.
fn output(batch: usize, n: usize) -> Result<Vec<f32>, Error> {
    let count = batch.saturating_mul(n);
    let mut y = Vec::new();
    y.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { bytes: count.saturating_mul(size_of::<f32>()) })?;
    y.resize(count, 0.0);
    Ok(y)
}
