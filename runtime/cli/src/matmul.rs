//! `quantloom matmul`: activations times a tensor.

use std::path::PathBuf;

use quantloom::Error;
use quantloom::gguf::TensorInfo;
use quantloom::matmul::{Context, Used, matmul};
use quantloom::model::{Kind, Model};
use quantloom::pool::Pool;
use quantloom::registry::Format;
use quantloom::stored::Stored;
use quantloom::weights::{Layout, Weights};

use super::Failure;
use super::args::{Choice, Held, batch};
use super::failure::tell;
use super::files::{FloatWriter, read_floats};
use super::source::{Input, Source};

/// Multiply activations by a tensor: Y = X * W^T
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "quantloom matmul [OPTIONS] --input <X> --batch <M> -o <Y> <FILE> <TENSOR>",
    after_help = "X is M rows of K values, Y is M rows of N values, both little-endian f32; W is N rows of K weights.

Example: quantloom matmul model.gguf output.weight --input x.f32 --batch 4 -o y.f32"
)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// The activations
    #[arg(long, value_name = "X.f32")]
    input: PathBuf,
    /// Rows of the activations
    #[arg(long, value_name = "M", value_parser = batch, allow_negative_numbers = true)]
    batch: usize,
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "Y.f32")]
    output: PathBuf,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    held: Held,
    /// What multiplies; where a device cannot, the processor does
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    #[arg(long, value_name = "DEVICE", value_parser = clap::builder::PossibleValuesParser::new(super::device::NAMES.iter().copied()), default_value = "cpu", conflicts_with_all = ["isa", "kernel"])]
    device: String,
}

/// Packs the tensor, multiplies, and says which kernel did it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let input = args.source.open()?;
    let matrix = Matrix::of(&input, &args.source)?;
    let mut out = FloatWriter::create(&args.output, &[&input.paths()[..], &[&args.input]].concat())?;
    let request = args.choice.request(matrix.format())?;
    let x = read_batch(args, matrix.k())?;

    let pool = args.choice.pool();
    let weights = matrix.weights(args.held.layout, &pool)?;
    drop(input);
    let mut y = output(args.batch, weights.n())?;
    let product = |context: Context<'_>| matmul(&weights, &x, args.batch, &mut y, &request, context);
    let (used, device) = multiply(args, &weights, &pool, product)?;

    out.write(&y)?;
    out.finish()?;
    let by = device.unwrap_or_else(|| format!("{} ({})", used.launch.kernel.name, used.source));
    tell(&format!("{} rows of {} values by {by}", args.batch, weights.n()));
    Ok(())
}

/// Multiplies, as is said; with the device, where one did.
#[cfg_attr(not(any(feature = "wgpu", feature = "cuda")), expect(unused_variables, reason = "there is the processor alone"))]
fn multiply(
    args: &Args,
    weights: &Weights,
    pool: &Pool,
    mut product: impl FnMut(Context<'_>) -> quantloom::Result<Used>,
) -> quantloom::Result<(Used, Option<String>)> {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if args.device != "cpu" {
        return super::device::multiply(&args.device, weights, pool, product);
    }
    Ok((product(pool.into())?, None))
}

/// The matrix to multiply by.
enum Matrix<'f> {
    Tensor(&'f Model, &'f TensorInfo, &'static Format),
    Separate(Stored<'f>),
}

impl<'f> Matrix<'f> {
    /// Finds it; plain f32 has no kernels.
    fn of(input: &'f Input, source: &Source) -> Result<Self, Failure> {
        let model = match input {
            Input::SafeTensors(file) => return Ok(Self::Separate(source.matrix(file)?)),
            Input::Gguf(model) => model,
        };
        let tensor = model.file().tensor(&source.tensor)?;
        match model.kind(tensor)? {
            Kind::Blocks(format, _) | Kind::Packed(format) => Ok(Self::Tensor(model, tensor, format)),
            Kind::Items(_) => Err(model.unknown_type(tensor).into()),
            Kind::Plain => Err(Failure::input(format!(
                "{}: tensor {:?} is plain f32, which has no kernels; name a quantised tensor",
                model.file().path().display(),
                tensor.name
            ))),
        }
    }

    fn format(&self) -> &'static Format {
        match self {
            Self::Tensor(_, _, format) => format,
            Self::Separate(stored) => stored.format(),
        }
    }

    fn k(&self) -> usize {
        match self {
            Self::Tensor(_, tensor, _) => tensor.k(),
            Self::Separate(stored) => stored.k(),
        }
    }

    fn weights(&self, layout: Layout, pool: &Pool) -> quantloom::Result<Weights> {
        match self {
            Self::Tensor(model, tensor, _) => model.weights(tensor, layout, pool),
            Self::Separate(stored) => Weights::with_layout(stored, layout, pool),
        }
    }
}

/// The input, which must be as many rows of `k` as were announced.
fn read_batch(args: &Args, k: usize) -> Result<Vec<f32>, Failure> {
    let x = read_floats(&args.input)?;
    let batch = args.batch;
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
