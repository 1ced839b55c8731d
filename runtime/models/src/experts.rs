//! Experts: networks of which each row goes through those that a router says the most of.

use std::cmp::Ordering;

use quantloom::matmul::Request;
use quantloom::operation::{self, Call, Norm, Operation};
use quantloom::registry::Numerics;

use crate::error::Result;
use crate::model::LanguageModel;
use crate::step::{Expert, Experts};

/// The experts of a row, those that the router says the most of first, and their weights.
struct Chosen {
    experts: Vec<usize>,
    weights: Vec<f32>,
}

impl Chosen {
    /// Of the logits of all experts. What is not a number counts as infinity, so that the row does not become one unseen.
    fn new(logits: &[f32], used: usize) -> Self {
        let place = |expert: usize| if logits[expert].is_nan() { f32::INFINITY } else { logits[expert] };
        let mut experts = (0..logits.len()).collect::<Vec<_>>();
        experts.sort_by(|a, b| place(*b).partial_cmp(&place(*a)).unwrap_or(Ordering::Equal).then(a.cmp(b)));
        experts.truncate(used);
        let mut weights = experts.iter().map(|expert| logits[*expert]).collect::<Vec<_>>();
        operation::softmax(&mut weights);
        Self { experts, weights }
    }
}

impl LanguageModel {
    /// What the experts of each row come to. Rows of an expert go through it together; each row is summed by itself, in the order in which its
    /// experts were chosen.
    pub(crate) fn experts(&self, experts: &Experts, norm: Norm<'_>, x: &[f32], batch: usize) -> Result<Vec<f32>> {
        let width = self.width();
        let chosen = self.choose(experts, norm, x, batch)?;
        // The places of the rows of each expert: of row r, the expert that was chosen as the i-th has place r * used + i.
        let mut places = vec![Vec::new(); experts.all.len()];
        let all = chosen.iter().flat_map(|chosen| &chosen.experts);
        all.enumerate().for_each(|(place, expert)| places[*expert].push(place));
        let mut results = vec![0.0; batch * experts.used * width];
        for (expert, places) in experts.all.iter().zip(&places).filter(|(_, places)| !places.is_empty()) {
            let rows = places.iter().flat_map(|place| &x[place / experts.used * width..][..width]).copied().collect::<Vec<_>>();
            let own = self.expert(experts.operation, expert, norm, &rows, places.len())?;
            for (place, own) in places.iter().zip(own.chunks_exact(width)) {
                results[place * width..][..width].copy_from_slice(own);
            }
        }
        let mut out = vec![0.0; batch * width];
        for ((out, results), chosen) in out.chunks_exact_mut(width).zip(results.chunks_exact(experts.used * width)).zip(&chosen)
        {
            for (result, weight) in results.chunks_exact(width).zip(&chosen.weights) {
                out.iter_mut().zip(result).for_each(|(out, result)| *out = weight.mul_add(*result, *out));
            }
        }
        Ok(out)
    }

    fn choose(&self, experts: &Experts, norm: Norm<'_>, x: &[f32], batch: usize) -> Result<Vec<Chosen>> {
        let projections = [experts.router.projection()];
        let call = Call { projections: &projections, x, batch, norm: Some(norm), ..Call::default() };
        let mut logits = vec![0.0; batch * experts.all.len()];
        // A little less than exact, and a row would go through another expert.
        let request: Request = self.request().numerics(Numerics::Exact);
        operation::run(self.operations().norm_linear, &call, &mut [&mut logits], &request, self.pool())?;
        Ok(logits.chunks_exact(experts.all.len()).map(|logits| Chosen::new(logits, experts.used)).collect())
    }

    /// Rows that go through one expert.
    fn expert(&self, operation: &Operation, expert: &Expert, norm: Norm<'_>, x: &[f32], batch: usize) -> Result<Vec<f32>> {
        let projections = [expert.gate.projection(), expert.up.projection()];
        let mut inner = vec![0.0; batch * expert.gate.weights.n()];
        let call = Call { projections: &projections, x, batch, norm: Some(norm), ..Call::default() };
        self.run(operation, &call, &mut [&mut inner])?;
        let projections = [expert.down.projection()];
        let mut out = vec![0.0; batch * self.width()];
        let call = Call { projections: &projections, x: &inner, batch, ..Call::default() };
        self.run(self.operations().linear, &call, &mut [&mut out])?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_experts_of_a_row_are_those_of_its_largest_logits() {
        let chosen = Chosen::new(&[1.0, 3.0, -2.0, 3.0, 2.0], 3);
        assert_eq!(chosen.experts, [1, 3, 4]);
        let sum = 2.0 + (-1_f64).exp();
        for (found, wanted) in chosen.weights.iter().zip([1.0, 1.0, (-1_f64).exp()]) {
            assert!((f64::from(*found) - wanted / sum).abs() < 1e-7, "{:?}", chosen.weights);
        }
        // Zeros are equal, whatever their signs.
        assert_eq!(Chosen::new(&[-0.0, 0.0, -1.0], 2).experts, [0, 1]);
        assert_eq!(Chosen::new(&[5.0], 1).weights, [1.0]);
    }

    #[test]
    fn what_is_not_a_number_is_chosen_and_seen() {
        let chosen = Chosen::new(&[1.0, 2.0, f32::NAN], 2);
        assert_eq!(chosen.experts, [2, 1]);
        assert!(chosen.weights.iter().all(|weight| weight.is_nan()));
    }
}
