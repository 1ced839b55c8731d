//! Families of formats in one card.

mod common;

use std::collections::BTreeSet;

use quantloom_spec::eval::{Items, decode_tensors};
use quantloom_spec::model::{Format, Holds, Storage, Word};
use quantloom_spec::{Diagnostics, TableFolder, expand, read_format, read_formats, read_member};

/// A family of two groups and two types, of which one has no use for a digit.
const CARD: &str = r#"
name    = "Sized-g{group.n}{float.name}"
doc     = "4-bit codes, one {float.type} scale per {group.n} k."
kernels = ["Sized-g8"]
index   = { group = "{group.n}", word = 8, lane = 1 }
rows    = { row = 1 }

[family]
group = [{ n = 8, by = "{float.by}" }, { n = 16, by = "{float.by}" }]
float = [{ name = "", type = "f16", by = 1 }, { name = "-bf16", type = "bf16", by = "rows" }]

[config]
group_size = "{group.n}"
scaled_by  = ["{group.by}", 7]

[tensors]
weight = { type = "u32",          axes = [{ row = 1 }, { word = 1 }] }
scales = { type = "{float.type}", axes = [{ row = 1 }, { group = 1 }] }

[code]
planes = [{ from = "weight", bit = { lane = 4 }, bits = 4 }]
offset = -8

[scale]
from = "scales"
"#;

/// The second member, as a card of its own.
const MEMBER: &str = r#"
name    = "Sized-g16-bf16"
doc     = "4-bit codes, one bf16 scale per 16 k."
kernels = []
index   = { group = 16, word = 8, lane = 1 }
rows    = { row = 1 }

[config]
group_size = 16
scaled_by  = ["rows", 7]

[tensors]
weight = { type = "u32",  axes = [{ row = 1 }, { group = 2, word = 1 }] }
scales = { type = "bf16", axes = [{ row = 1 }, { group = 1 }] }

[code]
planes = [{ from = "weight", bit = { lane = 4 }, bits = 4 }]
offset = -8

[scale]
from = "scales"
"#;

