//! `quantloom` without a command: lets the bundled model speak, tunes it and the matrices of a larger one, and prints what won and what it
//! means.

use std::cmp::Reverse;
use std::time::Duration;
#[cfg(feature = "models")]
use std::time::Instant;

use quantloom::gguf::Gguf;
use quantloom::kernels::abi::{Peer, Pipes};
use quantloom::machine::{Facts, Gauge};
use quantloom::matmul::{Request, Source};
use quantloom::measure::{Cold, Fraction, Work, synthetic, unfused};
use quantloom::model::{Kind, Model};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format};
use quantloom::stored::Stored;
use quantloom::tune::{self, Job, Mode, Outcome, Status, Tuner, cost};
use quantloom::weights::{Layout, Weights};
#[cfg(feature = "models")]
use quantloom_models::text::{Sampling, Tokenizer};
#[cfg(feature = "models")]
use quantloom_models::{Generation, LanguageModel, Options};
#[cfg(feature = "models")]
use quantloom_spec::text::escaped;
use quantloom_spec::text::shown;

use super::Failure;
use super::defaults::{Demo, Layers, MODEL};
use super::failure::{print, tell};
use super::limit::{Bound, By, pipes, warn_of_debug_build};
use super::progress::bar;
use super::report::model::short;
use super::report::numbers::{count, significant};
use super::results::{notes, of_limit};
use super::screen::{filled, legend};
use super::table::{Align, Table};
use super::token::{self, Exceptions, Time, passes};
use super::tune::settings;

/// Time to tune in: the rest of the demo takes about as long again.
const TUNING: Duration = Duration::from_secs(8);
/// Time to measure one line of a table in.
const LINE: Duration = Duration::from_millis(60);
/// Rows that are decoded to measure what unfused multiplication costs.
const UNFUSED_ROWS: usize = 256;

/// What the program does when nobody says what: tune the bundled model here, and print how fast it is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: quantloom demo")]
pub struct Args {}

/// Tunes, measures and prints.
pub fn run() -> Result<(), Failure> {
    let mode = settings()?;
    let pool = Pool::global();
    let demo = Demo::get();
    let isa = registry::best_isa();
    let (processor, threads) = (Facts::detect().processor, count(pool.threads(), "thread", "threads"));
    print(&format!("{WHAT}\n{processor}, {threads}, {}. This takes some 20 s.\n", isa.name))?;
    warn_of_debug_build();
    #[cfg(feature = "models")]
    speak(&demo)?;

    print("How fast the matrices of two models are here, which most of a model's time goes to:\n\n")?;
    let mut problems = layers(&demo.layers, pool)?;
    problems.extend(bundled(&demo, pool)?);
    let tunes = matches!(mode, Mode::OnMiss { .. } | Mode::Force { .. });
    let outcomes = if tunes { tune(&problems, &demo.batches, pool)? } else { Vec::new() };
    print(&if tunes { summary(&outcomes) } else { format!("nothing is tuned: {}={mode}\n", tune::MODE) })?;
    let mut measuring = Measuring { gauge: Gauge::new(pool.threads()), pool, pipes: pipes()?, batches: demo.batches };
    let lines = measuring.lines(&problems)?;
    let gauge = &measuring.gauge;
    let limits = format!("{}, at best, in turn with the kernels", gauge.ceilings(isa.name));
    let notes = notes(&gauge.steadiness(isa.name), lines.iter().map(|line| line.fraction));
    print(&format!("{}\n{}\n{notes}\n{}\n{NEXT}", sections(&lines, token::peers()?), filled(&limits, 2), legend(&LEGEND)))
}

