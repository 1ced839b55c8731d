//! The file that models are shipped in.

use quantloom::tune::cost::Model;

/// The comment that the file begins with.
const HEAD: &str = "\
# What kernels of this architecture take, for the cost model: nanoseconds of each of its terms (runtime/src/tune/cost/terms.rs), which\n\
# `fit-cost-model --write` fitted to times on the processor that is named. `median` and `p90` are of |predicted / measured - 1|, on\n\
# formats that were not fitted to; `error` is how much larger a predicted gain may be than the real one.\n";

/// Its text: the models that were known, those of `new` in the place of theirs, sorted.
#[must_use]
pub fn file(known: Vec<Model>, new: Vec<Model>) -> String {
    let key = |model: &Model| (model.isa.clone(), model.numerics.clone());
    let mut models = known.into_iter().filter(|old| new.iter().all(|new| key(new) != key(old))).collect::<Vec<_>>();
    models.extend(new);
    models.sort_by_key(key);
    HEAD.to_owned() + &models.iter().map(row).collect::<String>()
}

/// Four digits that matter; what the fit left of nothing is 0.
fn digits(value: f64) -> String {
    let value = if value < 1e-9 { 0.0 } else { value };
    format!("{:?}", format!("{value:.3e}").parse::<f64>().unwrap_or(value))
}

fn row(model: &Model) -> String {
    let Model { isa, numerics, processor, card, measured, samples, median, p90, error, nanoseconds: cost } = model;
    let terms = [
        ("streamed", cost.streamed),
        ("exposed", cost.exposed),
        ("broadcasts", cost.broadcasts),
        ("vectors", cost.vectors),
        ("products", cost.products),
        ("others", cost.others),
        ("refetched", cost.refetched),
        ("prepared", cost.prepared),
        ("call", cost.call),
    ];
    let terms = terms.map(|(name, cost)| format!("{name} = {}", digits(cost))).join(", ");
    format!(
        "\n[[model]]\n\
         isa         = {isa:?}\n\
         numerics    = {numerics:?}\n\
         processor   = {processor:?}\n\
         card        = {card:?}\n\
         measured    = {measured:?}\n\
         samples     = {samples}\n\
         median      = {}\n\
         p90         = {}\n\
         error       = {}\n\
         nanoseconds = {{ {terms} }}\n",
        digits(*median),
        digits(*p90),
        digits(*error),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use quantloom::tune::cost::{Coefficients, read};

    fn model(isa: &str, samples: usize) -> Model {
        Model {
            isa: isa.to_owned(),
            numerics: "int8".to_owned(),
            processor: "one \"of\" ours".to_owned(),
            card: "ours".to_owned(),
            measured: "2026-11-20".to_owned(),
            samples,
            median: 0.05,
            p90: 0.1,
            error: 0.125,
            nanoseconds: Coefficients { streamed: 0.0625, call: 100.0, ..Coefficients::default() },
        }
    }

    #[test]
    fn models_are_read_as_they_are_written() {
        let old = vec![model("b", 1), model("c", 2)];
        let text = file(old, vec![model("b", 3), model("a", 4)]);
        assert_eq!(read(&text), Ok(vec![model("a", 4), model("b", 3), model("c", 2)]));
    }
}