fn formats(card: &str) -> Vec<Format> {
    read_formats("card.toml", card, &common::tables()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn wrong(card: &str) -> Diagnostics {
    read_formats("card.toml", card, &common::tables()).expect_err("is accepted")
}

#[test]
fn members_are_what_their_cards_would_be() {
    let found = formats(CARD);
    let names = found.iter().map(|format| format.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["Sized-g8", "Sized-g8-bf16", "Sized-g16", "Sized-g16-bf16"]);
    assert_eq!(found.iter().map(|format| format.kernels).collect::<Vec<_>>(), [true, false, false, false]);
    let alone = read_format("member.toml", MEMBER, &common::tables()).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(found[3], alone);
    for format in &found {
        assert_eq!(read_member("card.toml", CARD, &format.name, &common::tables()).unwrap(), *format);
    }
    assert!(read_member("card.toml", CARD, "Sized-g32", &common::tables()).is_err());
    assert!(read_format("card.toml", CARD, &common::tables()).unwrap_err().to_string().contains("a family of 4 formats"));
    assert_eq!(expand("card.toml", CARD).unwrap().len(), 4);
    assert_eq!(expand("member.toml", MEMBER).unwrap(), [MEMBER]);
}

#[test]
fn a_digit_that_a_member_has_no_use_for_changes_nothing() {
    let format = &formats(CARD)[0];
    let (words, scales) =
        ([0x7654_3210_u32, 0xfedc_ba98].map(u32::to_le_bytes).concat(), [0x3c00_u16, 0x4000].map(u16::to_le_bytes).concat());
    let items = [Items { shape: &[1, 2], bytes: &words }, Items { shape: &[1, 2], bytes: &scales }];
    let wanted = (0..8).map(|code| f32::from(code as i8 - 8)).chain((0..8).map(|code| 2.0 * f32::from(code as i8)));
    assert_eq!(decode_tensors(format, &items, 1, 16), wanted.collect::<Vec<_>>());
}

#[test]
fn what_is_wrong_with_a_family_is_shown() {
    for (from, to, parts) in [
        ("{float.name}\"", "\"", &["two members of the family have the `name` sized_g8", "let it tell all parameters"][..]),
        ("\"{group.n}\", word", "\"{groop.n}\", word", &["the family has no parameter `groop`", "did you mean `group`?"]),
        ("\"{group.n}\", word", "\"{group.m}\", word", &["this value of `group` has no part `m`", "the value is { n = 8"]),
        ("g{group.n}{", "g{group}{", &["the value of `{group}` is no text and no integer"]),
        ("[\"Sized-g8\"]", "[\"Sized-g9\"]", &["no format of the card is called `Sized-g9`", "did you mean `Sized-g8`?"]),
        ("n = 16,", "n = 12,", &["does not divide 12", "in the member of the family with group = { n = 12"]),
        ("group = [{", "group = [[{", &["error: "]),
        ("group = [{ n = 8, by = \"{float.by}\" }, { n = 16, by = \"{float.by}\" }]", "group = []", &["`group` has no values"]),
        (
            "group = [",
            "many = [1, 2, 3, 4, 5, 6, 7, 8, 9]\nmore = [1, 2, 3, 4, 5, 6, 7, 8, 9]\ngroup = [",
            &["at most 256 members"],
        ),
        ("by = 1 }", "by = \"{group.by}\" }", &["bring in one another without end"]),
    ] {
        assert!(CARD.contains(from), "{from}");
        let found = wrong(&CARD.replacen(from, to, 1)).to_string();
        for part in parts {
            assert!(found.contains(part), "{from} to {to}: {found}");
        }
    }
}

#[test]
fn what_is_said_of_a_matrix_is_checked_too() {
    let card = |from: &str, to: &str| {
        assert!(MEMBER.contains(from), "{from}");
        wrong(&MEMBER.replacen(from, to, 1)).to_string()
    };
    let scales = "axes = [{ row = 1 }, { group = 1 }] }";
    let nested =
        "axes = [{ row = 1 }, { group = 1 }], nested = { levels = \"a\", scales = \"b\", group = 256, offset = \"c\" } }";
    assert!(card(scales, nested).contains("comes to items of type `f32`"));
    let indices = |index: &str| card("[code]", &format!("[indices]\nlevels = {index}\n[code]"));
    assert!(indices("{ type = \"f32\", holds = \"levels\" }").contains("`code` has no `levels`"));
    assert!(indices("{ type = \"u8\", holds = \"levels\" }").contains("`levels` holds an `f32` for each level"));
    assert!(indices("{ type = \"u8\", holds = \"level\" }").contains("did you mean `levels`?"));
    assert!(card("group_size = 16", "group_size = 1.5").contains("must be a text or an integer"));
    assert!(card("[config]", "doubtful_zero = \"8\"\n[config]").contains("must be a number"));
}

/// The families of this repository: published names stay, and what formats say of themselves is theirs.
#[test]
fn the_families_here_have_the_names_that_people_know() {
    let spec = common::spec();
    let names = spec.formats.iter().map(|(_, format)| format.name.as_str()).collect::<BTreeSet<_>>();
    for bits in [2, 3, 4, 5, 6, 8] {
        for group in [32, 64, 128] {
            for float in ["", "-bf16", "-f32"] {
                assert!(names.contains(format!("MLX-{bits}bit-g{group}{float}").as_str()));
            }
        }
    }
    for bits in [2, 3, 4, 8] {
        for group in ["32", "64", "128", "all"] {
            for end in ["", "-v2", "-bf16", "-v2-bf16"] {
                assert!(names.contains(format!("GPTQ-{bits}bit-g{group}{end}").as_str()));
            }
        }
    }
    let format = |name: &str| {
        let found = spec.formats.iter().find(|(_, format)| format.name == name);
        let Storage::Tensors(tensors) = &found.unwrap().1.storage else { panic!("{name}") };
        tensors.clone()
    };
    let [first, second] = ["GPTQ-4bit-g128", "GPTQ-4bit-g128-v2"].map(format);
    assert_eq!([first.doubtful_zero, second.doubtful_zero], [Some(9.0), Some(7.0)]);
    assert_eq!(first.config[0].values, [Word::Text("gptq".to_owned())]);
    assert_eq!(second.config[0].values.len(), 2);
    let nf4 = format("NF4");
    assert!(nf4.tensors[1].nested.is_some());
    assert_eq!(nf4.indices[0].holds, Holds::Levels);
    let tables = TableFolder::new("tables");
    assert!(read_formats("empty.toml", "", &tables).is_err());
}
