//! Arguments that several commands share.

use std::num::NonZero;
use std::thread;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use quantloom::Error;
use quantloom::defaults::Defaults;
use quantloom::limits;
use quantloom::matmul::{Launch, Request};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Kernel, Numerics};
use quantloom::tune::Effort;
use quantloom::weights::Layout;

use super::Failure;

/// Which kernel runs, on how many threads.
#[derive(Debug, clap::Args)]
pub struct Choice {
    /// Numerics class [default: int8 if the format has it]
    #[arg(long, value_name = "CLASS", value_parser = class())]
    pub numerics: Option<Numerics>,
    /// Instruction set [default: the best of this processor]
    #[arg(long, value_name = "NAME")]
    pub isa: Option<String>,
    /// Kernel that `explain` names, or NAME@far=512+tiles=1 [default: the tuner's choice]
    #[arg(long, alias = "variant", value_name = "NAME")]
    pub kernel: Option<String>,
    /// Threads [default: as many as the processor runs at once]
    #[arg(long, value_name = "T", value_parser = thread_count, allow_negative_numbers = true)]
    pub threads: Option<u16>,
}

impl Choice {
    /// What to ask of a multiplication by weights of `format`.
    ///
    /// # Errors
    /// A name that the registry does not have.
    pub fn request(&self, format: &'static Format) -> Result<Request, Failure> {
        let launch = self.kernel.as_deref().map(|kernel| launch(format, kernel)).transpose()?;
        let isa = self.isa.as_deref().map(registry::isa_by_name).transpose()?;
        let request = Request::default().numerics(self.numerics).isa(isa);
        Ok(launch.map_or(request, |launch| request.launch(launch)))
    }

    /// The threads to run on.
    pub fn pool(&self) -> Pool {
        Pool::new(threads(self.threads))
    }
}

/// In which form weights are held.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Held {
    /// How weights are held in memory
    #[arg(long, value_name = "LAYOUT", value_parser = layout(), default_value = "packed")]
    pub layout: Layout,
}

/// The threads that are asked for, or else as many as the processor runs at once.
pub fn threads(asked: Option<u16>) -> usize {
    let all = || thread::available_parallelism().map_or(1, NonZero::get);
    asked.map_or_else(all, usize::from)
}

/// Reads a layout.
fn layout() -> impl TypedValueParser<Value = Layout> {
    PossibleValuesParser::new(Layout::ALL.map(Layout::name)).try_map(|name| {
        let layout = Layout::ALL.into_iter().find(|layout| layout.name() == name);
        layout.ok_or("not a layout")
    })
}

/// The kernel of that name, for `format`, with its arguments.
fn launch(format: &'static Format, text: &str) -> Result<Launch, Failure> {
    let (name, arguments) = Launch::split(text);
    Launch::parse(kernel(format, name)?, arguments).map_err(Failure::input)
}

/// The kernel of that name, for `format`.
fn kernel(format: &'static Format, name: &str) -> Result<&'static Kernel, Error> {
    let kernels = registry::kernels(format);
    kernels.iter().find(|kernel| kernel.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let usable = kernels.iter().filter(|kernel| kernel.isa().is_available());
        registry::no_kernel(format, format!("the name {name:?}"), usable)
    })
}

/// A format to name in examples.
pub fn some_format() -> String {
    Defaults::get().bench.formats.into_iter().next().unwrap_or_default()
}

/// Reads a numerics class.
pub fn class() -> impl TypedValueParser<Value = Numerics> {
    PossibleValuesParser::new(Numerics::ALL.map(Numerics::name)).try_map(|name| {
        let class = Numerics::ALL.into_iter().find(|class| class.name() == name);
        class.ok_or("not a numerics class")
    })
}

/// Reads how thoroughly to measure.
pub fn effort() -> impl TypedValueParser<Value = Effort> {
    PossibleValuesParser::new(Effort::ALL.map(Effort::name)).try_map(|name| {
        let effort = Effort::ALL.into_iter().find(|effort| effort.name() == name);
        effort.ok_or("not an effort")
    })
}

/// Reads a time in seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "a time is a number of seconds from 0 on, as in 0.5".to_owned())
}

/// Reads how many threads run.
pub fn thread_count(text: &str) -> Result<u16, String> {
    let count = limits::THREADS.parse(text)?;
    u16::try_from(count).map_err(|error| error.to_string())
}

/// Reads a number of rows of activations.
pub fn batch(text: &str) -> Result<usize, String> {
    limits::BATCH.parse(text)
}

/// Reads one of several batch sizes.
pub fn one_of_batches(text: &str) -> Result<usize, String> {
    batch(text).map_err(|error| format!("{error}; of several, each is named: 1,8,128"))
}

/// Reads a shape as `NxK`.
pub fn shape(text: &str) -> Result<(usize, usize), String> {
    let (n, k) = text.split_once(['x', 'X']).ok_or("a shape is rows x columns, as in 4096x4096")?;
    Ok((limits::ROWS.parse(n)?, limits::COLUMNS.parse(k)?))
}
