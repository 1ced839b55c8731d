//! A tokenizer, from the metadata of a GGUF file.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quantloom::gguf::Gguf;
use quantloom_fuzz::{conversation, right};
use quantloom_models::text::{Chat, Specials, Tokenizer};

/// A text in which each way to cut texts finds something.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let words = "I'LL pay 12345 €, ＡＢＣ don't\r\n\n  \tx你好 e\u{301}\u{a0}١٢ <0x0A> </s>\u{2581}...\n";
    format!("{words}{}{}", " ".repeat(300), "a".repeat(300))
});

fuzz_target!(|bytes: &[u8]| {
    let Some(file) = right(Gguf::from_bytes("file.gguf", bytes.to_vec())) else { return };
    let Some(tokenizer) = right(Tokenizer::of(&file)) else { return };
    // The file as a text has all the names of its tokens.
    for text in [TEXT.as_str(), &String::from_utf8_lossy(bytes), ""] {
        for specials in [Specials::AsText, Specials::Parsed] {
            let Some(tokens) = right(tokenizer.encode(text, specials)) else { continue };
            assert!(tokens.iter().all(|&token| (token as usize) < tokenizer.tokens()));
            let mut decoder = tokenizer.decoder();
            let whole: String = tokens.iter().map(|&token| decoder.push(token)).collect();
            let whole = whole + &decoder.finish();
            let decoded = tokenizer.decode(&tokens);
            assert!(decoded == whole || whole.strip_prefix(' ') == Some(&*decoded), "{decoded:?} is not {whole:?}");
        }
        right(tokenizer.covers(text));
        right(tokenizer.prompt(text));
    }
    assert!(tokenizer.ends().iter().all(|&token| (token as usize) < tokenizer.tokens()));
    if let Some(chat) = right(Chat::of(&file, &tokenizer)) {
        right(chat.prompt(&conversation()));
    }
});