/// Lets the bundled model go on from a few words.
#[cfg(feature = "models")]
fn speak(demo: &Demo) -> Result<(), Failure> {
    let model = Model::new(Gguf::from_bytes(demo.model(), MODEL.to_vec())?)?;
    let model = LanguageModel::new(model, &Options::default())?;
    let tokenizer = Tokenizer::of(model.file())?;
    let prompt = tokenizer.prompt(&demo.text.prompt)?;
    let begun = Instant::now();
    let generation = Generation::new(&model, &tokenizer, &prompt, Sampling::default())?.limit(demo.text.tokens);
    let text = generation.map(|generated| Ok(generated?.text)).collect::<quantloom_models::Result<String>>()?;
    let rate = demo.text.tokens as f64 / begun.elapsed().as_secs_f64();
    let said = format!("  {}{} ...", demo.text.prompt, text.replace('\n', " "));
    let head = format!(
        "The bundled model, which has read the documentation of Rust, at {rate:.0} tokens/s; the same words everywhere:"
    );
    print(&format!("{}\n\n{}\n\n", filled(&head, 0), filled(&escaped(&said), 2)))
}

/// What this is, for those who see it for the first time.
const WHAT: &str = "\
quantloom runs quantised language models with kernels that are generated from
cards: one for each weight format, processor and architecture. The same model,
tokens and options give the same bits on every machine, in every batch.
";

/// The columns of the tables.
const HEADS: [(&str, Align); 7] = [
    ("SHAPE", Align::Right),
    ("BATCH", Align::Right),
    ("KERNEL", Align::Left),
    ("FROM", Align::Left),
    ("SPEED", Align::Right),
    ("OF LIMIT", Align::Left),
    ("GAIN", Align::Right),
];

/// What they are.
const LEGEND: [(&str, &str); 7] = [
    ("SHAPE", "rows and columns of a matrix"),
    ("BATCH", "tokens at once: 1 as a model writes, more as it reads a prompt"),
    ("KERNEL", "the fastest found; `quantloom explain FORMAT` lists all, by full names"),
    ("FROM", "who chose it: tuned now, the cache of an earlier run, a default"),
    ("SPEED", "weights read, or operations done, whichever limits it"),
    ("OF LIMIT", "part of what the machine allows: `read` memory, `dots` products, or `mix`, all instructions of the kernel"),
    ("GAIN", "times as fast as decoding the weights to f32 and multiplying those"),
];

const NEXT: &str = "\
Next:
  quantloom generate MODEL.gguf --chat -p TEXT    what your model answers
  quantloom bench MODEL.gguf     how fast the matrices of your model are here
  quantloom tune MODEL.gguf      finds its fastest kernels, and remembers them
  quantloom report page.html     what was found, as a page
  quantloom --help               all commands
How to measure llama.cpp beside it: docs/benchmarks.md
";

/// A matrix of the demo, with its stored form for comparison.
struct Problem {
    /// What it is of.
    model: String,
    weights: Weights,
    stored: Vec<u8>,
    /// How often a token is multiplied by such a matrix.
    per_token: f64,
}

/// The matrices of the bundled model, one of each format and shape.
fn bundled(demo: &Demo, pool: &Pool) -> Result<Vec<Problem>, Failure> {
    let model = Model::new(Gguf::from_bytes(demo.model(), MODEL.to_vec())?)?;
    let (file, exceptions) = (model.file(), Exceptions::get());
    let mut problems = Vec::<Problem>::new();
    for tensor in file.tensors().iter().filter(|tensor| model.is_matrix(tensor)) {
        let Kind::Blocks(format, shape) = model.kind(tensor)? else { continue };
        let per_token = exceptions.part(file, &tensor.name);
        let (n, k) = (tensor.rows(), tensor.k());
        let same = |problem: &&mut Problem| {
            let weights = &problem.weights;
            (weights.format().name, weights.n(), weights.k()) == (format.name, n, k)
        };
        if let Some(known) = problems.iter_mut().find(same) {
            known.per_token += per_token;
            continue;
        }
        let stored = file.bytes(tensor, shape)?.to_vec();
        let weights = model.weights(tensor, Layout::Packed, pool)?;
        problems.push(Problem { model: format!("the bundled model, {}", demo.model()), weights, stored, per_token });
    }
    problems.retain(|problem| problem.per_token > 0.0);
    Ok(sorted(problems))
}

