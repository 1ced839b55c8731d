//! Weights of any bits, infinite and not a number among them, and such activations: every kernel gives the same values, and is not a number
//! where the others are not. The bits of what is not a number are nobody's.

mod support;

use quantloom::Error;
use quantloom::matmul::{Request, matmul};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Numerics, kernels};
use quantloom::stored::Stored;
use quantloom::weights::{Layout, Weights};

use support::products::{Random, numerics_of};

/// The largest batch, which every column of some tile and a tail take part in.
const BATCH: usize = 5;

/// The bits of values, of which those that are not a number are the same.
fn canonical(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN } else { *value }.to_bits()).collect()
}

/// Activations of any bits, or of any that are finite.
fn activations(random: &mut Random, count: usize, finite: bool) -> Vec<f32> {
    let any = |random: &mut Random| match random.next() % 8 {
        0 => f32::from_bits(random.next() << 1 | random.next() & 1),
        1 => [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0][random.next() as usize % 4],
        _ => random.unit(),
    };
    (0..count).map(|_| Some(any(random)).filter(|value| !finite || value.is_finite()).unwrap_or(0.5)).collect()
}

/// Multiplies by every kernel of a class in both layouts; products that were compared, and how many of the values are not a number.
fn compare(format: &'static Format, numerics: Numerics, random: &mut Random) -> (usize, usize) {
    let (n, k) = (37_usize.next_multiple_of(format.row_multiple()), 600_usize.next_multiple_of(format.block_weights));
    let bytes = (0..format.stored_bytes(n, k).unwrap()).map(|_| random.next() as u8).collect::<Vec<_>>();
    let stored = Stored::new(format, n, k, &bytes).unwrap();
    let weights = Layout::ALL.map(|layout| Weights::with_layout(&stored, layout, Pool::global()).unwrap());
    let x = activations(random, BATCH * k, numerics == Numerics::Int8);
    let mut wanted: Option<Vec<u32>> = None;
    let (mut products, mut undefined) = (0, 0);
    for kernel in kernels(format).iter().filter(|kernel| kernel.numerics == numerics && kernel.isa().is_available()) {
        for (weights, batch) in weights.iter().flat_map(|weights| [(weights, 1), (weights, BATCH)]) {
            let request = Request::default().launch(kernel).threads(2);
            let mut y = vec![0.0; batch * n];
            matmul(weights, &x[(BATCH - batch) * k..], batch, &mut y, &request, Pool::global()).unwrap();
            let found = canonical(&y);
            undefined += y.iter().filter(|value| value.is_nan()).count();
            products += 1;
            // The last column is that of the batch of one.
            let last = |found: &[u32]| found[found.len() - n..].to_vec();
            match &wanted {
                Some(wanted) if batch == BATCH => assert!(found == *wanted, "{} batch {batch}", kernel.name),
                Some(wanted) => assert!(found == last(wanted), "{} batch {batch}", kernel.name),
                None if batch == BATCH => wanted = Some(found),
                None => {}
            }
        }
    }
    (products, undefined)
}

#[test]
fn what_is_not_a_number_is_so_everywhere() {
    let mut random = Random(11);
    let (mut products, mut undefined) = (0, 0);
    for format in registry::formats() {
        for numerics in numerics_of(format) {
            let found = compare(format, numerics, &mut random);
            (products, undefined) = (products + found.0, undefined + found.1);
        }
    }
    assert!(products > 1000 && undefined > 1000, "{products} products, {undefined} values that are not a number");
}

#[test]
fn activations_that_cannot_be_quantised_are_refused() {
    let format = registry::formats().find(|format| numerics_of(format).any(|class| class == Numerics::Int8)).unwrap();
    let (n, k) = (format.row_multiple(), format.block_weights);
    let bytes = vec![0; format.stored_bytes(n, k).unwrap()];
    let weights = Weights::pack(format, n, k, &bytes, Pool::global()).unwrap();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = vec![0.5; k];
        x[k - 1] = value;
        let request = Request::default().numerics(Numerics::Int8);
        let error = matmul(&weights, &x, 1, &mut vec![0.0; n], &request, Pool::global()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { index } if index == k - 1), "{error}");
    }
}
