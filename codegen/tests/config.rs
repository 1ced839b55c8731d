//! `Config` as build scripts of other crates use it.

use std::error::Error;
use std::path::Path;
use std::{fs, io};

use quantloom_codegen::{Config, SourceFile, cards_dir};
use quantloom_spec::kernels::{Numerics, Set, Variant};
use tempfile::TempDir;

/// A card with a table, as somebody else may have it.
const CARD: &str = r#"
name    = "Other"
doc     = "32 weights of 4 bits, 8 pairs of levels a nibble each, under one f16."
weights = 32
bytes   = 10
index   = { quad = 4, lane = 1 }

[fields]
d  = { at = 0, type = "f16" }
qs = { at = 2, type = "u8[8]" }

[code]
from   = "qs"
item   = { quad = 1 }
levels = "quads"

[scale]
from = "d"
"#;

/// 256 vectors of four levels.
fn table() -> String {
    let row = |row: usize| format!("{}{}{}{}", row & 3, row >> 2 & 3, row >> 4 & 3, row >> 6 & 3);
    let rows = (0..256).map(row).collect::<Vec<_>>().join(" ");
    format!("name = \"quads\"\ndoc = \"Four levels of two bits.\"\nwidth = 4\nletters = [-3, -1, 1, 3]\nrows = \"{rows}\"\n")
}

/// A folder with that card in `cards/` and its table beside it.
fn crate_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [("cards/other.toml", CARD), ("cards/tables/quads.toml", &table())] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn generate(config: &Config) -> Vec<SourceFile> {
    config.generate().unwrap_or_else(|error| panic!("{error}"))
}

fn registry(files: &[SourceFile]) -> &str {
    &files.iter().find(|file| file.stem() == "registry").unwrap().text
}

#[test]
fn a_folder_of_cards_gives_a_registry_that_stands_on_quantloom() {
    let folder = crate_folder();
    let files = generate(&Config::new().formats(folder.path().join("cards")));
    let registry = registry(&files);
    assert_eq!(files.iter().filter(|file| file.stem().starts_with("format_")).count(), 1);
    assert!(registry.contains("use ::quantloom::kernels::isas;") && !registry.contains("ISAS"), "{registry}");
    assert!(registry.contains("name: \"quads\""), "{registry}");
    for file in &files {
        let count = |part: &str| file.text.matches(part).count();
        assert_eq!(count("unsafe {"), count("// SAFETY: "), "{}", file.name);
        assert!(file.stem() != "registry" || count("unsafe {") > 0, "rows say what they need");
        assert!(!file.text.contains("crate::"), "{} refers to its own crate", file.name);
        assert!(!file.text.contains(folder.path().to_str().unwrap()), "{} holds a path of this machine", file.name);
    }
    let renamed = generate(&Config::new().formats(folder.path().join("cards")).support("::loom::kernels"));
    assert!(renamed.iter().all(|file| !file.text.contains("::quantloom")));
}

#[test]
fn targets_leave_the_others_out() {
    let cards = cards_dir().join("formats");
    let files = generate(&Config::new().formats(cards).targets(["scalar"]));
    let registry = registry(&files);
    assert!(
        registry.contains("isas::SCALAR") && registry.matches("isas::").count() == registry.matches("isas::SCALAR").count()
    );
    let error = Config::new().formats(cards_dir().join("formats")).targets(["scalar", "mmx"]).plan().unwrap_err();
    assert!(error.to_string().starts_with("error: no instruction set is called \"mmx\"; there is "), "{error}");
}

#[test]
fn targets_bring_the_bases_whose_kernels_they_use() {
    let cards = cards_dir().join("formats");
    let plan = Config::new().formats(cards).targets(["scalar", "avx512vnni"]).plan().unwrap();
    let isas = plan.isas.iter().map(|isa| isa.name.as_str()).collect::<Vec<_>>();
    assert_eq!(isas, ["scalar", "avx2", "avx512", "avx512vnni"]);
    let has = |isa: &str, numerics| plan.variants.iter().any(|variant| variant.isa == isa && variant.numerics == numerics);
    let found = ["avx512vnni", "avx512", "avx2", "avxvnni"].map(|isa| Numerics::ALL.map(|numerics| has(isa, numerics)));
    assert_eq!(found, [[false, true], [true, false], [false, false], [false, false]], "exact and int8");
}