/// The matrices of a larger model, with synthetic weights.
fn layers(layers: &Layers, pool: &Pool) -> Result<Vec<Problem>, Failure> {
    let format: &'static Format = registry::format_by_name(&layers.format)?;
    let problem = |&(count, n, k): &(usize, usize, usize)| {
        let stored = synthetic(format, n, k)?;
        let weights = Weights::pack(format, n, k, &stored, pool)?;
        Ok(Problem { model: layers.name.clone(), weights, stored, per_token: count as f64 })
    };
    Ok(sorted(layers.matrices.iter().map(problem).collect::<Result<_, Failure>>()?))
}

/// By format, the largest first.
fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|Problem { weights, .. }| (weights.format().name, Reverse(weights.n() * weights.k()), weights.n()));
    problems
}

fn tune<'p>(problems: &'p [Problem], batches: &'p [usize], pool: &Pool) -> Result<Vec<Outcome>, Failure> {
    let job = |problem: &'p Problem| Job::new(&problem.weights, batches, Request::default());
    let jobs = problems.iter().map(job).collect::<Vec<_>>();
    let progress = bar((problems.len() * batches.len()) as u64, "tuning");
    let outcomes =
        Tuner::new(tune::choices()).tune_model(&jobs, pool, TUNING, &mut |step| progress.set_position(step.done as u64));
    progress.finish_and_clear();
    let outcomes = outcomes?;
    outcomes.iter().flat_map(|outcome| &outcome.warnings).for_each(|warning| tell(&format!("warning: {warning}")));
    Ok(outcomes)
}

/// Where the choices come from.
fn summary(outcomes: &[Outcome]) -> String {
    let of = |wanted: fn(Status) -> bool| outcomes.iter().filter(|outcome| wanted(outcome.status)).count();
    let cached = of(|status| status == Status::Known(Source::Cache));
    let tuned = of(|status| status == Status::Tuned);
    let rest = outcomes.len() - cached - tuned;
    let path = tune::choices().path().map_or_else(String::new, |path| format!("cache: {}\n", shown(path)));
    let rest = if rest == 0 { String::new() } else { format!(", {rest} left for a quieter time") };
    format!("{} choices: {cached} from the cache, {tuned} tuned now{rest}\n{path}", outcomes.len())
}

/// A line of a table.
struct Line {
    section: String,
    cells: [String; 7],
    fraction: Fraction,
    model: String,
    time: Time,
}

/// What measurements share.
struct Measuring<'a> {
    gauge: Gauge,
    pool: &'a Pool,
    pipes: &'static [Pipes],
    batches: Vec<usize>,
}

impl Measuring<'_> {
    fn lines(&mut self, problems: &[Problem]) -> Result<Vec<Line>, Failure> {
        let progress = bar((problems.len() * self.batches.len()) as u64, "measuring");
        let mut lines = Vec::new();
        for problem in problems {
            for batch in self.batches.clone() {
                lines.push(self.line(problem, batch)?);
                progress.inc(1);
            }
        }
        progress.finish_and_clear();
        Ok(lines)
    }

    fn line(&mut self, problem: &Problem, batch: usize) -> Result<Line, Failure> {
        let Problem { model, weights, stored, per_token } = problem;
        let (format, n, k) = (weights.format(), weights.n(), weights.k());
        let request = Request::default();
        let work = Work::of(weights, batch);
        let (used, times, ceilings) =
            Cold::new(weights.duplicate()?, batch)?.time(batch, &request, self.pool, &mut self.gauge, LINE)?;
        let (kernel, seconds) = (used.launch.kernel, times.median.as_secs_f64());
        let problem = cost::Problem { n, k, batch, threads: self.pool.threads() };
        let bound = Bound::of(kernel, &problem, &work, &ceilings, self.pipes);
        let fraction = Fraction(bound.seconds / seconds);
        let unfused = unfused(&Stored::new(format, n, k, stored)?, batch, kernel.isa(), UNFUSED_ROWS, self.pool)?;
        let (amount, unit) = match bound.by {
            By::Read => (work.packed_bytes as f64 / 1e9, "GB/s"),
            By::Dots | By::Mix => (work.operations / 1e9, "Gop/s"),
        };
        Ok(Line {
            section: format!("{model} ({}, {} on {})", format.name, kernel.numerics, kernel.isa().name),
            cells: [
                format!("{n}x{k}"),
                batch.to_string(),
                short(kernel.name, format.name, kernel.numerics, kernel.isa().name),
                from(used.source).to_owned(),
                format!("{} {unit}", significant(amount / seconds)),
                of_limit(fraction, bound.by),
                format!("{:.1}x", unfused / seconds),
            ],
            fraction,
            model: model.clone(),
            time: Time { format: format.name.to_owned(), numerics: kernel.numerics, batch, count: *per_token, seconds },
        })
    }
}

