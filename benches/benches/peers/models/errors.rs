//! How far logits are from those of exact products: ours with quantised activations, and llama.cpp's, whose keys and values are f32 as ours.

use std::fs;
use std::path::Path;
use std::slice;

use quantloom::attention::KvType;
use quantloom::registry::Numerics;
use quantloom_models::Options;

use super::Runner;
use super::llama::{Cache, Llama};
use super::ours::Ours;
use crate::contender::Result;
use crate::worker::{self, distance};

/// Tokens of a piece of the text, each of which begins from nothing.
const PIECE: usize = 128;

/// Prints the mean error of the logits after each token of a text.
pub fn measure(path: &Path, text: &Path, threads: usize) -> Result<()> {
    let ours = |numerics| Ours::open(path, Options::default().numerics(numerics).kv(KvType::F32).threads(threads));
    let (mut exact, int8) = (ours(Numerics::Exact)?, ours(Numerics::Int8)?);
    let tokens = exact.tokens(&fs::read_to_string(text).map_err(|error| format!("{}: {error}", text.display()))?)?;
    let mut runners: Vec<Box<dyn Runner>> = vec![Box::new(int8)];
    runners.extend(Llama::all(path, threads, PIECE, Cache::F32)?.into_iter().map(|llama| Box::new(llama) as Box<dyn Runner>));
    let mut sums = vec![0.0; runners.len()];
    for piece in tokens.chunks(PIECE) {
        exact.clear()?;
        runners.iter_mut().try_for_each(|runner| runner.clear())?;
        for token in piece {
            let right = exact.take(slice::from_ref(token))?;
            for (runner, sum) in runners.iter_mut().zip(&mut sums) {
                *sum += distance(runner.take(slice::from_ref(token))?, right).powi(2);
            }
        }
    }
    println!("\n{}: {}, {} tokens of {}", worker::processor(), path.display(), tokens.len(), text.display());
    println!("mean squared error of logits over their mean square, by activations in 8 bits; f32 keys and values\n");
    for (runner, sum) in runners.iter().zip(&sums) {
        println!("{:<16}  {:.3e}  ours is {:.3} of it", runner.name(), sum / tokens.len() as f64, sums[0] / sum);
    }
    Ok(())
}
