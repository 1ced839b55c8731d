//! The cost model, whatever its coefficients: for every problem a time, and never a shorter one for more work.

use quantloom::machine::Caches;
use quantloom::registry::{self, Kernel, Numerics};
use quantloom::tune::cost::{Coefficients, Model, Problem, Terms, read};

const CACHES: Caches = Caches { l1d: 48 << 10, l2: 2 << 20, l3: 32 << 20, l3_sharers: 8 };

/// Every kernel of every format, with the model of its instruction set and class, where there is one.
fn kernels() -> impl Iterator<Item = (&'static Kernel, &'static Model)> {
    registry::formats()
        .flat_map(registry::kernels)
        .filter_map(|kernel| Some((kernel, Model::of(kernel.isa(), kernel.numerics)?)))
}

/// One kernel of each operation, tile, instruction set and numerics class, of as many formats as there are.
fn some_kernels() -> Vec<(&'static Kernel, &'static Model)> {
    let every = kernels().collect::<Vec<_>>();
    every.iter().step_by(7).copied().collect()
}

fn problem(n: usize, k: usize, batch: usize, threads: usize) -> Problem {
    Problem { n, k, batch, threads }
}

#[test]
fn the_shipped_models_are_of_what_exists() {
    for text in [include_str!("../src/tune/cost/x86_64.toml")] {
        for model in read(text).unwrap() {
            assert!(Numerics::ALL.iter().any(|numerics| numerics.name() == model.numerics), "{model:?}");
            assert!(model.samples > 0 && model.median <= model.p90 && (0.0..1.0).contains(&model.error()), "{model:?}");
            assert!(!model.processor.is_empty() && model.measured.len() == "2026-11-20".len(), "{model:?}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_kernel_of_this_architecture_has_a_model() {
    let all = registry::formats().flat_map(registry::kernels).count();
    assert_eq!(kernels().count(), all);
}

#[test]
fn models_that_are_wrong_are_not_read() {
    let model = |cost: &str| {
        format!(
            "[[model]]\nisa = \"a\"\nnumerics = \"int8\"\nprocessor = \"\"\ncard = \"\"\nmeasured = \"\"\nsamples = 1\nmedian = 0.1\np90 = 0.1\nerror = 0.1\n\
             nanoseconds = {{ streamed = {cost}, exposed = 0.0, broadcasts = 0.0, vectors = 0.0, products = 0.0, others = 0.0, \
             refetched = 0.0, prepared = 0.0, call = 0.0 }}\n"
        )
    };
    assert_eq!(read(&model("0.5")).unwrap()[0].nanoseconds, Coefficients { streamed: 0.5, ..Coefficients::default() });
    for wrong in ["-0.5", "nan", "inf", "0.0", "true"] {
        assert!(read(&model(wrong)).is_err(), "{wrong}");
    }
    assert!(read(&model("0.5").replace("streamed", "steamed")).is_err());
    assert!(read("").is_err() && read("model = 1").is_err());
}

#[test]
fn odd_problems_have_times() {
    let sizes = [0, 1, 31, 32, 1 << 20, usize::MAX / 2, usize::MAX];
    for (kernel, model) in some_kernels() {
        for n in sizes {
            for k in sizes {
                for batch in sizes {
                    for threads in [0, 1, 1000, usize::MAX] {
                        let problem = problem(n, k, batch, threads);
                        let time = model.nanoseconds(kernel, &problem, &CACHES);
                        assert!(time.is_finite() && time > 0.0, "{} {problem:?}: {time}", kernel.name);
                    }
                }
            }
        }
    }
}

#[test]
fn a_machine_without_caches_has_times() {
    let none = Caches { l1d: 0, l2: 0, l3: 0, l3_sharers: 1 };
    for (kernel, model) in some_kernels() {
        let time = model.nanoseconds(kernel, &problem(1000, 1024, 70, 3), &none);
        assert!(time.is_finite() && time > 0.0, "{}: {time}", kernel.name);
    }
}

#[test]
fn more_work_never_takes_less_time() {
    let sizes = [1, 2, 3, 15, 16, 17, 33, 64, 65, 100, 128, 500, 1000, 1024, 4096];
    let batches = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 24, 25, 32, 33, 64, 65, 128, 200, 512, 600];
    for (kernel, model) in some_kernels() {
        let grows = |problems: &mut dyn Iterator<Item = Problem>| {
            let mut last = (0.0, None);
            for problem in problems {
                let time = model.nanoseconds(kernel, &problem, &CACHES);
                assert!(time >= last.0 * (1.0 - 1e-9), "{}: {problem:?} {time} is below {last:?}", kernel.name);
                last = (time, Some(problem));
            }
        };
        for threads in [1, 4] {
            for other in [16, 320, 2048] {
                grows(&mut batches.iter().map(|&batch| problem(other, 2048, batch, threads)));
                grows(&mut sizes.iter().map(|&n| problem(n, 1024, other.min(600), threads)));
            }
        }
    }
}

#[test]
fn columns_that_fill_up_a_tile_cost_as_much_as_others() {
    for (kernel, _) in some_kernels().into_iter().filter(|(kernel, _)| kernel.cols > 1) {
        let terms = |batch| Terms::of(kernel, &problem(256, 1024, batch, 1), &CACHES);
        let (one, full, more) = (terms(1), terms(kernel.cols), terms(kernel.cols + 1));
        assert_eq!(one, full, "{}", kernel.name);
        assert!(more.products > 1.9 * full.products, "{}: a column more is a group more", kernel.name);
    }
}

#[test]
fn threads_share_the_work() {
    for (kernel, _) in some_kernels() {
        let terms = |threads| Terms::of(kernel, &problem(64 * 64, 2048, 1, threads), &CACHES);
        let (one, four, more) = (terms(1), terms(4), terms(1 << 20));
        assert!((one.products / four.products - 4.0).abs() < 0.01, "{}", kernel.name);
        let tiles = (64 * 64 / kernel.rows) as f64;
        assert!((one.products / more.products - tiles).abs() < 0.01, "{}: at most a tile each", kernel.name);
    }
}

/// The kernels of some format, instruction set and class that has several.
fn race() -> (Vec<&'static Kernel>, Model) {
    let isa = registry::isas()[0];
    let race = |format| {
        registry::kernels(format).iter().filter(|kernel| kernel.isa().name == isa.name && kernel.numerics == Numerics::Int8)
    };
    let kernels = registry::formats().map(|format| race(format).collect::<Vec<_>>()).find(|race| race.len() > 1).unwrap();
    let model = Model {
        isa: isa.name.to_owned(),
        numerics: "int8".to_owned(),
        processor: "none".to_owned(),
        card: String::new(),
        measured: "2026-11-20".to_owned(),
        samples: 1,
        median: 0.1,
        p90: 0.1,
        error: 0.1,
        nanoseconds: Coefficients { products: 1.0, ..Coefficients::default() },
    };
    (kernels, model)
}

#[test]
fn the_order_of_candidates_does_not_matter() {
    let (kernels, model) = race();
    let backwards = kernels.iter().rev().copied().collect::<Vec<_>>();
    for batch in [0, 1, 3, 4, 5, 300] {
        let names = |candidates: &[&'static Kernel]| {
            let ranked = model.rank(candidates, &problem(64, 1024, batch, 1), &CACHES);
            assert!(ranked.is_sorted_by(|(_, a), (_, b)| a <= b));
            ranked.into_iter().map(|(kernel, _)| kernel.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&kernels), names(&backwards));
    }
    assert!(model.rank(&[], &problem(1, 1, 1, 1), &CACHES).is_empty());
}

#[test]
fn only_a_gain_beyond_the_error_beats_the_default() {
    let (kernels, model) = race();
    let problem = problem(64, 1024, 1, 1);
    let ranked = model.rank(&kernels, &problem, &CACHES);
    let ((fastest, best), (slowest, worst)) = (ranked[0], ranked[ranked.len() - 1]);
    let gain = worst / best - 1.0;
    assert!(gain > 0.5, "one column in a tile of several");
    let with = |error| Model { error, ..model.clone() };
    let chosen = |model: &Model, default| model.better_than(default, &kernels, &problem, &CACHES).map(|kernel| kernel.name);
    assert_eq!(chosen(&with(gain * 0.99), slowest), Some(fastest.name));
    assert_eq!(chosen(&with(gain * 1.01), slowest), None);
    assert_eq!(chosen(&with(0.0), fastest), None, "nothing is gained on the fastest");
}
