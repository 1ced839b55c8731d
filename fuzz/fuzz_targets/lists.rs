//! Lists of kernels, lists of problems, recipes, and what environment variables say.
#![no_main]

use std::sync::LazyLock;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use quantloom::recipes::Recipes;
use quantloom::tune::{CacheFile, Choices, List, Mode, Pins};
use quantloom_fuzz::{FORMATS, Folder, POOL, right};
use quantloom_spec::read_list;

fuzz_target!(init: LazyLock::force(&FORMATS), |bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let known = FORMATS.iter().flat_map(|(format, _)| quantloom::registry::kernels(format));
    let known = known.map(|kernel| kernel.name.to_owned()).collect();
    if let Err(wrong) = read_list("list.toml", text, &known) {
        assert!(!wrong.render(false).is_empty());
    }
    let _ = text.parse::<Mode>();
    if let Ok(pins) = text.parse::<Pins>() {
        FORMATS.iter().for_each(|(format, _)| drop(pins.launches(format)));
    }
    let folder = Folder::temporary();
    if let Some(recipes) = right(Recipes::read(&folder.file("recipes.toml", bytes))) {
        recipes.names().for_each(|name| drop(right(recipes.find(name))));
    }
    let Some(list) = right(List::parse(Path::new("list.toml"), text)) else { return };
    for problem in &list.problems {
        for &batch in &problem.batches {
            assert!(problem.key(batch, &POOL).batch.contains(batch));
        }
    }
    let mut all = List::default();
    all.extend(list.problems.iter().cloned(), &POOL);
    assert!(all.problems.len() <= list.problems.len());
    // What there was no time for is kept, and is what is read again.
    let choices = Choices::new(Some(CacheFile::new(folder.path(), "environment")));
    let count = all.problems.len();
    if right(all.leave(&choices, &POOL)).is_some() {
        assert_eq!(List::left(&choices).problems.len(), count);
    }
});
