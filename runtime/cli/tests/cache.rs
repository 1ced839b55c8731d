//! `quantloom cache` and `quantloom doctor`, as scripts see them.

mod support;

#[path = "../../tests/tune/support.rs"]
#[allow(dead_code, reason = "this file uses its part of it")]
mod made;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use made::{entries, entry, kernels, key, weights};
use quantloom::machine::processor::{self, VARIABLE};
use quantloom::matmul::{Launch, candidates};
use quantloom::registry::{self, Kernel, Numerics};
use quantloom::tune::{self, CacheFile, Digest, Effort, Entry, Key, Origin, State, Time, Variant, VariantId};
use quantloom_codegen::{Config, cards_dir};
use support::sandbox::Sandbox;

/// An environment that no machine has.
const ELSEWHERE: &str = made::ELSEWHERE;

/// The origins in a file, in order.
fn origins(path: &str) -> Vec<Origin> {
    CacheFile::open(Path::new(path)).unwrap().read().entries.iter().map(|entry| entry.origin).collect()
}

/// An entry of another build.
fn of_another_build(entry: Entry) -> Entry {
    Entry { key: Key { code: Digest(1), ..entry.key.clone() }, ..entry }
}

#[test]
fn show_prints_effort_origin_and_state() {
    let sandbox = Sandbox::new();
    let mut all = entries(1, 2);
    all[0].effort = Effort::Quick;
    all[1] = of_another_build(Entry { origin: Origin::Imported, ..all[1].clone() });
    sandbox.remember(&all);
    let text = sandbox.done(&["cache", "show"]);
    let ends = |line: usize, end: &str| text.lines().nth(line).unwrap().ends_with(end);
    let (first, second) = if ends(1, "ready") { (1, 2) } else { (2, 1) };
    assert!(ends(first, "quick   local     ready") && ends(second, "full    imported  of another build"), "{text}");
    let json = sandbox.json(&["cache", "show", "--json"]);
    assert_eq!(json["environment"], tune::environment());
    assert_eq!((json["entries"].as_array().unwrap().len(), &json["unreadable"]), (2, &0.into()));
}

#[test]
fn show_says_which_kernels_must_not_run() {
    let sandbox = Sandbox::new();
    let weights = weights(16, 1);
    let states = [State::Passed, State::Wrong, State::Crashed];
    let variant = |(kernel, state): (&&'static Kernel, State)| Variant {
        id: VariantId::of(kernel),
        state,
        detail: if state == State::Crashed { "signal: 4 (SIGILL)".to_owned() } else { String::new() },
    };
    let kernels = kernels(&weights);
    let variants = kernels.iter().zip(states).map(variant).collect::<Vec<_>>();
    sandbox.file().beside().merge(&variants, Duration::from_secs(9)).unwrap();
    let text = sandbox.done(&["cache", "show"]);
    let found = text.lines().filter_map(|line| line.strip_prefix("quarantined: ")).collect::<BTreeSet<_>>();
    let wanted = [
        format!("{}: its bits differ from the reference's", kernels[1].name),
        format!("{}: crashed: signal: 4 (SIGILL)", kernels[2].name),
    ];
    assert_eq!(found, wanted.iter().map(String::as_str).collect());
    let json = sandbox.json(&["cache", "show", "--json"]);
    assert_eq!(json["quarantined"].as_array().unwrap().len(), 2);
}

