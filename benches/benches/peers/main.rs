//! Ours beside llama.cpp, candle and ik_llama.cpp: `cargo bench -p quantloom-bench --features peers`. `docs/benchmarks.md` says what is compared.

mod args;
mod attention;
mod candle;
mod contender;
mod ggml;
mod ik;
mod llama;
mod models;
mod ours;
mod rounds;
mod weights;
mod worker;

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Parser;
use quantloom_bench::record::Record;
use quantloom_bench::{plot, report};

use args::Args;
use contender::Result;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    if let (Some(file), Some(threads)) = (&args.worker, args.worker_threads) {
        match &args.model {
            Some(model) => match &args.errors {
                Some(text) => models::errors::measure(model, text, threads)?,
                None => models::measure(args, model, threads)?,
            },
            None if args.attention => attention::measure(args, threads)?,
            None => worker::measure(args, threads)?.save(file)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    for path in args.json.iter().chain(&args.plot) {
        // Now rather than after hours.
        File::options().append(true).create(true).open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("record.json");
    // These have no record.
    let prints_only = args.attention || args.model.is_some();
    let mut records = Vec::new();
    for threads in args.cases().threads {
        if !on_threads(threads, &file)? {
            return Ok(ExitCode::FAILURE);
        }
        if !prints_only {
            records.push(Record::load(&file)?);
        }
    }
    if prints_only {
        return Ok(ExitCode::SUCCESS);
    }
    let mut records = records.into_iter();
    let mut record = records.next().ok_or("no number of threads")?;
    record.runs.extend(records.flat_map(|record| record.runs));
    for run in &record.runs {
        print!("\n{}", report::summary(run));
    }
    if let Some(path) = &args.json {
        record.save(path)?;
    }
    if let Some(path) = &args.plot {
        plot::draw(&record, path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures in another process, which writes to `file`: candle learns the number of its threads once in a process. False if that failed, and
/// said why.
fn on_threads(threads: usize, file: &Path) -> Result<bool> {
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1)).arg("--worker").arg(file).args(["--worker-threads", &threads.to_string()]);
    command.env("CANDLE_NUM_THREADS", threads.to_string());
    // Our packed weights lie in huge pages where the system has them. So do everyone's then: glibc asks for them.
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    Ok(command.status()?.success())
}