/// Who chose a kernel, to somebody who has just seen the tuner work.
const fn from(source: Source) -> &'static str {
    match source {
        Source::Memory => "tuned now",
        other => other.name(),
    }
}

/// A table for each model, format, class and instruction set, and what each model comes to.
fn sections(lines: &[Line], peers: &[Peer]) -> String {
    let mut text = String::new();
    for of_model in lines.chunk_by(|one, other| one.model == other.model) {
        for of_section in of_model.chunk_by(|one, other| one.section == other.section) {
            let mut table = Table::new(&HEADS);
            of_section.iter().for_each(|line| table.row(line.cells.clone()));
            text += &format!("\n{}\n{table}", filled(&format!("{}:", capital(&of_section[0].section)), 2));
        }
        let times = of_model.iter().map(|line| line.time.clone()).collect::<Vec<_>>();
        let passes = passes(&times, peers);
        text += &format!("\n{}", token::lines("This model", &passes));
    }
    text
}

/// Text at the beginning of a line.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quantloom::registry::Numerics;

    fn line(model: &str, section: &str, batch: usize) -> Line {
        let cells = ["11264x2048", "128", "panel r32c8.s2.both", "tuned now", "83.3 Gop/s", "  71% dots", "11.7x"];
        Line {
            section: section.to_owned(),
            cells: cells.map(str::to_owned),
            fraction: Fraction(0.71),
            model: model.to_owned(),
            time: Time { format: "A".to_owned(), numerics: Numerics::Int8, batch, count: 2.0, seconds: 0.25 },
        }
    }

    #[test]
    fn every_column_is_explained() {
        assert_eq!(HEADS.map(|(head, _)| head), LEGEND.map(|(head, _)| head));
    }

    #[test]
    fn all_lines_fit_a_screen() {
        let lines = [line("one", "one (A)", 1), line("one", "one (B)", 1), line("two", "two (A)", 1)];
        for text in [WHAT, NEXT, &sections(&lines, &[])] {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }

    #[test]
    fn each_model_has_its_tables_and_what_it_comes_to() {
        let text = sections(&[line("one", "one (A)", 1), line("one", "one (B)", 1), line("two", "two (A)", 1)], &[]);
        let starts = [
            "\nOne (A):\n",
            "\nOne (B):\n",
            "This model: about 1.00 tokens/s from these matrices",
            "\nTwo (A):\n",
            "about 2.00 tokens/s",
        ];
        let found = starts.map(|start| text.find(start));
        assert!(found.is_sorted() && found.iter().all(Option::is_some), "{found:?}\n{text}");
    }

    #[test]
    fn the_largest_matrices_come_first() {
        let pool = Pool::new(1);
        let layers = |matrices| Layers { name: String::new(), format: Demo::get().layers.format, matrices };
        let shapes = super::layers(&layers(vec![(1, 16, 512), (3, 64, 256), (2, 48, 512)]), &pool).unwrap();
        let found = shapes.iter().map(|problem| (problem.weights.n(), problem.per_token)).collect::<Vec<_>>();
        assert_eq!(found, [(48, 2.0), (64, 3.0), (16, 1.0)]);
        let bundled = bundled(&Demo::get(), &pool).unwrap();
        assert!(bundled.len() > 3 && bundled.iter().all(|problem| problem.per_token > 0.0));
    }

    #[test]
    fn who_chose_is_said_in_words_of_now() {
        assert_eq!([Source::Memory, Source::Cache, Source::Default].map(from), ["tuned now", "cache", "default"]);
    }
}
