//! `quantloom bench --model`: how fast a whole model is here, beside what its matrices alone would allow.

use std::path::Path;
use std::time::{Duration, Instant};

use quantloom::registry::{self, Numerics};
use quantloom::weights::Layout;
use quantloom_models::text::Sampling;
use quantloom_models::{LanguageModel, Options, Part, Sequence, Wanted};
use serde_json::{Value as Json, json};

use super::super::Failure;
use super::super::args::Choice;
use super::super::failure::{document, print};
use super::super::language;
use super::super::limit::warn_of_debug_build;
use super::super::progress::bar;
use super::super::report::numbers::{count, median, percent, significant};
use super::super::results::{BenchResult, json as matrices_json, text as matrices_text};
use super::super::screen::filled;
use super::super::source;
use super::super::table::{Align, Table};
use super::{Args, Bench, matrices, memory, of_model};

/// Tokens of a prompt, of a generation, of a prompt that somebody waits for, and of a generation at the end of a context.
const PROMPT: usize = 512;
const GENERATION: usize = 128;
const WAITED_FOR: usize = 32;
const AT_END: usize = 32;

/// Contexts that are filled.
const CONTEXTS: [usize; 2] = [4096, 16384];

/// Time for repeating the prompt, and how often it is read at least.
const BUDGET: Duration = Duration::from_secs(2);
const LEAST: usize = 3;

/// What of a run was measured.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    what: What,
    /// Positions before it.
    from: usize,
    tokens: usize,
    /// Seconds for all of them.
    seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Prompt,
    Generation,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Generation => "generation",
        }
    }
}

/// What running a model came to.
struct Run {
    /// How it was run.
    as_what: String,
    context: usize,
    rows: Vec<Row>,
    /// Contexts that the model does not have.
    left_out: Vec<usize>,
    /// Seconds for opening it, and from then to the first token behind a prompt.
    open: f64,
    first: f64,
    /// Bytes that were resident at most; of the file, and of keys and values.
    peak: Option<u64>,
    file: usize,
    kv: usize,
    /// The format and the shape of the head, which a prompt is multiplied by once.
    head: (String, usize, usize),
}

/// Runs the model, then measures its matrices, and prints both.
pub fn run(args: &Args, path: &Path) -> Result<(), Failure> {
    let isa = args.choice.isa.as_deref().map(registry::isa_by_name).transpose()?;
    let threads = args.choice.threads.map_or(0, usize::from);
    let options = Options::default().numerics(args.choice.numerics).isa(isa).threads(threads);
    let (run, numerics) = run_whole(path, &options)?;
    // The model is closed: its memory is that of the matrices now.
    let model = source::model(path)?;
    let Choice { isa, threads, .. } = &args.choice;
    let choice = Choice { numerics, isa: isa.clone(), kernel: None, threads: *threads };
    let mut bench = Bench::new(&choice, Layout::Packed)?;
    let batch = PROMPT.min(run.context);
    let results = bench.measure_all(&matrices(&model)?, &[1, batch])?;
    warn_of_debug_build();
    let machine = bench.machine()?;
    let of_model = of_model(path, &results)?;
    if args.json {
        let mut printed = matrices_json(&machine, &results, Some(&of_model));
        printed["run"] = run.json(&results);
        return print(&document(&printed));
    }
    print(&format!("{}\n{}", matrices_text(&machine, &results, Some(&of_model)), run.text(&results)))
}