/// The hashes of the rows that mention a name, in order.
fn hashes_of<'a>(registry: &'a str, name: &str) -> Vec<&'a str> {
    let row = format!("name: \"{name}\",");
    let rows = registry.match_indices(&row).map(|(at, _)| &registry[at..]);
    let hash = |row: &'a str| row[row.find(" hash: ").unwrap()..].lines().next().unwrap();
    rows.map(hash).collect()
}

#[test]
fn a_list_leaves_its_kernels_with_the_hashes_of_a_full_build() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("slim.toml");
    let cards = || Config::new().formats(cards_dir().join("formats"));
    let full = cards().plan().unwrap();
    let format = full.formats.iter().find(|format| format.card.format.name == "Q4_K").unwrap();
    let names = full.kernel_names().filter(|name| name.starts_with("Q4_K.")).collect::<Vec<_>>();
    let kept = [&names[0], names.iter().find(|name| name.contains(".int8.scalar.")).unwrap()];
    fs::write(&list, format!("kernels = [\n    '{}',\n    '{}',\n]\n", kept[0], kept[1])).unwrap();

    let config = cards().variants_from(&list);
    assert!(config.sources().contains(&list));
    let (slim, full) = (generate(&config), generate(&cards()));
    let (few, all) = (registry(&slim), registry(&full));
    for name in &names {
        let wanted = if kept.contains(&name) { hashes_of(all, name) } else { Vec::new() };
        assert_eq!(hashes_of(few, name), wanted, "{name}");
    }
    // The last hash of a row's text is that of the format: its kernels come before.
    let row = |registry: &str| {
        let start = registry.find("static FORMAT_Q4_K: ").unwrap();
        let row = &registry[start..start + registry[start..].find("\n};").unwrap()];
        row[row.rfind(" hash: ").unwrap()..].to_owned()
    };
    assert_eq!(row(few), row(all));
    let class = &format.class.as_ref().unwrap().0;
    let stems = slim.iter().map(SourceFile::stem).filter(|stem| stem.starts_with("class_")).collect::<Vec<_>>();
    assert!(stems.iter().all(|stem| stem.contains(class.as_str())) && stems.len() == 1 + 2, "{stems:?}");
    assert_eq!(few.matches("packed: None").count(), full_formats(all) - 1, "the others are only decoded");
}

