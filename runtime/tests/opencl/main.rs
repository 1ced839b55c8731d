//! The text of modules for graphics processors, executed by an OpenCL runtime of a processor, against the definitions of the numerics classes.
//!
//! The tests are ignored where no such runtime need be: `.ci/gpu` installs one, and runs them all.

#[path = "../support/around.rs"]
mod around;
mod device;
#[path = "../support/matrices.rs"]
mod inputs;
mod matrix;

use quantloom::measure::activations;
use quantloom::registry::{self, Format, Numerics};
use quantloom::testing::Definition;
use quantloom_codegen::emit::device::{COLUMNS, Module};
use quantloom_codegen::lower::class::Class;

use around::{check_added, check_norm};
use device::Cl;
use inputs::{assert_same, columns, decoded, formats, packed, shapes};
use matrix::{Activations, Matrix, module};

/// Columns of the largest batch.
const BATCH: usize = 9;

/// Every batch from 1 to 9, K shared out to 1, 2, 4 and 8 groups: the bits of the plain evaluation. Weights are decoded to those of a processor.
#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn products_are_as_they_are_defined() {
    let cl = Cl::open();
    let (mut values, mut count) = (0, 0);
    for format in formats() {
        let (class, module) = module(format);
        let compiled = cl.compile(&module.text);
        let card = registry::model(format).unwrap();
        let definition = Definition::new(card);
        for (n, k) in shapes(format) {
            let (stored, packed) = packed(format, n, k);
            let (rows, x) = (definition.rows(format, n, k, &stored), columns(BATCH, k));
            let matrix = Matrix::new(&module, &cl, &compiled, &class, (n, k), &packed);
            let what = format!("{}, N {n}, K {k}, decoded", format.name);
            assert_same(&matrix.decode(), &decoded(format, n, k, &stored), &what);
            for numerics in Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics)) {
                let wanted = x.chunks(k).flat_map(|x| rows.iter().map(|row| row.product(numerics, x))).collect::<Vec<_>>();
                let given = matrix.activations(numerics, &x);
                for batch in 1..=BATCH {
                    let fits = COLUMNS.into_iter().find(|columns| *columns >= batch).unwrap_or(COLUMNS[0]);
                    for splits in [1, 2, 4, 8] {
                        let found = matrix.product(&given, batch, fits, splits);
                        let what = format!("{}, {numerics}, N {n}, K {k}, batch {batch}, {splits} groups share K", format.name);
                        assert_same(&found, &wanted[..batch * n], &what);
                        values += found.len();
                    }
                }
            }
        }
        count += 1;
        println!("{}: right", format.name);
    }
    assert!(count > 0, "this build has packed classes");
    println!("{count} classes, {values} values, none of which differs");
}

/// What comes before a product and after it has the bits of a processor.
#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn norms_and_what_is_added_are_those_of_a_processor() {
    let cl = Cl::open();
    let format = formats()[0];
    let (class, module) = module(format);
    let compiled = cl.compile(&module.text);
    for (n, k) in shapes(format) {
        let matrix = Matrix::new(&module, &cl, &compiled, &class, (n, k), &packed(format, n, k).1);
        check_norm(k, |x, weights, eps| matrix.norm(x, weights, eps));
        check_added(n, |sums, segments, bias, residual| matrix.finish(sums, segments, bias, residual));
    }
}

/// However many columns are taken at a time.
#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn a_column_does_not_depend_on_those_beside_it() {
    let cl = Cl::open();
    let format = formats()[0];
    let (class, module) = module(format);
    let compiled = cl.compile(&module.text);
    let (n, k) = shapes(format)[1];
    let matrix = Matrix::new(&module, &cl, &compiled, &class, (n, k), &packed(format, n, k).1);
    for numerics in Numerics::ALL.into_iter().filter(|numerics| class.has(*numerics)) {
        let given = matrix.activations(numerics, &columns(BATCH, k));
        let wanted = matrix.product(&given, BATCH, 1, 1);
        for columns in COLUMNS {
            assert_same(
                &matrix.product(&given, BATCH, columns, 2),
                &wanted,
                &format!("{numerics}, {columns} columns at a time"),
            );
        }
    }
}

/// The first with products of bytes.
fn format_of_bytes() -> &'static Format {
    let is_int8 = |format: &&'static Format| Class::of(registry::model(format).unwrap()).unwrap().has(Numerics::Int8);
    formats().into_iter().find(is_int8).unwrap()
}