/// Opens a model and runs it; the class that its products were of, if not the one that each format has.
fn run_whole(path: &Path, options: &Options) -> Result<(Run, Option<Numerics>), Failure> {
    let begun = Instant::now();
    let model = LanguageModel::open(path, options)?;
    let open = begun.elapsed().as_secs_f64();
    let context = model.context();
    let first = first_token(&model)?;
    let before = memory::peak();
    language::tune(&model)?;
    memory::forget();
    let (mut rows, mut kv) = short(&model)?;
    let fitting = CONTEXTS.into_iter().filter(|end| *end <= context).collect::<Vec<_>>();
    if !fitting.is_empty() {
        let (more, bytes) = long(&model, &fitting)?;
        rows.extend(more);
        kv = kv.max(bytes);
    }
    let outline = model.outline();
    let head = outline.head.weights.map(|head| (head.format.name.to_owned(), head.n, head.k)).unwrap_or_default();
    let numerics = model.options().numerics;
    let class = numerics.map_or_else(|| "the usual class of each format".to_owned(), |class| format!("class {class}"));
    let threads = count(model.pool().threads(), "thread", "threads");
    let run = Run {
        as_what: format!("{}, {class}, keys and values {}, {threads}", model.card().name, model.options().kv),
        context,
        rows,
        left_out: CONTEXTS.into_iter().filter(|end| *end > context).collect(),
        open,
        first,
        peak: before.max(memory::peak()),
        file: model.file().file_len(),
        kv,
        head,
    };
    Ok((run, numerics))
}

/// Some tokens of a model.
fn tokens(model: &LanguageModel, count: usize) -> Vec<u32> {
    let vocabulary = model.vocabulary() as u64;
    (0..count as u64).map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) % vocabulary) as u32).collect()
}

/// Gives a sequence tokens; which one is the likeliest to follow.
fn feed(model: &LanguageModel, sequence: &mut Sequence, tokens: &[u32]) -> Result<u32, Failure> {
    let logits = model.forward(&mut [Part::new(sequence, tokens, Wanted::Last)])?;
    Ok(Sampling::default().choose(logits.last(), &[], sequence.len() as u64)?)
}

/// Seconds for the first token behind a prompt.
fn first_token(model: &LanguageModel) -> Result<f64, Failure> {
    let begun = Instant::now();
    feed(model, &mut model.sequence()?, &tokens(model, WAITED_FOR.min(model.context())))?;
    Ok(begun.elapsed().as_secs_f64())
}

