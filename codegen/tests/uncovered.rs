//! Which rule keeps kernels from covering a card, said in the words of the card that breaks it.

use std::collections::BTreeMap;

use quantloom_codegen::lower::class::Class;
use quantloom_spec::read_format;

/// 32 weights of 4 bits in two halves, each under a byte and an f16.
const CARD: &str = r#"
name    = "Card"
doc     = "32 weights of 4 bits."
weights = 32
bytes   = 24
index   = { half = 16, byte = 2, nibble = 1 }

[fields]
d      = { at = 0, type = "f16" }
m      = { at = 2, type = "f16" }
scales = { at = 4, type = "u8[2]" }
more   = { at = 6, type = "u8[2]" }
qs     = { at = 8, type = "u8[16]" }

[code]
planes = [{ from = "qs", item = { half = 8, byte = 1 }, bit = { nibble = 4 }, bits = 4 }]

[scale]
super = "d"
from  = "scales"
item  = { half = 1 }

[min]
super = "m"
from  = "more"
item  = { half = 1 }
"#;

/// The name of the class of a changed card, or what is said of it.
fn class(changes: &[(&str, &str)]) -> String {
    let card = changes.iter().fold(CARD.to_owned(), |card, (from, to)| {
        assert!(card.contains(from), "{from}");
        card.replacen(from, to, 1)
    });
    let format = read_format("card.toml", &card, &BTreeMap::new()).unwrap_or_else(|wrong| panic!("{wrong}"));
    Class::of(&format).map_or_else(|uncovered| uncovered.to_string(), |class| class.name())
}

#[test]
fn the_rule_that_a_card_does_not_keep_is_said() {
    assert_eq!(class(&[]), "linear4_g16u_h32_minu_a32_u32", "mins under a root are not mins that are roots");
    let uncovered = |what: &str, changes: &[(&str, &str)]| assert_eq!(class(changes), format!("no kernel covers {what}"));
    uncovered(
        "integer mins under a root that are not 0 to 255 in some unit",
        &[("more   = { at = 6, type = \"u8", "more   = { at = 6, type = \"i8")],
    );
    let root = ("super = \"m\"\nfrom  = \"more\"\nitem  = { half = 1 }", "from = \"m\"");
    let spare = ("[scale]", "[reserved]\nplanes = [{ from = \"more\", item = { half = 1 }, bits = 8 }]\n\n[scale]");
    assert_eq!(class(&[root, spare]), "linear4_g16u_h32_min_a32_u64");
    let floats = ("scales = { at = 4, type = \"u8[2]\" }", "scales = { at = 4, type = \"e4m3[2]\" }");
    uncovered("mins for other stretches of weights than scales", &[root, spare, floats]);
    let zero = ("[min]\nsuper = \"m\"", "[reserved]\nplanes = [{ from = \"m\", bits = 16 }]\n\n[zero]");
    assert_eq!(class(&[zero, ("type = \"u8[2]\" }\nqs", "type = \"i8[2]\" }\nqs")]), "linear4_z16_g16u_h32_a32_u64");
    uncovered("levels from -255 to 15: they have 8 bits", &[zero]);
    uncovered(
        "zero points that are no integers of up to 16 bits",
        &[zero, ("type = \"u8[2]\" }\nqs", "type = \"e4m3[2]\" }\nqs")],
    );
    uncovered(
        "codes under a `super`",
        &[("bits = 4 }]", "bits = 4 }]\nsuper = \"d\""), ("super = \"d\"\nfrom  = \"scales\"", "from  = \"scales\"")],
    );
}
