//! What is known of kernels, and how long.

use std::fs;
use std::thread;
use std::time::Duration;

use quantloom::matmul::Request;
use quantloom::pool::Pool;
use quantloom::registry::Kernel;
use quantloom::tune::{Choices, Job, Keep, Record, RecordFile, Records, State, Tuner, Variant, VariantId};

use crate::support::{entry, file, kernels, key, weights};

#[test]
fn what_is_found_out_survives_a_restart() {
    let weights = weights(16, 1);
    let kernels = kernels(&weights);
    let (_folder, file) = file();
    let choices = Choices::new(Some(file.clone()));
    let states = [State::Passed, State::Wrong, State::Crashed, State::Abandoned];
    for (kernel, state) in kernels.iter().zip(states) {
        assert_eq!(choices.variants().state(kernel), None);
        choices.variants().record(kernel, state, "signal: 4 (SIGILL)");
    }
    choices.publish().unwrap();
    let again = Choices::new(Some(file));
    for variants in [choices.variants(), again.variants()] {
        for (kernel, state) in kernels.iter().zip(states) {
            assert_eq!(variants.state(kernel), Some(state));
            assert_eq!(variants.is_quarantined(kernel), state != State::Passed);
        }
        // All but the first, where an instruction set has so many.
        let quarantined = kernels.len().min(states.len()) - 1;
        assert_eq!(variants.quarantined().len(), quarantined);
        let healthy = variants.healthy(&kernels);
        assert!(healthy.len() == kernels.len() - quarantined && healthy[0].name == kernels[0].name);
    }
}

#[test]
fn a_kernel_with_another_text_is_unknown() {
    let weights = weights(16, 1);
    let kernel = kernels(&weights)[0];
    let (_folder, file) = file();
    let old = Kernel { hash: !kernel.hash, ..*kernel };
    let before = Choices::new(Some(file.clone()));
    before.variants().record(&old, State::Crashed, "once");
    before.publish().unwrap();
    let choices = Choices::new(Some(file.clone()));
    assert_eq!(choices.variants().state(&old), Some(State::Crashed));
    assert_eq!(choices.variants().state(kernel), None);
    assert!(!choices.variants().is_quarantined(kernel) && choices.variants().quarantined().is_empty());
    choices.variants().record(kernel, State::Passed, "");
    choices.publish().unwrap();
    assert_eq!(file.beside::<Variant>().read().entries.len(), 2);
}

#[test]
fn what_is_worse_stays_in_whichever_order_it_comes() {
    let weights = weights(16, 1);
    let kernel = kernels(&weights)[0];
    let states = [State::Abandoned, State::Passed, State::Crashed, State::Wrong];
    for (early, one) in states.into_iter().enumerate() {
        for (late, other) in states.into_iter().enumerate() {
            let (_folder, file) = file();
            // Each knows nothing of the other.
            for state in [one, other] {
                let choices = Choices::new(Some(file.clone()));
                let variant = Variant { id: VariantId::of(kernel), state, detail: String::new() };
                file.beside().merge(&[variant], Default::default()).unwrap();
                choices.variants().record(kernel, state, "");
            }
            let found = Choices::new(Some(file)).variants().state(kernel);
            assert_eq!(found, Some(states[early.max(late)]), "{one:?}, then {other:?}");
        }
    }
}

#[test]
fn a_choice_that_is_quarantined_is_none() {
    let weights = weights(16, 1);
    let kernel = *kernels(&weights).last().unwrap();
    let (_folder, file) = file();
    let choices = Choices::new(Some(file.clone()));
    choices.record(entry(key(&weights, 40), kernel), Keep::InFile);
    choices.variants().record(kernel, State::Passed, "");
    assert!(choices.find(&key(&weights, 40)).is_some());
    choices.variants().record(kernel, State::Crashed, "once");
    choices.publish().unwrap();
    let again = Choices::new(Some(file));
    assert!(choices.find(&key(&weights, 40)).is_none() && again.find(&key(&weights, 40)).is_none());
    // It is measured again, without the kernel.
    let jobs = [Job::new(&weights, &[40], Request::default())];
    let outcomes = Tuner::new(&again).tune_model(&jobs, Pool::global(), Duration::MAX, &mut |_| {}).unwrap();
    assert!(
        !outcomes[0].timings.is_empty() && outcomes[0].timings.iter().all(|timing| timing.launch.kernel.name != kernel.name)
    );
    assert!(outcomes[0].quarantined.len() == 1 && outcomes[0].quarantined[0].name == kernel.name);
}

#[test]
fn a_torn_file_keeps_its_whole_records() {
    let weights = weights(16, 1);
    let (_folder, file) = file();
    let file = file.beside::<Variant>();
    let id = |kernel| VariantId::of(kernel);
    let of = |kernel| Variant { id: id(kernel), state: State::Passed, detail: String::new() };
    let mut all = kernels(&weights)[..3].iter().map(|kernel| of(kernel)).collect::<Vec<_>>();
    all.sort_by(|a, b| a.key().cmp(b.key()));
    file.merge(&all, Default::default()).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), &text[..text.len() - 10]).unwrap();
    assert_eq!(file.read(), Records { entries: all[..2].to_vec(), unreadable: 1 });
    // An edited state is no state.
    fs::write(file.path(), text.replacen("passed", "wrong", 1)).unwrap();
    assert_eq!(file.read(), Records { entries: all[1..].to_vec(), unreadable: 1 });
    fs::write(file.path(), text.replace("schema = 3", "schema = 2")).unwrap();
    assert_eq!(file.read(), Records { entries: Vec::new(), unreadable: 3 });
}

#[test]
fn writers_do_not_lose_each_others_records() {
    let weights = weights(16, 1);
    let kernels = kernels(&weights);
    let (_folder, file) = file();
    thread::scope(|scope| {
        for kernel in &kernels {
            let choices = Choices::new(Some(file.clone()));
            scope.spawn(move || {
                choices.variants().record(kernel, State::Passed, "");
                choices.publish().unwrap();
            });
        }
    });
    let written: RecordFile<Variant> = file.beside();
    assert_eq!(written.read().entries.len(), kernels.len());
}