#[test]
fn an_edited_card_changes_the_hashes_of_its_format_alone_and_a_compiler_those_of_all() {
    let folder = crate_folder();
    let cards = folder.path().join("cards");
    fs::write(cards.join("second.toml"), CARD.replace("\"Other\"", "\"Second\"")).unwrap();
    let config = Config::new().formats(&cards).targets(["scalar"]);
    let of = |config: &Config, name: &str| {
        let files = generate(config);
        hashes_of(registry(&files), name).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = ["Other", "Second"].map(|name| of(&config, name));
    assert!(before.iter().all(|hashes| !hashes.is_empty()));
    // Another root scale: another class.
    let edited = CARD.replace("\"Other\"", "\"Second\"").replace("type = \"f16\"", "type = \"bf16\"");
    fs::write(cards.join("second.toml"), edited).unwrap();
    let after = ["Other", "Second"].map(|name| of(&config, name));
    assert_eq!(before[0], after[0]);
    assert!(before[1].iter().zip(&after[1]).all(|(before, after)| before != after));
    let other = config.clone().compiler("rustc of another day");
    assert!(of(&other, "Other").iter().zip(&before[0]).all(|(before, after)| before != after));
}

/// How many formats a registry has.
fn full_formats(registry: &str) -> usize {
    registry.matches("abi::Format = ").count()
}

/// That card, in a family of four root scales of which one has kernels in every build, and one those of a class that is built anyway.
fn family() -> String {
    let card = CARD.replace("\"Other\"", "\"Other{root.name}\"").replace("type = \"f16\"", "type = \"{root.type}\"");
    let root =
        "root = [{ name = \"\", type = \"f16\" }, { name = \"-b\", type = \"bf16\" }, { name = \"-same\", type = \"f16\" }]";
    format!("kernels = [\"Other\"]\n{card}\n[family]\n{root}\n")
}

#[test]
fn kernels_that_a_card_leaves_out_are_built_for_who_asks() {
    let folder = crate_folder();
    let cards = folder.path().join("cards");
    fs::write(cards.join("other.toml"), family()).unwrap();
    let config = || Config::new().formats(&cards).targets(["scalar"]);
    let built = |config: &Config| {
        let plan = config.plan().unwrap_or_else(|error| panic!("{error}"));
        let with_class = plan.formats.iter().filter(|format| format.class.is_some());
        let names = with_class.map(|format| format.card.format.name.clone()).collect::<Vec<_>>();
        assert_eq!((plan.formats.len(), registry(&generate(config)).matches("on_demand: true").count()), (3, 3 - names.len()));
        (names.join(" "), plan.classes.len())
    };
    assert_eq!(built(&config()), ("Other Other-same".to_owned(), 1), "kernels are shared");
    assert_eq!(built(&config().kernels_of(["OTHER-B"])), ("Other Other-b Other-same".to_owned(), 2));
    let list = folder.path().join("list.toml");
    let names = config().kernels_of(["Other-b"]).plan().unwrap().kernel_names().collect::<Vec<_>>();
    let name = names.iter().find(|name| name.starts_with("Other-b.")).unwrap();
    fs::write(&list, format!("kernels = ['{name}']")).unwrap();
    let plan = config().variants_from(&list).plan().unwrap();
    assert_eq!(plan.formats.iter().filter(|format| format.class.is_some()).count(), 1, "a list asks as well");
    let both = config().variants_from(&list).kernels_of(["other"]);
    assert_eq!(built(&both), ("Other Other-b".to_owned(), 2), "beside those of a list");
    let of_other = |config: &Config| {
        let registry = generate(config);
        let names = config.plan().unwrap().kernel_names().filter(|name| name.starts_with("Other.")).collect::<Vec<_>>();
        names.into_iter().filter(|name| self::registry(&registry).contains(&format!("\"{name}\""))).count()
    };
    assert_eq!(of_other(&both), of_other(&config()), "all that a build without a list has");
    let unknown = config().kernels_of(["Other-c"]).plan().unwrap_err().to_string();
    assert_eq!(unknown, "error: no format is called \"Other-c\"; `quantloom formats` lists those that there are");
}

#[test]
fn a_list_may_name_what_only_the_tuner_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("slim.toml");
    let cards = || Config::new().formats(cards_dir().join("formats"));
    let of_default = cards().plan().unwrap().kernel_names().collect::<Vec<_>>();
    let all = cards().variants(Set::All).plan().unwrap().kernel_names().collect::<Vec<_>>();
    let name = all.iter().find(|name| !of_default.contains(name)).unwrap();
    fs::write(&list, format!("kernels = ['{name}']")).unwrap();
    assert!(registry(&generate(&cards().variants_from(&list))).contains(name));
}

#[test]
fn a_wrong_list_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("slim.toml");
    let error = || Config::new().formats(cards_dir().join("formats")).variants_from(&list).plan().unwrap_err();
    let message = || error().to_string();
    assert!(message().contains("slim.toml: "), "{}", message());
    let missing = error();
    let cause = missing.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    assert_eq!(cause, Some(io::ErrorKind::NotFound));
    fs::write(&list, "kernels = [\n    'Q4_K.gemv.int8.scalar.r16c11',\n]\n").unwrap();
    assert!(message().contains("slim.toml:2:5") && message().contains("did you mean `Q4_K.gemv.int8.scalar."), "{}", message());
}

