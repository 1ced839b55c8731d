//! Bits that a card says mean nothing.

mod common;

use quantloom_spec::eval::decode_blocks;
use quantloom_spec::{draw, read_format};

/// Codes of six bits, one to a byte.
const SPARE: &str = r#"
name    = "Spare"
doc     = "8 weights of 6 bits, one to a byte, and a byte of padding."
weights = 8
bytes   = 9
index   = { lane = 1 }

[fields]
qs  = { at = 0, type = "u8[8]" }
pad = { at = 8, type = "u8" }

[code]
planes = [{ from = "qs", item = { lane = 1 }, bits = 6 }]

[reserved]
planes = [{ from = "qs", item = { lane = 1 }, bit = 6, bits = 2 }, { from = "pad", bits = 8 }]
"#;

#[test]
fn weights_are_the_same_whatever_they_hold() {
    let format = read_format("spare.toml", SPARE, &common::tables()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let zeros = [0x00, 0x01, 0x02, 0x03, 0x3C, 0x3D, 0x3E, 0x3F, 0x00];
    let ones = zeros.map(|byte| byte | 0xC0);
    let wanted = [0.0, 1.0, 2.0, 3.0, 60.0, 61.0, 62.0, 63.0];
    assert_eq!(decode_blocks(&format, &zeros), wanted);
    assert_eq!(decode_blocks(&format, &ones), wanted);
}

#[test]
fn they_are_drawn() {
    let format = read_format("spare.toml", SPARE, &common::tables()).unwrap_or_else(|wrong| panic!("{wrong}"));
    let drawing = draw(&format);
    let expected = "\
qs   bytes 0-7, u8[8], item = lane
     BBAAAAAA
     A  bits 0-5  code
     B  bits 6-7  reserved bits 0-1

pad  byte 8, u8: reserved bits 2-9
";
    assert!(drawing.ends_with(expected) && !drawing.contains("reserved ="), "{drawing}");
}