/// Scales of spans at the ends of the range of f32, where devices that divide otherwise than IEEE 754 show; and what is no number.
#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn activations_are_quantised_as_a_processor_does_it() {
    let cl = Cl::open();
    let format = format_of_bytes();
    let (class, module) = module(format);
    let compiled = cl.compile(&module.text);
    let (n, k) = (format.row_multiple(), 64 * class.span.max(format.block_weights));
    let matrix = Matrix::new(&module, &cl, &compiled, &class, (n, k), &packed(format, n, k).1);
    let mut x = columns(BATCH, k);
    let largest = [0x0100_0000_u32, 1, 0x007f_ffff, 0x0080_0000, 0x0200_0001, 0x03ff_ffff, 0x7f7f_ffff, 0x42fe_0000];
    for (index, span) in x.chunks_mut(class.span).enumerate() {
        // Every mantissa that is a multiple of an odd number, too.
        let bits = largest.get(index).copied().unwrap_or(0x3f00_0000 + 131_071 * index as u32);
        span.fill(0.0);
        (span[0], span[1]) = (f32::from_bits(bits), -f32::from_bits(bits) / 3.0);
    }
    let Activations::Int8 { quants, scales, sums, status } = matrix.activations(Numerics::Int8, &x) else { unreachable!() };
    assert_eq!(cl.get::<u32>(&status), [0]);
    let (quants, scales, sums) = (cl.get::<i8>(&quants), cl.get::<f32>(&scales), cl.get::<i32>(&sums));
    for (index, span) in x.chunks(class.span).enumerate() {
        let largest = span[0];
        let inverse = 127.0 / largest;
        let is_zero = !inverse.is_finite();
        let scale = if is_zero { 0.0 } else { largest / 127.0 };
        assert_eq!(scales[index].to_bits(), scale.to_bits(), "the scale of {largest:e}");
        let found = &quants[index * class.span..][..class.span];
        let quant = |value: &f32| if is_zero { 0 } else { (value * inverse).round_ties_even() as i8 };
        assert!(span.iter().map(quant).eq(found.iter().copied()), "the quants of a span up to {largest:e}");
    }
    let wanted = quants.chunks(class.step).map(|step| step.iter().map(|&quant| i32::from(quant)).sum::<i32>());
    assert!(wanted.eq(sums), "sums");
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        x[k - 1] = bad;
        let Activations::Int8 { status, .. } = matrix.activations(Numerics::Int8, &x) else { unreachable!() };
        assert_eq!(cl.get::<u32>(&status), [1], "{bad}");
    }
}

/// What is changed in a text, from what and to what: each of them must show.
type Fault = (&'static str, &'static str, &'static str);

/// Faults of products.
const FAULTS: [Fault; 3] = [
    ("a barrier removed", "        BARRIER();\n        for (uint other", "        for (uint other"),
    ("segments added the last one first", "partials[(u64t)segment * count", "partials[(u64t)(segments - 1u - segment) * count"),
    ("two roundings for one", "#define FMA(a, b, c) fma(a, b, c)", "#define FMA(a, b, c) ADD(MUL(a, b), c)"),
];

/// Faults of norms, of what is added to sums, and of decoding.
const AROUND: [Fault; 6] = [
    ("a barrier removed", "        BARRIER();\n        if (thread < upper)", "        if (thread < upper)"),
    ("squares rounded twice", "FMA(x[first + at], x[first + at], sum)", "ADD(MUL(x[first + at], x[first + at]), sum)"),
    ("a root cut off", " + kept + ((digits & 1u) & (more", " + kept + (0u & (more"),
    ("factors in another order", "MUL(MUL(x[first + at], AS_FLOAT(r)), w[at])", "MUL(x[first + at], MUL(AS_FLOAT(r), w[at]))"),
    (
        "what is added in another order",
        "total = ADD(total, residual[at]);",
        "total = ADD(residual[at], SUB(total, bias[at])), total = ADD(total, bias[at]);",
    ),
    ("rows decoded the last one first", "out + (u64t)row * k", "out + (u64t)(rows - 1u - row) * k"),
];

/// A text with a fault gives other bits: what compares is able to find it. The results without one.
fn check_faults(faults: &[Fault], results: impl Fn(&Matrix<'_>) -> Vec<f32>) -> Vec<f32> {
    let cl = Cl::open();
    let format = formats()[0];
    let (class, right) = module(format);
    let shape = shapes(format)[1];
    let weights = packed(format, shape.0, shape.1).1;
    let results = |module: &Module| {
        let compiled = cl.compile(&module.text);
        results(&Matrix::new(module, &cl, &compiled, &class, shape, &weights))
    };
    let wanted = results(&right);
    assert!(wanted.iter().all(|value| value.is_finite()), "no value differs from itself");
    for (what, from, to) in faults {
        let mut wrong = right.clone();
        wrong.text = right.text.replace(from, to);
        assert_ne!(wrong.text, right.text, "{what}: the text has nothing to change");
        let found = results(&wrong);
        let same = found.iter().zip(&wanted).all(|(found, wanted)| found.to_bits() == wanted.to_bits());
        assert!(!same, "{what} shows in no value");
    }
    wanted
}

#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn a_text_with_a_fault_is_found_out() {
    let wanted = check_faults(&FAULTS, |matrix| {
        let given = matrix.activations(Numerics::Exact, &activations(1, matrix.k).unwrap());
        // The first in one group for each panel, the other with K shared out.
        [1, 4].map(|splits| matrix.product(&given, 1, 1, splits)).concat()
    });
    let (whole, shared) = wanted.split_at(wanted.len() / 2);
    assert_same(whole, shared, "without a fault");
}

#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn a_fault_beside_products_is_found_out() {
    check_faults(&AROUND, |matrix| {
        let [x, norm, added] = [256 * matrix.k, matrix.k, 5 * matrix.n].map(|count| activations(1, count).unwrap());
        let (sums, added) = added.split_at(3 * matrix.n);
        let (bias, residual) = added.split_at(matrix.n);
        let finished = matrix.finish(sums, 3, Some(bias), Some(residual));
        [matrix.norm(&x, &norm, 1e-5), finished, matrix.decode()].concat()
    });
}

