//! What a model runs: the operations of a layer, with the kernels that this machine would use.

use std::path::Path;

use quantloom::matmul::select;
use quantloom::pool::Pool;
use quantloom_models::{Line, Options, Outline};

use super::super::Failure;
use super::super::failure::print;
use super::super::screen::filled;
use super::super::table::{Align, Table};

/// Tokens at once: one that is generated, and those of a prompt.
const BATCHES: [usize; 2] = [1, 512];

/// Prints it.
pub fn run(path: &Path) -> Result<(), Failure> {
    let outline = Outline::open(path, &Options::default())?;
    let mut table = Table::new(&[
        ("PART", Align::Left),
        ("OPERATION", Align::Left),
        ("OF", Align::Left),
        ("SHAPE", Align::Right),
        ("FORMAT", Align::Left),
        ("BYTES", Align::Right),
        ("KERNEL FOR 1 TOKEN", Align::Left),
        ("KERNEL FOR 512", Align::Left),
    ]);
    let layer = if outline.layers == 1 { "layer".to_owned() } else { format!("{} layers", outline.layers) };
    table.row(row(&outline, "embedding", &outline.embedding)?);
    for (index, line) in outline.layer.iter().enumerate() {
        table.row(row(&outline, if index == 0 { &layer } else { "" }, line)?);
    }
    table.row(row(&outline, "head", &outline.head)?);
    let card = outline.card;
    let title = filled(&format!("{}: {}", card.name, card.doc), 2);
    let note = "Bytes are those that one token reads, of one layer; of attention, those of each position that it sees.";
    print(&format!("{title}\n\n{table}\n{}\n", filled(note, 0)))
}

/// Which layers have it so, where others do not.
fn of_layers(layers: &[usize]) -> String {
    let runs = layers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(usize::to_string).collect(),
    });
    let runs = runs.collect::<Vec<_>>().join(", ");
    let what = if layers.len() == 1 { "layer" } else { "layers" };
    if layers.is_empty() { String::new() } else { format!(", in {what} {runs}") }
}

fn row(outline: &Outline, part: &str, line: &Line) -> Result<[String; 8], Failure> {
    let shape = line.weights.map_or_else(|| "-".to_owned(), |weights| format!("{}x{}", weights.n, weights.k));
    let kernel = |batch| match line.weights {
        None => Ok("-".to_owned()),
        Some(weights) => {
            select(weights, batch, &outline.request, Pool::global()).map(|used| used.launch.kernel.name.to_owned())
        }
    };
    let [one, many] = BATCHES.map(kernel);
    let format = line.format.map_or("-", |format| format.name).to_owned();
    let [part, operation] = [part, line.operation].map(str::to_owned);
    Ok([
        part,
        operation,
        format!("{}{}", line.what, of_layers(&line.layers)),
        shape,
        format,
        line.bytes.to_string(),
        one?,
        many?,
    ])
}

#[cfg(test)]
mod tests {
    use super::of_layers;

    #[test]
    fn layers_are_told_by_runs() {
        for (layers, wanted) in [
            (&[][..], ""),
            (&[3], ", in layer 3"),
            (&[0, 1, 2, 4, 6, 7], ", in layers 0-2, 4, 6-7"),
            (&[0, 2], ", in layers 0, 2"),
        ] {
            assert_eq!(of_layers(layers), wanted);
        }
    }
}
