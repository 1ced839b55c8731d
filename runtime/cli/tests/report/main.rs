//! The page that `quantloom report` writes: what is in it, and what a browser makes of it.

mod chromium;
mod looks;
#[path = "../support/mod.rs"]
mod shared;
mod support;

use std::fs;
use std::time::Duration;

use quantloom::measure::Fraction;
use quantloom::tune::{self, CacheFile};

use crate::support::{Sandbox, entries};

/// Elements of a page that a selector finds.
fn count(page: &str, selector: &str) -> usize {
    let page = tl::parse(page, tl::ParserOptions::default()).unwrap();
    page.query_selector(selector).unwrap().count()
}

/// The text of what a selector finds first.
fn text(page: &str, selector: &str) -> String {
    let page = tl::parse(page, tl::ParserOptions::default()).unwrap();
    let found = page.query_selector(selector).unwrap().next().unwrap();
    found.get(page.parser()).unwrap().inner_text(page.parser()).into_owned()
}

#[test]
fn everything_in_the_cache_is_on_the_page() {
    let entries = entries();
    let times = entries.iter().map(|entry| entry.times.len()).sum::<usize>();
    let page = Sandbox::new(&entries).page(&["--no-measure"]);
    assert_eq!(count(&page, "details.problem"), entries.len());
    assert_eq!(count(&page, "td.bar"), times);
    assert_eq!(count(&page, "tr.chosen"), entries.len());
    // Of the entry of another build it is not known what it moves.
    let known = times - entries[3].times.len();
    assert_eq!(count(&page, "circle") + count(&page, "rect"), known);
    assert_eq!((count(&page, "rect"), page.matches("<a href=\"#p").count()), (2, 3));
    for wanted in [
        "beats the default by 7% in the median of 6 rounds.",
        "No challenger beat the default beyond doubt.",
        "dropped after 2",
        "imported from another user’s cache",
        "&lt;b&gt;another&lt;/b&gt; system",
        "of another build or processor",
        "1.80×",
        "93.0",
        "1.04",
        "width:46.5%",
        tune::environment(),
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert_eq!(text(&page, "p.lead").matches("4 problems").count(), 1, "{}", text(&page, "p.lead"));
}

#[test]
fn names_of_kernels_are_broken_between_their_parts() {
    let mut entry = entries().remove(0);
    entry.kernel = format!("{}.p4096.both@far=2048+tiles=8", entry.kernel);
    entry.times[1].kernel = entry.kernel.clone();
    let page = Sandbox::new(&[entry]).page(&["--no-measure"]);
    assert_eq!(
        page.matches(".<wbr>p4096.<wbr>both@<wbr>far=2048+<wbr>tiles=8<wbr>").count(),
        3,
        "in the line, the table and the facts"
    );
}

#[test]
fn a_part_above_the_limit_is_never_without_a_word() {
    // Nothing is as fast as that.
    let mut entry = entries().remove(0);
    entry.times.iter_mut().for_each(|time| time.ns = 1);
    let page = Sandbox::new(&[entry]).page(&[]);
    assert!(text(&page, "span.part").contains("%*") && page.contains(Fraction::ABOVE), "{page}");
    let page = Sandbox::new(&entries()).page(&["--no-measure"]);
    assert!(!page.contains(Fraction::ABOVE));
}

#[test]
fn names_from_a_cache_are_text() {
    let page = Sandbox::new(&entries()).page(&["--no-measure"]);
    assert_eq!((count(&page, "script"), count(&page, "img")), (1, 0));
    assert!(page.contains("&lt;script&gt;document.title='owned'&lt;/script&gt;&quot;&gt;&lt;img src=x"), "shown as it is");
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = Sandbox::new(&entries()).page(&["--no-measure"]);
    for foreign in ["http:", "https:", "src=\"", "url(", "@import", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn limits_are_measured_for_what_is_in_the_cache() {
    let page = Sandbox::new(&entries()).page(&[]);
    assert_eq!((count(&page, "svg"), count(&page, "path.roof")), (1, 3));
    for wanted in [" GB/s", " Gop/s", " Gflop/s", " of limit"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    // Entries of this build have a limit; the other has none.
    assert_eq!(count(&page, "span.part"), 3);
}

#[test]
fn an_empty_cache_says_what_to_do() {
    let page = Sandbox::new(&[]).page(&["--no-measure"]);
    assert!(text(&page, "p.lead").contains("quantloom tune"), "{page}");
    assert_eq!((count(&page, "svg"), count(&page, "table"), count(&page, "script")), (0, 0, 0));
}

#[test]
fn entries_that_cannot_be_read_are_counted() {
    let sandbox = Sandbox::new(&entries());
    let cache = CacheFile::new(sandbox.0.path(), tune::environment());
    let damaged = fs::read_to_string(cache.path()).unwrap().replacen("spread = 1.042", "spread = 1.043", 2);
    fs::write(cache.path(), damaged).unwrap();
    let page = sandbox.page(&["--no-measure"]);
    assert!(page.contains("were not measured") && page.contains("2 entries of the cache are torn"), "{page}");
    assert_eq!(count(&page, "details.problem"), 2);
}

#[test]
fn the_cache_of_another_machine_is_shown_without_limits() {
    let sandbox = Sandbox::new(&[]);
    let other = CacheFile::new(&sandbox.path("other"), "SomeMaker-1-2-3;48K-2048K-266240K;none");
    other.merge(&entries(), Duration::from_secs(9)).unwrap();
    let page = sandbox.page(&["--cache", other.path().to_str().unwrap()]);
    assert!(page.contains("SomeMaker-1-2-3") && page.contains("The cache is of another machine"), "{page}");
    assert_eq!((count(&page, "details.problem"), count(&page, "path.roof"), count(&page, "span.part")), (4, 0, 0));
}

#[test]
fn what_cannot_be_read_or_written_is_said_in_one_line() {
    let sandbox = Sandbox::new(&[]);
    let (missing, folder) = (sandbox.path("no/page.html"), sandbox.0.path());
    for (path, remedy) in [(missing.as_path(), "writable"), (folder, "name a file in it")] {
        let said = sandbox.failure(&[path.to_str().unwrap(), "--no-measure"]);
        assert!(said.contains(path.to_str().unwrap()) && said.contains(remedy), "{said}");
    }
    let garbage = sandbox.path("garbage.toml");
    fs::write(&garbage, "nothing = 1").unwrap();
    let old = sandbox.path("old.toml");
    fs::write(&old, "schema = 1\nenvironment = \"x\"\n").unwrap();
    for (path, remedy) in [(&missing, "cache path"), (&garbage, "cache path"), (&old, "tune again")] {
        let out = sandbox.path("page.html");
        let said = sandbox.failure(&[out.to_str().unwrap(), "--cache", path.to_str().unwrap()]);
        assert!(said.contains(path.to_str().unwrap()) && said.contains(remedy) && !out.exists(), "{said}");
    }
}