/// Contraction is forbidden, and products and sums are functions, beyond which it does not go: it takes both to let it happen.
const CONTRACTION: [(&str, &str); 3] = [
    ("FP_CONTRACT OFF", "FP_CONTRACT ON"),
    ("FUNC float MUL(float a, float b) { return a * b; }", "#define MUL(a, b) ((a) * (b))"),
    ("FUNC float ADD(float a, float b) { return a + b; }", "#define ADD(a, b) ((a) + (b))"),
];

/// Activations that become another integer where their product with the inverse of a scale is not rounded by itself, behind the largest.
fn between_integers(span: usize) -> Vec<f32> {
    const MAGIC: f32 = 12_582_912.0;
    let largest = 0.7_f32;
    let inverse = 127.0 / largest;
    let middles = (0..127).flat_map(|integer| {
        let middle = ((integer as f32 + 0.5) / inverse).to_bits();
        (middle - 4..middle + 4).map(f32::from_bits)
    });
    let matters = |value: &f32| value * inverse + MAGIC != value.mul_add(inverse, MAGIC);
    let mut values = [largest].into_iter().chain(middles.filter(matters)).take(span).collect::<Vec<_>>();
    assert!(values.len() > 1, "there are such values");
    values.resize(span, 0.0);
    values
}

#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn contraction_switched_on_shows() {
    let cl = Cl::open();
    let format = format_of_bytes();
    let (class, right) = module(format);
    let x = between_integers(class.span);
    let (n, k) = (format.row_multiple(), class.span.max(format.block_weights));
    let mut row = x.clone();
    row.resize(k, 0.0);
    let weights = packed(format, n, k).1;
    let quants = |module: &Module| {
        let compiled = cl.compile(&module.text);
        let matrix = Matrix::new(module, &cl, &compiled, &class, (n, k), &weights);
        let Activations::Int8 { quants, .. } = matrix.activations(Numerics::Int8, &row) else { unreachable!() };
        cl.get::<i8>(&quants)
    };
    let inverse = 127.0 / x[0];
    let wanted = row.iter().map(|value| (value * inverse).round_ties_even() as i8).collect::<Vec<_>>();
    assert_eq!(quants(&right)[..k], wanted);
    let mut wrong = right.clone();
    for (from, to) in CONTRACTION {
        let changed = wrong.text.replace(from, to);
        assert_ne!(changed, wrong.text, "{from}: the text has nothing to change");
        wrong.text = changed;
    }
    assert_ne!(quants(&wrong)[..k], wanted);
}

/// A pointer that has lost its address space does not compile.
#[test]
#[ignore = "needs an OpenCL runtime; .ci/gpu runs it"]
fn an_address_space_dropped_shows() {
    let cl = Cl::open();
    let (_, right) = module(formats()[0]);
    for from in ["GLOBAL const u8t* bytes", "ARG(GLOBAL const float*, partials", "ARG(GLOBAL float*, out"] {
        let wrong = right.text.replace(from, &from.replace("GLOBAL ", ""));
        assert_ne!(wrong, right.text, "{from}: the text has nothing to change");
        assert!(cl.try_compile(&wrong).is_err(), "{from} without GLOBAL compiles");
    }
}
