//! What several tests share.

use std::path::PathBuf;

use quantloom_models::{LanguageModel, Options, Part, Wanted};

/// A file of the repository's test data.
pub fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models").join(name)
}

/// The logits of all positions of a new sequence, fed by parts of these lengths.
pub fn logits(model: &LanguageModel, tokens: &[u32], splits: &[usize]) -> Vec<f32> {
    let mut sequence = model.sequence().unwrap();
    let (mut rest, mut all) = (tokens, Vec::new());
    for split in
        splits.iter().copied().chain([usize::MAX]).map_while(|split| (!rest.is_empty()).then_some(split)).collect::<Vec<_>>()
    {
        let (now, later) = rest.split_at(split.min(rest.len()));
        if !now.is_empty() {
            let logits = model.forward(&mut [Part::new(&mut sequence, now, Wanted::All)]).unwrap();
            all.extend(logits.into_values());
        }
        rest = later;
    }
    all
}

/// The likeliest tokens that follow, one after the other.
pub fn greedy(model: &LanguageModel, tokens: &[u32], count: usize) -> Vec<u32> {
    let mut sequence = model.sequence().unwrap();
    let (mut next, mut out) = (tokens.to_vec(), Vec::new());
    for _ in 0..count {
        let logits = model.forward(&mut [Part::new(&mut sequence, &next, Wanted::Last)]).unwrap();
        let best = logits.last().iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0))).unwrap().0;
        next = vec![best as u32];
        out.extend(&next);
    }
    out
}

/// The mean of `-ln p` of each token after the first.
pub fn mean_nll(logits: &[f32], tokens: &[u32], vocabulary: usize) -> f64 {
    let nll = |(row, token): (&[f32], &u32)| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = row.iter().map(|logit| f64::from(logit - max).exp()).sum::<f64>();
        sum.ln() - f64::from(row[*token as usize] - max)
    };
    let all = logits.chunks_exact(vocabulary).zip(&tokens[1..]).map(nll).collect::<Vec<_>>();
    all.iter().sum::<f64>() / all.len() as f64
}

/// The normalised mean squared error of some values.
pub fn nmse(found: impl IntoIterator<Item = f64>, wanted: &[f64]) -> f64 {
    let errors = found.into_iter().zip(wanted).map(|(found, wanted)| (found - wanted).powi(2));
    errors.sum::<f64>() / wanted.iter().map(|wanted| wanted * wanted).sum::<f64>()
}

/// Options for results that are compared with exact ones.
pub fn exact() -> Options {
    Options::default().numerics(quantloom::registry::Numerics::Exact).kv(quantloom::attention::KvType::F32)
}

/// That two arrays have the same bits.
pub fn same_bits(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let differs = found.iter().zip(wanted).position(|(a, b)| a.to_bits() != b.to_bits());
    assert_eq!(differs, None, "{what}");
}

/// Options for the class that models of another size are run in.
pub fn int8() -> Options {
    Options::default().numerics(quantloom::registry::Numerics::Int8)
}
