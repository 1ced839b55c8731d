//! The page in a browser: that it can be read and used, and that nothing goes wrong.

use serde_json::json;

use crate::chromium::Browser;
use crate::support::{HOSTILE, Sandbox, entries, many};

/// Texts of the page that stand out too little from what is behind them (less than 4.5 to 1), as WCAG counts it.
const FAINT: &str = "(() => {
    const channels = (color) => color.match(/[0-9.]+/g).map(Number);
    const light = (color) => channels(color).slice(0, 3).map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if ((channels(color)[3] ?? 1) > 0) return color;
        }
        return 'rgb(255, 0, 0)';
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const faint = [];
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || element.closest('script, title') || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        const [a, b] = [light(element.closest('svg') ? style.fill : style.color), light(behind(element))].sort();
        if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) faint.push(texts.currentNode.data);
    }
    return faint;
})()";

/// What reaches beyond the page, and not for being scrolled in a box of its own.
const WIDE: &str = "[...document.body.querySelectorAll(':not(.scroll *)')]
    .filter((element) => element.getBoundingClientRect().right > innerWidth).map((element) => element.outerHTML.slice(0, 200))";

/// Texts of drawings that are not within the page, or too small to read.
const LOST: &str = "[...document.querySelectorAll('svg text')].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth || parseFloat(getComputedStyle(text).fontSize)
        * text.ownerSVGElement.getBoundingClientRect().width / text.ownerSVGElement.viewBox.baseVal.width < 10;
}).map((text) => text.textContent)";

/// Parts of kernels' names that go on in another line. What is longer than a line may.
const BROKEN: &str = "[...document.querySelectorAll('wbr')].map((end) => end.previousSibling)
    .filter((part) => part?.data?.length < 12 && !part.data.includes(' ') && part.parentElement.checkVisibility()).filter((part) => {
        const range = document.createRange();
        range.selectNodeContents(part);
        return new Set([...range.getClientRects()].map((box) => box.top)).size > 1;
    }).map((part) => part.data)";

#[test]
#[ignore = "it needs Chromium: `.ci/report` installs it and runs this"]
fn a_browser_shows_it_in_every_scheme_and_width() {
    let sandbox = Sandbox::new(&entries());
    sandbox.page(&[]);
    let mut browser = Browser::start();
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")] {
        browser.view(width, scheme);
        browser.open(&sandbox.path("page.html"));
        assert_ne!(browser.evaluate("document.title"), "owned");
        assert_eq!(browser.evaluate("getComputedStyle(document.documentElement).colorScheme"), "light dark");
        let ground = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground == "rgb(255, 255, 255)", scheme == "light", "{ground}");
        // First as it is found, then with all that can be opened.
        for _ in 0..2 {
            let scrolled = browser.evaluate("document.documentElement.scrollWidth");
            assert!(scrolled.as_u64().unwrap() <= width as u64, "{scrolled} of {width}: {}", browser.evaluate(WIDE));
            assert_eq!(browser.evaluate(FAINT), json!([]), "{width} {scheme}");
            assert_eq!(browser.evaluate(LOST), json!([]), "{width} {scheme}");
            browser.evaluate("document.querySelectorAll('details').forEach((list) => { list.open = true; })");
        }
        assert_eq!(browser.evaluate(BROKEN), json!([]), "{width} {scheme}");
        let visible =
            "[...document.querySelectorAll('td.bar i')].filter((bar) => bar.getBoundingClientRect().width > 1).length";
        assert_eq!(browser.evaluate(visible), 10);
        assert!(browser.evaluate("document.body.innerText").as_str().unwrap().contains(HOSTILE));
        assert_eq!(browser.complaints(), [""; 0], "{width} {scheme}");
    }
}

#[test]
#[ignore = "it needs Chromium: `.ci/report` installs it and runs this"]
fn a_browser_filters_and_follows_dots() {
    let sandbox = Sandbox::new(&many());
    sandbox.page(&["--no-measure"]);
    let mut browser = Browser::start();
    browser.view(1280, "light");
    browser.open(&sandbox.path("page.html"));
    let shown = "[...document.querySelectorAll('details.problem')].filter((problem) => problem.checkVisibility()).length";
    assert_eq!(browser.evaluate(shown), 0, "so many problems are folded");
    let filter = |browser: &mut Browser, words: &str| {
        browser.evaluate(&format!(
            "(() => {{ const field = document.querySelector('#filter'); field.value = '{words}';
            field.dispatchEvent(new Event('input')); }})()"
        ));
        browser.evaluate(shown)
    };
    assert_eq!(filter(&mut browser, "int8 1064×"), 1);
    assert_eq!(filter(&mut browser, "no such thing"), 0);
    assert_eq!(filter(&mut browser, ""), 0);
    // A dot is reached by the keyboard, says what it is, and leads to its problem, which opens.
    browser.evaluate("document.querySelectorAll('svg a')[5].focus()");
    let readout = browser.evaluate("document.querySelector('.readout').textContent");
    assert!(readout.as_str().unwrap().contains("1005×"), "{readout}");
    browser.evaluate("document.activeElement.dispatchEvent(new MouseEvent('click'))");
    assert_eq!(browser.evaluate(shown), many().len(), "the list is open");
    assert_eq!(browser.evaluate("document.querySelectorAll('details.problem[open]').length"), 1);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "it needs Chromium: `.ci/report` installs it and runs this"]
fn a_browser_shows_an_empty_cache() {
    let sandbox = Sandbox::new(&[]);
    sandbox.page(&["--no-measure"]);
    let mut browser = Browser::start();
    browser.view(360, "dark");
    browser.open(&sandbox.path("page.html"));
    assert!(browser.evaluate("document.body.innerText").as_str().unwrap().contains("quantloom tune"));
    assert!(browser.evaluate("document.documentElement.scrollWidth <= 360").as_bool().unwrap());
    assert_eq!((browser.evaluate(FAINT), browser.complaints()), (json!([]), Vec::new()));
}
