//! Several who multiply and choose in one process.

use quantloom::Error;
use quantloom::machine::processor::{self, By};
use quantloom::matmul::{ByCards, Choose, Context, Launch, Request, Source, Used, matmul, select};
use quantloom::measure::activations;
use quantloom::pool::Pool;
use quantloom::registry::{self, Kernel};
use quantloom::tune::{self, CacheFile, Choices, Keep, Key, Settings};
use quantloom::weights::{Shape, Weights};

use crate::child::parts_with;
use crate::support::{ELSEWHERE, entry, kernels, key, weights};

/// Choices with a file that says which kernel is the best for a batch of one on so many threads.
fn choices(folder: &std::path::Path, weights: &Weights, threads: usize, kernel: &'static Kernel) -> Choices {
    let open = || Choices::new(Some(CacheFile::new(folder, ELSEWHERE)));
    let before = open();
    before.record(entry(Key { threads, ..key(weights, 1) }, kernel), Keep::InFile);
    before.publish().unwrap();
    open()
}

/// What runs a batch of one, and its bits.
fn multiply(weights: &Weights, context: Context<'_>) -> (Used, Vec<u32>) {
    let mut y = vec![f32::NAN; weights.n()];
    let x = activations(1, weights.k()).unwrap();
    let used = matmul(weights, &x, 1, &mut y, &Request::default(), context).unwrap();
    (used, y.into_iter().map(f32::to_bits).collect())
}

#[test]
fn each_context_follows_its_own_cache_on_its_own_pool() {
    let weights = weights(40, 1);
    let chosen = [kernels(&weights)[0], *kernels(&weights).last().unwrap()];
    let pools = [Pool::new(1), Pool::new(2)];
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let choices = [0, 1].map(|one| choices(folders[one].path(), &weights, pools[one].threads(), chosen[one]));
    let both = [0, 1].map(|one| multiply(&weights, Context::new(&pools[one], &choices[one])));
    for ((used, bits), kernel) in both.iter().zip(chosen) {
        assert_eq!((used.launch, used.source, bits), (kernel.into(), Source::Cache, &both[0].1));
    }
    // What is known holds for as many threads as the pool has, and for nobody else.
    assert_ne!(multiply(&weights, Context::new(&pools[0], &choices[1])).0.source, Source::Cache);
    assert_ne!(multiply(&weights, Context::from(&pools[0])).0.source, Source::Cache);
    assert_ne!(multiply(&weights, Context::global()).0.source, Source::Cache);
    assert_eq!(multiply(&weights, Context::new(&pools[1], &ByCards)).0.source, Source::Default);
}

#[test]
fn a_program_may_pin_kernels_for_its_own_choices() {
    let weights = weights(40, 1);
    let mut settings = Settings::default();
    let kernel = *kernels(&weights).last().unwrap();
    settings.pins = format!("{}/matmul={}", kernel.format, kernel.name).parse().unwrap();
    let (pool, choices) = (Pool::new(1), Choices::new(None).with_settings(settings));
    let (used, _) = multiply(&weights, Context::new(&pool, &choices));
    assert_eq!((used.launch, used.source), (kernel.into(), Source::Pin));
}

#[test]
fn the_environment_is_that_of_the_process_wide_choices_alone() {
    let part = || {
        let (weights, choices) = (weights(16, 1), Choices::new(None));
        let select = |context| select(&weights, 1, &Request::default(), context);
        assert!(select(Context::new(Pool::global(), &choices)).is_ok());
        let error = select(Context::global()).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    };
    let test = "contexts::the_environment_is_that_of_the_process_wide_choices_alone";
    parts_with(test, tempfile::tempdir().unwrap().path(), &[(tune::MODE, "sometimes")], &[part]);
}

#[test]
fn a_program_may_say_which_processor_it_goes_by() {
    let part = || {
        assert!(processor::go_by(None) && !processor::go_by(processor::all().first().copied()));
        let known = processor::here().unwrap();
        assert!(known.card.is_none() && known.by == By::Program);
        assert!(select(&weights(16, 1), 1, &Request::default(), Context::global()).is_ok());
    };
    let test = "contexts::a_program_may_say_which_processor_it_goes_by";
    parts_with(test, tempfile::tempdir().unwrap().path(), &[(processor::VARIABLE, "abacus")], &[part]);
}

/// Chooses one kernel, whatever is asked for.
#[derive(Debug)]
struct Always(&'static Kernel);

impl Choose for Always {
    fn choose(&self, _: Shape, _: usize, _: &Request, _: usize) -> quantloom::Result<(Launch, Source)> {
        Ok((self.0.into(), Source::Memory))
    }
}

#[test]
fn a_choice_that_cannot_run_is_refused() {
    let weights = weights(40, 1);
    let request = Request::default();
    let chosen = |kernel| select(&weights, 1, &request, Context::new(Pool::global(), &Always(kernel)));
    let own = *kernels(&weights).last().unwrap();
    assert_eq!(chosen(own).unwrap().launch, own.into());
    let class = request.numerics_of(weights.format());
    let all = || registry::formats().flat_map(registry::kernels);
    let of_others = all().find(|kernel| kernel.format != weights.format().name);
    let of_another_class = all().find(|kernel| kernel.format == weights.format().name && kernel.numerics != class);
    let not_here = all().find(|kernel| kernel.format == weights.format().name && !kernel.isa().is_available());
    for kernel in [of_others, of_another_class, not_here].into_iter().flatten() {
        let error = chosen(kernel).unwrap_err();
        assert!(matches!(error, Error::Unfit { .. }), "{}: {error}", kernel.name);
    }
}