#[test]
fn explain_asks_every_source_and_says_what_became_of_every_kernel() {
    let sandbox = Sandbox::new();
    let weights = weights(16, 1);
    let (last, format) = (*kernels(&weights).last().unwrap(), weights.format());
    let mut entry = entry(key(&weights, 1), last);
    entry.times.push(Time { kernel: format!("{}@tiles=2", last.name), ns: 13_579, ratio: 0.578, rounds: 3 });
    sandbox.remember(&[entry]);
    let threads = key(&weights, 1).threads.to_string();
    let shape = format!("{}x{}", weights.n(), weights.k());
    let explain =
        |batch: &str| sandbox.done(&["cache", "explain", format.name, &shape, "--batch", batch, "--threads", &threads]);
    let deciding = |text: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("> ")).collect::<Vec<_>>();
        assert_eq!(lines.len(), 1, "{text}");
        lines[0].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let text = explain("1");
    assert_eq!(deciding(&text), ["cache", &Launch::of(last).to_string()]);
    for source in ["pin", "memory", "cache", "shipped", "relative", "model", "default"] {
        assert_eq!(text.lines().filter(|line| line.get(2..).is_some_and(|line| line.starts_with(source))).count(), 1, "{text}");
    }
    let cells = |first: &str| {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(first));
        line.unwrap_or_else(|| panic!("{first} in {text}")).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for kernel in kernels(&weights) {
        let measured = std::ptr::eq(kernel, last);
        assert_eq!(cells(kernel.name)[2..5], if measured { ["12.3", "52.6%", "6"] } else { ["-"; 3] }, "{text}");
    }
    assert_eq!(cells("@tiles=2")[1..], ["13.6", "57.8%", "3", "dropped", "out"], "{text}");
    assert!(["model", "default"].contains(&deciding(&explain("1000"))[0].as_str()));
    assert!(sandbox.refused(&["cache", "explain", "none", "16x256"]).contains("none"));
}

#[test]
fn files_from_elsewhere_can_be_looked_at() {
    let sandbox = Sandbox::new();
    let path = sandbox.foreign("other.toml", ELSEWHERE, &entries(1, 3));
    let json = sandbox.json(&["cache", "show", "--cache", &path, "--json"]);
    assert_eq!((&json["environment"], json["entries"].as_array().unwrap().len()), (&ELSEWHERE.into(), 3));
    let damaged = fs::read_to_string(&path).unwrap().replacen("n = 1\n", "n = 7\n", 1);
    fs::write(&path, damaged).unwrap();
    let text = sandbox.done(&["cache", "show", "--cache", &path]);
    assert!(text.ends_with("1 entries are torn, edited or absurd, and count for nothing\n"), "{text}");

    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/demo.toml");
    assert!(sandbox.refused(&["cache", "show", "--cache", model]).contains("is no cache of the tuner"));
    assert!(sandbox.refused(&["cache", "show", "--cache", &sandbox.path("none")]).contains("cannot be read"));
    fs::write(&path, "schema = 999\nenvironment = 'x'\n").unwrap();
    assert!(sandbox.refused(&["cache", "show", "--cache", &path]).contains("has version 999"));
}