#[test]
fn other_architectures_are_left_out() {
    let plan = Config::new().formats(cards_dir().join("formats")).arch("aarch64").plan().unwrap();
    assert!(plan.isas.iter().any(|isa| isa.name == "neon") && plan.isas.iter().any(|isa| isa.name == "scalar"));
    assert!(plan.isas.iter().all(|isa| isa.arch.as_deref().is_none_or(|arch| arch == "aarch64")));
    assert!(plan.variants.iter().all(|variant| plan.isas.iter().any(|isa| isa.name == variant.isa)));
}

/// All cards but the formats, with one processor that begins with a variant of the instruction set `avx2`, and the tile of that.
fn cards_with_a_start() -> (TempDir, String) {
    let folder = crate_folder();
    fs::rename(folder.path().join("cards"), folder.path().join("formats")).unwrap();
    for kind in ["formats/tensors", "isa", "kernels", "operations", "processors", "gpu"] {
        fs::create_dir_all(folder.path().join(kind)).unwrap();
    }
    for kind in ["isa", "kernels", "gpu"] {
        for card in fs::read_dir(cards_dir().join(kind)).unwrap() {
            let card = card.unwrap();
            fs::copy(card.path(), folder.path().join(kind).join(card.file_name())).unwrap();
        }
    }
    let plan = Config::new().formats(folder.path().join("formats")).plan().unwrap();
    let first = |variant: &&Variant| variant.isa == "avx2" && variant.numerics == Numerics::Int8 && variant.batch.contains(&1);
    let variant = plan.variants.iter().find(first).unwrap();
    let (schedule, tile) = (variant.schedule.name(), variant.tile_name());
    let card = format!(
        "name = 'some'\ndoc = 'Some.'\narch = 'x86_64'\nsource = ['A test.']\n[[identity]]\nvendor = 'Maker'\nfamily = 6\n\
         models = [7, [0x10, 0x1f]]\n[[pipes]]\nvector = 256\nof = ['loads', 'products']\na_cycle = 0.5\n\
         [[start]]\nisa = 'avx2'\nnumerics = 'int8'\nvariant = '{schedule} {tile}'\nbatch = [1, 4]\nfar = 4096\n"
    );
    fs::write(folder.path().join("processors/some.toml"), card).unwrap();
    (folder, tile)
}