/// A prompt and a generation, both from the beginning; bytes of keys and values.
fn short(model: &LanguageModel) -> Result<(Vec<Row>, usize), Failure> {
    let prompt = tokens(model, PROMPT.min(model.context()));
    let (mut sequence, mut times, start) = (model.sequence()?, Vec::new(), Instant::now());
    while times.len() < LEAST || start.elapsed() < BUDGET {
        sequence.clear();
        let begun = Instant::now();
        feed(model, &mut sequence, &prompt)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    let seconds = median(times).unwrap_or_default();
    let read = Row { what: What::Prompt, from: 0, tokens: prompt.len(), seconds };
    let kv = sequence.bytes();
    sequence.clear();
    let wrote = generate(model, &mut sequence, prompt[0], GENERATION.min(model.context()))?;
    Ok((vec![read, wrote], kv.max(sequence.bytes())))
}

/// What contexts cost: one sequence is read up to shortly before the end of each, and written to its end.
fn long(model: &LanguageModel, ends: &[usize]) -> Result<(Vec<Row>, usize), Failure> {
    let (mut sequence, mut rows) = (model.sequence()?, Vec::new());
    let (mut read, mut time) = (0, Duration::ZERO);
    let most = ends.last().copied().unwrap_or_default();
    let all = tokens(model, most);
    let progress = bar(most as u64, "filling contexts");
    for end in ends {
        let mut next = 0;
        while sequence.len() < end - AT_END {
            let part = &all[sequence.len()..(end - AT_END).min(sequence.len() + PROMPT)];
            let begun = Instant::now();
            next = feed(model, &mut sequence, part)?;
            time += begun.elapsed();
            read += part.len();
            progress.set_position(sequence.len() as u64);
        }
        rows.push(Row { what: What::Prompt, from: 0, tokens: read, seconds: time.as_secs_f64() });
        rows.push(generate(model, &mut sequence, next, AT_END)?);
    }
    progress.finish_and_clear();
    Ok((rows, sequence.bytes()))
}

/// Writes tokens, one after the other: as many times the median of their times.
fn generate(model: &LanguageModel, sequence: &mut Sequence, mut next: u32, tokens: usize) -> Result<Row, Failure> {
    let (from, mut times) = (sequence.len(), Vec::new());
    for _ in 0..tokens {
        let begun = Instant::now();
        next = feed(model, sequence, &[next])?;
        times.push(begun.elapsed().as_secs_f64());
    }
    let seconds = median(times).unwrap_or_default() * tokens as f64;
    Ok(Row { what: What::Generation, from, tokens, seconds })
}

impl Row {
    fn rate(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

impl Run {
    /// Tokens a second that the matrices alone allow in a row, if any were measured.
    fn matrices(&self, row: &Row, results: &[BenchResult]) -> Option<f64> {
        let is_head = |result: &BenchResult| (&result.format, result.n, result.k) == (&self.head.0, self.head.1, self.head.2);
        let batch = if row.what == What::Generation { 1 } else { PROMPT.min(self.context) };
        let seconds = |batch: usize, times: &dyn Fn(&BenchResult) -> f64| {
            let of_batch = results.iter().filter(|result| result.batch == batch);
            of_batch.map(|result| times(result) * result.median_us / 1e6).sum::<f64>()
        };
        let often = |result: &BenchResult| result.per_token.unwrap_or_default();
        let seconds = match row.what {
            What::Generation => seconds(1, &often) * row.tokens as f64,
            // The head is for the last position alone.
            What::Prompt => {
                let head = seconds(1, &|result| f64::from(u8::from(is_head(result))));
                let without = |result: &BenchResult| often(result) - f64::from(u8::from(is_head(result)));
                seconds(batch, &without) * row.tokens as f64 / batch as f64 + head
            }
        };
        (seconds > 0.0).then(|| row.tokens as f64 / seconds)
    }

    fn json(&self, results: &[BenchResult]) -> Json {
        let row = |row: &Row| {
            let alone = self.matrices(row, results);
            json!({
                "what": row.what.name(), "from": row.from, "tokens": row.tokens, "tokens_per_s": row.rate(),
                "matrices_tokens_per_s": alone, "fraction_of_matrices": alone.map(|alone| row.rate() / alone),
            })
        };
        json!({
            "as": self.as_what,
            "context": self.context,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "contexts_left_out": self.left_out,
            "open_s": self.open,
            "first_token_s": self.first,
            "peak_bytes": self.peak,
            "file_bytes": self.file,
            "kv_bytes": self.kv,
        })
    }

    fn text(&self, results: &[BenchResult]) -> String {
        let mut table = Table::new(&[
            ("WHOLE", Align::Left),
            ("FROM", Align::Right),
            ("TOKENS", Align::Right),
            ("TOKENS/S", Align::Right),
            ("MATRICES ALONE", Align::Right),
            ("OF THAT", Align::Right),
        ]);
        for row in &self.rows {
            let alone = self.matrices(row, results);
            let of_that = alone.map_or_else(|| "-".to_owned(), |alone| percent(row.rate() / alone));
            let alone = alone.map_or_else(|| "-".to_owned(), significant);
            let cells = [row.from.to_string(), row.tokens.to_string(), significant(row.rate()), alone, of_that];
            table.row([row.what.name().to_owned()].into_iter().chain(cells));
        }
        let mut lines = vec![format!(
            "first token of a prompt of {}: {:.3} s, after {:.3} s for opening the model",
            WAITED_FOR.min(self.context),
            self.first,
            self.open
        )];
        let (held, mb) = ((self.file + self.kv) as f64, |bytes: f64| format!("{:.1} MB", bytes / 1e6));
        let of_held = format!("{} of the file and {} of keys and values", mb(self.file as f64), mb(self.kv as f64));
        lines.push(match self.peak {
            Some(peak) => format!("memory: {} at most, {} of {of_held}", mb(peak as f64), percent(peak as f64 / held)),
            None => format!("memory: {of_held}; this system does not say what was used"),
        });
        if self.context < PROMPT {
            lines.push(format!("the model's context of {} is shorter than a prompt of {PROMPT}", self.context));
        }
        for end in &self.left_out {
            lines.push(format!("left out: a context of {end}, for the model has {}", self.context));
        }
        let lines = lines.iter().map(|line| filled(line, 2) + "\n").collect::<String>();
        format!("{}\n\n{table}\n{lines}", filled(&self.as_what, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::limit::By;
    use super::*;
    use quantloom::measure::Fraction;

    fn result(n: usize, batch: usize, per_token: f64, seconds: f64) -> BenchResult {
        BenchResult {
            format: "F9".to_owned(),
            n,
            k: 64,
            per_token: Some(per_token),
            batch,
            numerics: Numerics::Exact,
            isa: String::new(),
            kernel: String::new(),
            brief: String::new(),
            source: String::new(),
            median_us: 1e6 * seconds,
            min_us: 0.0,
            limit_us: 0.0,
            gbps: 0.0,
            packed_gbps: 0.0,
            gops: 0.0,
            fraction_of_limit: Fraction(1.0),
            limit: By::Read,
            untried: None,
        }
    }

    fn run() -> Run {
        let row = |what, from, tokens, seconds| Row { what, from, tokens, seconds };
        Run {
            as_what: "some model, 1 thread".to_owned(),
            context: 8192,
            rows: vec![
                row(What::Prompt, 0, 512, 4.0),
                row(What::Generation, 0, 128, 64.0),
                row(What::Prompt, 0, 4064, 40.0),
                row(What::Generation, 4064, 32, 32.0),
            ],
            left_out: vec![16384],
            open: 0.25,
            first: 0.5,
            peak: Some(330_000_000),
            file: 280_000_000,
            kv: 20_000_000,
            head: ("F9".to_owned(), 900, 64),
        }
    }

    #[test]
    fn a_prompt_is_multiplied_by_the_head_once() {
        // Four matrices of a layer, of which one is as the head is.
        let results =
            [result(64, 1, 3.0, 0.1), result(900, 1, 2.0, 0.05), result(64, 512, 3.0, 0.75), result(900, 512, 2.0, 0.25)];
        let run = run();
        let alone = run.rows.iter().map(|row| run.matrices(row, &results).unwrap()).collect::<Vec<_>>();
        let wanted = [512.0 / 2.55, 2.5, 4064.0 / (2.5 * 4064.0 / 512.0 + 0.05), 2.5];
        assert!(alone.iter().zip(wanted).all(|(found, wanted)| (found / wanted - 1.0).abs() < 1e-12), "{alone:?}");
        let document = run.json(&results);
        assert_eq!(
            (&document["rows"][1]["fraction_of_matrices"], &document["contexts_left_out"]),
            (&0.8.into(), &json!([16384]))
        );
        assert_eq!(run.json(&[])["rows"][0]["matrices_tokens_per_s"], Json::Null);
    }

    #[test]
    fn the_table_says_what_was_measured_and_what_was_left_out() {
        let text = run().text(&[result(64, 1, 4.0, 0.1), result(64, 512, 4.0, 0.75)]);
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>();
        assert_eq!(lines[4], ["generation", "0", "128", "2.00", "2.50", "80%"], "{text}");
        assert_eq!(lines[6][..4], ["generation", "4064", "32", "1.00"], "{text}");
        for wanted in [
            "first token of a prompt of 32: 0.500 s, after 0.250 s for opening the model\n",
            "memory: 330.0 MB at most, 110% of 280.0 MB of the file and 20.0 MB of keys and values\n",
            "left out: a context of 16384, for the model has 8192\n",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
    }
}
