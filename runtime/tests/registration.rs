//! Formats that are registered at run time: found everywhere, and never instead of another.

use quantloom::Error;
use quantloom::matmul::{Request, Source, candidates, matmul, select};
use quantloom::measure::{activations, synthetic};
use quantloom::pool::Pool;
use quantloom::registry::{self, Format, Kernel, Numerics, Packed, kernels, register};
use quantloom::tune::{CacheFile, Choices, Digest, Effort, Entry, Key, Origin};
use quantloom::weights::Weights;

/// A copy of the first format with kernels for the default class, under another name.
fn copy(name: &'static str, gguf: Option<u32>) -> &'static Format {
    let asked = Numerics::Int8;
    let has = |format: &&Format| kernels(format).iter().any(|kernel| kernel.numerics == asked);
    let right = registry::formats().find(has).unwrap();
    let kernel = |kernel: &Kernel| {
        let own = kernel.name.replacen(kernel.format, name, 1);
        Kernel { name: own.leak(), format: name, ..*kernel }
    };
    let packed = right.packed.as_ref().map(|packed| {
        let kernels = packed.kernels.iter().map(kernel).collect::<Vec<_>>().leak();
        Packed { kernels, ..*packed }
    });
    Box::leak(Box::new(Format { name, gguf, packed, ..*right }))
}

fn weights(format: &'static Format) -> Weights {
    let (n, k) = (16, 4 * format.block_weights);
    Weights::pack(format, n, k, &synthetic(format, n, k).unwrap(), Pool::global()).unwrap()
}

#[test]
fn what_is_registered_is_found() {
    let (one, two) = (copy("Own-1", Some(900_001)), copy("Own-2", None));
    assert!(registry::format_by_name("own-1").is_err());
    register(&[one, two]).unwrap();
    assert!(std::ptr::eq(registry::format_by_name("OWN-1").unwrap(), one));
    assert!(std::ptr::eq(registry::format_by_gguf(900_001).unwrap(), one));
    assert!(registry::formats().any(|format| std::ptr::eq(format, two)));
    register(&[two, one]).unwrap();
    assert_eq!(registry::formats().filter(|format| format.name == "Own-1").count(), 1);

    let weights = weights(two);
    let mut y = vec![0.0; weights.n()];
    let x = activations(1, weights.k()).unwrap();
    let used = matmul(&weights, &x, 1, &mut y, &Request::default(), Pool::global()).unwrap();
    assert_eq!(used.launch.kernel.format, "Own-2");
}

#[test]
fn nothing_is_registered_that_clashes() {
    let built_in = registry::formats().find(|format| format.gguf.is_some()).unwrap();
    let fresh = copy("Own-3", None);
    for (clashing, key) in [(copy(built_in.name, None), "name"), (copy("Own-4", built_in.gguf), "gguf")] {
        let error = register(&[fresh, clashing]).unwrap_err();
        assert!(
            matches!(&error, Error::AlreadyRegistered { other, key: found, .. } if other == built_in.name && *found == key)
        );
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
    }
    assert!(register(&[copy("Own-5", Some(900_005)), copy("OWN-5", None)]).is_err(), "two of one name in one call");
    let known = |name| registry::format_by_name(name).is_ok();
    assert!(!known("Own-3") && !known("Own-4") && !known("Own-5"));
}

/// The cache file is read once, perhaps before the format is known.
#[test]
fn choices_of_earlier_processes_hold_for_formats_that_are_registered_late() {
    let format = copy("Own-6", None);
    let weights = weights(format);
    let isa = registry::best_isa_of(format);
    let last = *candidates(&weights, Numerics::Int8, isa).unwrap().last().unwrap();
    let key = Key::new(&weights, 1, Numerics::Int8, isa, 1);
    let entry = Entry {
        key: key.clone(),
        kernel: last.name.to_owned(),
        kernel_hash: Digest(last.hash),
        default: "another".to_owned(),
        measured: 1,
        spread: 1.0,
        effort: Effort::Quick,
        origin: Origin::Local,
        system: "any".to_owned(),
        times: Vec::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = CacheFile::new(folder.path(), "any");
    file.merge(&[entry], Default::default()).unwrap();
    let choices = Choices::new(Some(file));
    assert!(choices.find(&key).is_none());
    register(&[format]).unwrap();
    for _ in 0..2 {
        assert_eq!(choices.find(&key), Some((last.into(), Source::Cache)));
    }
}

/// A format that has no kernels for the best instruction set runs on the best that it has.
#[test]
fn the_best_instruction_set_is_one_that_the_format_has() {
    let scalar = registry::isas()[0];
    let all = copy("Own-7", None);
    let few = kernels(all).iter().filter(|kernel| kernel.isa().name == scalar.name).map(|kernel| Kernel { ..*kernel });
    let packed = all.packed.as_ref().unwrap();
    let packed = Packed { kernels: few.collect::<Vec<_>>().leak(), ..*packed };
    let few = Box::leak(Box::new(Format { packed: Some(packed), ..*all }));
    assert_eq!(registry::best_isa_of(all).name, registry::best_isa().name);
    assert_eq!(registry::best_isa_of(few).name, scalar.name);
    let used = select(&weights(few), 1, &Request::default(), Pool::global()).unwrap();
    assert_eq!(used.launch.kernel.isa().name, scalar.name);
}