#[test]
fn diff_tells_problems_choices_and_times_apart() {
    let sandbox = Sandbox::new();
    let all = entries(1, 4);
    let mut slower = all[1].clone();
    slower.times[0].ns *= 2;
    let other = Entry { kernel: "another".to_owned(), ..all[2].clone() };
    let one = sandbox.foreign("one.toml", ELSEWHERE, &all[..3]);
    sandbox.remember(&[slower, other, all[3].clone()]);
    let json = sandbox.json(&["cache", "diff", &one, "--json"]);
    let problems = json["problems"].as_array().unwrap();
    let states = problems.iter().map(|problem| problem["state"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(states, ["only in A", "same", "other choice", "only in B"]);
    assert_eq!((&problems[1]["ratio"], &problems[0]["ratio"]), (&2.0.into(), &serde_json::Value::Null));
    assert_eq!((&json["a"]["environment"], &json["b"]["environment"]), (&ELSEWHERE.into(), &tune::environment().into()));
    let text = sandbox.done(&["cache", "diff", &one]);
    assert!(text.contains("machines of two kinds") && text.lines().count() == 5 + 4, "{text}");
    let same = sandbox.done(&["cache", "diff", &one, &one]);
    assert!(same.lines().skip(4).all(|line| line.ends_with("1.00  same")), "{same}");
}

#[test]
fn merge_keeps_the_thorough_and_marks_the_foreign() {
    let sandbox = Sandbox::new();
    let all = entries(1, 3);
    let quick = |entry: &Entry| Entry { effort: Effort::Quick, ..entry.clone() };
    let one = sandbox.foreign("one.toml", tune::environment(), &[all[0].clone(), quick(&all[1])]);
    sandbox.remember(&[quick(&all[0]), all[1].clone(), all[2].clone()]);
    let own = sandbox.done(&["cache", "path"]).trim().to_owned();
    let merged = [("ab.toml", [&one, &own]), ("ba.toml", [&own, &one])].map(|(name, [a, b])| {
        let out = sandbox.path(name);
        sandbox.done(&["cache", "merge", &out, a, b]);
        assert_eq!(origins(&out), [Origin::Imported, Origin::Local, Origin::Local]);
        fs::read_to_string(out).unwrap()
    });
    assert_eq!(merged[0], merged[1]);

    // Into the cache itself: what was there stays.
    sandbox.done(&["cache", "merge", &own, &one]);
    assert_eq!(origins(&own), [Origin::Imported, Origin::Local, Origin::Local]);
    assert!(sandbox.file().read().entries.iter().all(|entry| entry.effort == Effort::Full));
}

#[test]
fn merge_loses_nothing_by_mistake() {
    let sandbox = Sandbox::new();
    let one = sandbox.foreign("one.toml", tune::environment(), &entries(1, 1));
    let two = sandbox.foreign("two.toml", tune::environment(), &entries(2, 1));
    let alien = sandbox.foreign("alien.toml", ELSEWHERE, &entries(1, 1));
    let message = sandbox.refused(&["cache", "merge", &sandbox.path("out.toml"), &one, &alien]);
    assert!(message.contains(ELSEWHERE) && message.contains(tune::environment()), "{message}");
    let own = sandbox.done(&["cache", "path"]).trim().to_owned();
    assert!(sandbox.refused(&["cache", "merge", &own, &alien]).contains(ELSEWHERE));
    let message = sandbox.refused(&["cache", "merge", &two, &one]);
    assert!(message.contains("two.toml: is there, but not among the files to merge"), "{message}");
    sandbox.done(&["cache", "merge", &two, &one, &two]);
    assert_eq!(origins(&two).len(), 2);
}

#[test]
fn export_writes_a_table_of_this_build() {
    let sandbox = Sandbox::new();
    let out = sandbox.path("table.toml");
    assert!(sandbox.refused(&["cache", "export", &out]).contains("run `quantloom tune` first"));
    let all = entries(1, 3);
    sandbox.remember(&[all[0].clone(), all[1].clone(), of_another_build(all[2].clone())]);
    sandbox.done(&["cache", "export", &out, "--relatives", "Maker-6-1,Maker-6-2"]);
    assert_eq!(origins(&out), [Origin::Shipped, Origin::Shipped]);
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("# A table to ship, ") && text.contains(r#"relatives = ["Maker-6-1", "Maker-6-2"]"#), "{text}");
    sandbox.done(&["cache", "export", &out, "--all"]);
    assert_eq!(origins(&out), [Origin::Shipped; 3]);
    let own = sandbox.done(&["cache", "path"]);
    assert!(sandbox.refused(&["cache", "export", own.trim()]).contains("this is the cache itself"));
    assert_eq!(origins(own.trim()), [Origin::Local; 3]);
}

#[test]
fn a_hyphen_is_standard_output_for_every_command_that_writes() {
    let sandbox = Sandbox::new();
    let all = entries(1, 2);
    sandbox.remember(&all);
    let one = sandbox.foreign("one.toml", tune::environment(), &all);
    for (args, start) in [
        (&["cache", "export", "-"][..], "# A table to ship, "),
        (&["cache", "merge", "-", &one], "schema = "),
        (&["cache", "prune", "-"], "# The kernels of a slim build"),
        (&["report", "-", "--no-measure"], "<!DOCTYPE html>"),
    ] {
        let output = sandbox.run(args);
        let (written, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success() && written.contains(start), "{args:?}: {said}");
        assert!(said.starts_with("standard output: ") && said.lines().count() == 1 && !said.contains("=-"), "{args:?}: {said}");
    }
    assert!(!std::path::Path::new("-").exists());
}

#[test]
fn verify_says_what_each_choice_is_worth_now() {
    let sandbox = Sandbox::new();
    let weights = weights(64, 1);
    let scalar = registry::isas()[0];
    let numerics = Numerics::Int8;
    let key = |batch| Key::new(&weights, batch, numerics, scalar, 1);
    let kernels = candidates(&weights, numerics, scalar).unwrap();
    let default = kernels.iter().find(|kernel| kernel.batch.contains(&1)).unwrap();
    let challenger = kernels.iter().find(|kernel| !kernel.batch.contains(&1)).unwrap();
    let other = of_another_build(entry(key(1), default));
    sandbox.remember(&[entry(key(1), default), entry(key(2), challenger), other]);
    let text = sandbox.done(&["cache", "verify", "--budget", "1000"]);
    let count = |end: &str| text.lines().filter(|line| line.ends_with(end)).count();
    assert!(count("holds") >= 1 && count("holds") + count("the default is now as fast") == 2, "{text}");
    assert_eq!(count("of another build or machine"), 1, "{text}");
    let text = sandbox.done(&["cache", "verify", "--budget", "0"]);
    assert_eq!(text.lines().filter(|line| line.ends_with("no time")).count(), 2, "{text}");
}

#[test]
fn prune_lists_what_was_chosen_and_what_it_falls_back_on() {
    let sandbox = Sandbox::new();
    let out = sandbox.path("slim.toml");
    assert!(sandbox.refused(&["cache", "prune", &out]).contains("run `quantloom tune` first"));
    let weights = weights(16, 1);
    let chosen = *kernels(&weights).last().unwrap();
    sandbox.remember(&[entry(key(&weights, 1), chosen)]);
    sandbox.done(&["cache", "prune", &out]);

    let cards = || Config::new().cards(cards_dir());
    let plan = cards().variants_from(&out).plan().unwrap_or_else(|error| panic!("{error}"));
    let list = plan.list.clone().unwrap();
    assert!(list.contains(chosen.name) && list.len() < cards().plan().unwrap().kernel_names().count());
    let format = weights.format();
    assert!(list.iter().all(|name| name.starts_with(&format!("{}.", format.name))), "{list:?}");
    // Every class has a default for every batch, here and on any processor.
    for numerics in registry::numerics(format) {
        for isa in [registry::best_isa_of(format), registry::isas()[0]] {
            let all = candidates(&weights, numerics, isa).unwrap();
            let defaults = all.iter().filter(|kernel| !kernel.batch.is_empty()).collect::<Vec<_>>();
            assert!(
                !defaults.is_empty() && defaults.iter().all(|kernel| list.contains(kernel.name)),
                "{numerics} {}",
                isa.name
            );
        }
    }
}

#[test]
fn clear_removes_what_it_says() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.done(&["cache", "clear"]), "nothing to remove\n");
    let other = CacheFile::new(&sandbox.cache(), ELSEWHERE);
    let old = sandbox.cache().join("tune/v1/0123456789abcdef/entries.toml");
    let fill = || {
        sandbox.remember(&entries(1, 1));
        other.merge(&entries(1, 1), Default::default()).unwrap();
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        fs::write(&old, "old").unwrap();
    };
    fill();
    let own = sandbox.file().path().to_owned();
    let said = sandbox.done(&["cache", "clear", "--dry-run"]);
    assert!(said.starts_with("would remove ") && said.contains("entries.toml (") && said.lines().count() == 1, "{said}");
    assert!(own.exists());
    let said = sandbox.done(&["cache", "clear"]);
    assert!(said.starts_with("removed ") && said.lines().count() == 1, "{said}");
    assert!(!own.exists() && other.path().exists() && old.exists());

    fill();
    assert_eq!(sandbox.done(&["cache", "clear", "--all", "--dry-run"]).lines().count(), 3);
    assert!(own.exists() && other.path().exists() && old.exists());
    assert_eq!(sandbox.done(&["cache", "clear", "--all"]).lines().count(), 3);
    assert_eq!(fs::read_dir(sandbox.cache().join("tune")).unwrap().count(), 0);
}

#[test]
fn clear_leaves_alone_what_is_being_written() {
    let sandbox = Sandbox::new();
    sandbox.remember(&entries(1, 1));
    let lock = fs::File::open(sandbox.file().path().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    assert!(sandbox.refused(&["cache", "clear"]).contains("another process holds this lock"));
    assert_eq!(sandbox.file().read().entries.len(), 1);
    lock.unlock().unwrap();
    sandbox.done(&["cache", "clear"]);
}

/// What doctor says of something, and the remedy.
fn finding(json: &serde_json::Value, name: &str) -> (String, Option<String>) {
    let findings = json["findings"].as_array().unwrap().iter();
    let found = findings.filter(|finding| finding["name"] == name).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{name} in {json}");
    (found[0]["value"].as_str().unwrap().to_owned(), found[0]["remedy"].as_str().map(str::to_owned))
}

#[test]
fn doctor_finds_what_there_is() {
    let sandbox = Sandbox::new();
    let doctor = || sandbox.json(&["doctor", "--budget", "0", "--json"]);
    let json = doctor();
    for name in ["processor", "processor card", "threads", "caches", "instruction sets", "build", "cache", "mode", "noise"] {
        finding(&json, name);
    }
    assert_eq!(finding(&json, "environment"), (tune::environment().to_owned(), None));
    assert_eq!(finding(&json, "writable"), ("yes".to_owned(), None));
    assert_eq!(finding(&json, "locks"), ("free".to_owned(), None));
    assert!(finding(&json, "entries").1.unwrap().contains("quantloom tune"));
    let (own, relatives) = tune::shipped();
    assert_eq!(finding(&json, "shipped entries").0, format!("{own} for this processor, {relatives} for relatives"));
    assert!(finding(&json, "variables").0.contains("QUANTLOOM_CACHE="));

    let all = entries(1, 3);
    sandbox.remember(&[all[0].clone(), all[1].clone(), of_another_build(all[2].clone())]);
    let json = doctor();
    assert_eq!(finding(&json, "entries"), ("2".to_owned(), None));
    assert_eq!(finding(&json, "of other builds").0, "1");
    let lock = fs::File::open(sandbox.file().path().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let (value, remedy) = finding(&doctor(), "locks");
    assert!(value.contains("entries.lock") && remedy.is_some(), "{value}");

    let text = sandbox.done(&["doctor", "--budget", "0"]);
    assert!(text.lines().any(|line| line.starts_with("environment ") && line.ends_with(tune::environment())), "{text}");
}

#[test]
fn doctor_tells_which_processor_card_is_gone_by() {
    let card = |name: &str| {
        let args = ["doctor", "--budget", "0", "--json"];
        let output =
            support::quantloom().args(args).env("QUANTLOOM_CACHE", Sandbox::new().cache()).env(VARIABLE, name).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        finding(&serde_json::from_slice(&output.stdout).unwrap(), "processor card")
    };
    let (value, remedy) = card("none");
    assert!(value.starts_with("none, by QUANTLOOM_PROCESSOR; ") && value.contains("default kernels and distances"), "{value}");
    let remedy = remedy.unwrap();
    assert!(remedy.contains("quantloom tune MODEL") && remedy.contains("docs/adding-a-processor.md"), "{remedy}");
    for processor in processor::all() {
        let (value, remedy) = card(processor.name);
        assert!(value.starts_with(&format!("{}, by QUANTLOOM_PROCESSOR; ", processor.name)) && remedy.is_none(), "{value}");
    }
    let (value, remedy) = card("abacus");
    assert!(value.starts_with("QUANTLOOM_PROCESSOR=abacus: ") && remedy.unwrap().contains("unset"), "{value}");
}

#[test]
fn doctor_has_a_remedy_for_a_cache_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    // Not even a superuser can make a folder in a file.
    fs::write(sandbox.cache(), "").unwrap();
    let json = sandbox.json(&["doctor", "--budget", "0", "--json"]);
    let (value, remedy) = finding(&json, "writable");
    assert!(value.starts_with("no: ") && remedy.unwrap().contains("QUANTLOOM_CACHE"), "{value}");
}