#[test]
fn processors_begin_with_what_is_built() {
    let (folder, tile) = cards_with_a_start();
    let cards = || Config::new().cards(folder.path()).support("crate");
    let text = |config: &Config| registry(&generate(config)).split_whitespace().collect::<String>();
    let start = format!(
        "starts:&[abi::Start{{isa:\"avx2\",numerics:abi::Numerics::Int8,schedule:abi::Schedule::Direct,tile:\"{tile}\",\
         batch:&[1,4],bits:None,far:Some(4096),near:None,tiles:None,keep:false,}},],"
    );
    let all = text(&cards());
    for part in [
        "#[cfg(target_arch=\"x86_64\")]&abi::Processor{name:\"some\",doc:\"Some.\",measured:None,",
        "identities:&[abi::Identity{vendor:\"Maker\",family:Some(6u32),models:&[7u32..=7u32,16u32..=31u32],},],",
        "pipes:&[abi::Pipes{vector_bits:256,of:&[abi::Kind::Loads,abi::Kind::Products],a_cycle:0.5f64,},],",
        &start,
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let list = folder.path().join("slim.toml");
    let scalar = cards().plan().unwrap().kernel_names().find(|name| name.contains(".scalar.")).unwrap();
    fs::write(&list, format!("kernels = ['{scalar}']")).unwrap();
    for slim in [cards().targets(["scalar"]), cards().variants_from(&list)] {
        let slim = text(&slim);
        assert!(slim.contains("name:\"some\"") && slim.contains("starts:&[],") && !slim.contains("abi::Start"), "{slim}");
    }
    let none = "pubstaticPROCESSORS:&[&abi::Processor]=&[];";
    assert!(text(&cards().arch("aarch64")).contains(none));
    // Other tile sizes may lack what the cards begin with.
    assert!(text(&cards().kernels(cards_dir().join("kernels"))).contains(none));
    assert!(!text(&cards().support("::quantloom::kernels")).contains("PROCESSORS"));
}

#[test]
fn a_start_that_no_build_has_is_shown() {
    let (folder, tile) = cards_with_a_start();
    let path = folder.path().join("processors/some.toml");
    let card = fs::read_to_string(&path).unwrap();
    fs::write(&path, card.replace(&tile, "r16c9")).unwrap();
    let error = Config::new().cards(folder.path()).plan().unwrap_err().to_string();
    assert!(error.contains("some.toml:16:11") && error.contains("has no `int8` variant `direct r16c9`"), "{error}");
}

#[test]
fn cargo_hears_of_every_source() {
    let folder = crate_folder();
    let sources = Config::new().formats(folder.path().join("cards")).sources();
    for path in ["cards", "cards/other.toml", "cards/tables", "cards/tables/quads.toml"] {
        assert!(sources.contains(&folder.path().join(path)), "{path}: {sources:?}");
    }
    for path in ["isa", "isa/scalar.toml", "kernels/matmul.toml", "processors", "processors/zen4.toml"] {
        assert!(sources.contains(&cards_dir().join(path)), "{path}: {sources:?}");
    }
    assert!(!sources.contains(&cards_dir().join("formats")));
    assert!(sources.is_sorted() && sources.iter().all(|path| path.exists()), "{sources:?}");
}

#[test]
fn errors_show_every_wrong_card() {
    let folder = crate_folder();
    let cards = folder.path().join("cards");
    fs::write(cards.join("typo.toml"), CARD.replace("weights", "weihgts").replace("Other", "Typo")).unwrap();
    fs::write(cards.join("stray.toml"), CARD.replace("levels = ", "level = ").replace("Other", "Stray")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = Config::new().formats(&cards).out_dir(out.path()).compile().unwrap_err().to_string();
    assert!(error.contains("typo.toml:4:1") && error.contains("did you mean `weights`?"), "{error}");
    assert!(error.contains("stray.toml:15:1") && error.contains("did you mean `levels`?"), "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn two_folders_must_not_have_formats_of_one_name() {
    let (one, other) = (crate_folder(), crate_folder());
    let cards = |folder: &TempDir| folder.path().join("cards");
    let error = Config::new().formats(cards(&one)).formats(cards(&other)).plan().unwrap_err().to_string();
    assert!(error.contains("two cards have the `name`"), "{error}");
}

#[test]
fn what_is_missing_is_said() {
    let message = |config: Config| config.plan().unwrap_err().to_string();
    assert!(message(Config::new()).contains("name their folder with `formats`"));
    let missing = message(Config::new().formats(Path::new("no-such-folder")));
    assert!(missing.starts_with("error: cannot list the folder") && missing.contains("no-such-folder"), "{missing}");
}

/// A scale for each pair of weights: no kernel takes that.
const PAIRS: &str = r#"
name    = "Pairs"
doc     = "32 weights of 4 bits, an f16 scale for each two of them."
weights = 32
bytes   = 48
index   = { pair = 2, lane = 1 }

[fields]
d  = { at = 0, type = "f16[16]" }
qs = { at = 32, type = "u8[16]" }

[code]
planes = [{ from = "qs", item = { pair = 1 }, bit = { lane = 4 }, bits = 4 }]

[scale]
from = "d"
item = { pair = 1 }
"#;

#[test]
fn a_format_without_kernels_says_why() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pairs.toml"), PAIRS).unwrap();
    let config = Config::new().formats(folder.path());
    let why = "a scale or min for every 2 weights: they are for a multiple of 4";
    assert_eq!(config.plan().unwrap().uncovered().collect::<Vec<_>>(), [("Pairs", why)]);
    let files = generate(&config);
    let registry = registry(&files);
    assert!(registry.contains("packed: None") && registry.contains(why), "{registry}");
}

/// An activation function is one of one number or of two, in a file of its name.
#[test]
fn functions_that_are_none_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new().cards(cards_dir()).support("crate").functions(folder.path());
    let names = || {
        let operations = Config::new().cards(cards_dir()).plan().unwrap().operations;
        operations.into_iter().filter_map(|operation| operation.epilogue.activation).collect::<Vec<_>>()
    };
    let first = names().remove(0);
    let path = folder.path().join(&first).with_extension("rs");
    let message = || {
        let message = config.plan().unwrap_err().to_string();
        assert!(message.starts_with(&format!("error: {}: ", path.display())) && message.contains(&first), "{message}");
        message
    };
    assert!(message().contains("cannot be read"));
    for (text, wanted) in [
        ("fn x(", "is not one Rust function"),
        ("fn other(x: f32) -> f32 { x }", "must be `fn "),
        ("fn NAME(x: f64) -> f32 { 0.0 }", "must be `fn "),
        ("fn NAME() -> f32 { 0.0 }", "must be `fn "),
        ("fn NAME(x: f32, y: f32, z: f32) -> f32 { x }", "must be `fn "),
        ("fn NAME(x: f32, y: i32) -> f32 { x }", "must be `fn "),
        ("unsafe fn NAME(x: f32) -> f32 { x }", "must be `fn "),
    ] {
        fs::write(&path, text.replace("NAME", &first)).unwrap();
        assert!(message().contains(wanted), "{text}: {}", message());
    }
    for name in names() {
        let arguments = if name == first { "x: f32, y: f32" } else { "y: f32" };
        fs::write(folder.path().join(&name).with_extension("rs"), format!("fn {name}({arguments}) -> f32 {{ y }}")).unwrap();
    }
    assert!(config.plan().is_ok() && config.sources().contains(&folder.path().to_owned()));
    // What a function of the gate alone comes to is multiplied by the other number.
    let all = generate(&config).into_iter().map(|file| file.text).collect::<String>();
    assert!(all.contains(&format!("{first}(gate, up)")) && all.contains("(gate) * up"), "{all}");
}

/// Every packed format in every language, beside what runs on processors; the second time nothing is written again.
#[test]
fn kernels_for_graphics_processors_are_written_for_who_asks() {
    let (folder, out) = (crate_folder(), tempfile::tempdir().unwrap());
    let config = Config::new().formats(folder.path().join("cards")).out_dir(out.path()).arch("x86_64").gpu("device/kernels");
    config.compile().unwrap_or_else(|error| panic!("{error}"));
    let written = out.path().join("device/kernels");
    let names = fs::read_dir(&written).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names = names.collect::<Vec<_>>();
    names.sort();
    let texts = ["cl", "cu", "hip", "metal", "wgsl"].map(|extension| format!("Other.{extension}"));
    let wanted = texts.iter().flat_map(|name| [name.clone(), format!("{name}.json")]).collect::<Vec<_>>();
    assert_eq!(names, wanted);
    for name in &texts {
        let (text, json) = (fs::read_to_string(written.join(name)).unwrap(), written.join(format!("{name}.json")));
        assert!(text.starts_with("// @generated by quantloom from the card of Other"), "{name}");
        let json = fs::read_to_string(json).unwrap();
        assert!(json.contains("\"format\": \"Other\"") && json.contains("\"name\": \"reduce\""), "{name}: {json}");
    }
    let times = || names.iter().map(|name| fs::metadata(written.join(name)).unwrap().modified().unwrap()).collect::<Vec<_>>();
    let before = times();
    config.compile().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(times(), before, "texts that are the same");
    let blocked = config.clone().gpu(written.join("Other.cu"));
    assert!(blocked.compile().unwrap_err().to_string().contains("Other.cu"));
}
