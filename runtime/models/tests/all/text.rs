//! Tokenizers of files that the test makes, and of the small real model, held to what llama.cpp makes of the same.

use std::path::PathBuf;

use crate::common::testdata;
use quantloom::gguf::{Array, Gguf, GgufWriter, Value};
use quantloom_models::text::{Chat, Message, Specials, Tokenizer};
use tempfile::TempDir;

/// The file of a tokenizer alone.
struct File {
    folder: TempDir,
    metadata: Vec<(String, Value)>,
}

impl File {
    fn new(model: &str, tokens: &[&str]) -> Self {
        Self { folder: TempDir::new().unwrap(), metadata: Vec::new() }.with("model", text(model)).with("tokens", texts(tokens))
    }

    /// Byte-level, with all bytes, these tokens and merges.
    fn bytes(pretokenizer: &str, tokens: &[&str], merges: &[&str]) -> Self {
        let others = (0..).filter_map(char::from_u32).filter(|c| matches!(*c, '!'..='~' | '¡'..='¬' | '®'..='ŀ' | 'Ł'..='Ń'));
        let alphabet: Vec<_> = others.take(256).map(String::from).collect();
        assert_eq!(alphabet.last().unwrap(), "Ń");
        let all: Vec<_> = alphabet.iter().map(String::as_str).chain(tokens.iter().copied()).collect();
        Self::new("gpt2", &all).with("pre", text(pretokenizer)).with("merges", texts(merges))
    }

    /// Gives a key another value.
    fn with(self, key: &str, value: Value) -> Self {
        let mut file = self.without(key);
        file.metadata.push((format!("tokenizer.ggml.{key}"), value));
        file
    }

    fn without(mut self, key: &str) -> Self {
        self.metadata.retain(|(known, _)| *known != format!("tokenizer.ggml.{key}"));
        self
    }

    fn of(mut self, architecture: &str) -> Self {
        self.metadata.push(("general.architecture".to_owned(), text(architecture)));
        self
    }

    fn chat(mut self, template: &str) -> Self {
        self.metadata.push(("tokenizer.chat_template".to_owned(), text(template)));
        self
    }

    fn open(&self) -> Gguf {
        let path: PathBuf = self.folder.path().join("made.gguf");
        GgufWriter::create(&path, &self.metadata, &[]).unwrap().finish().unwrap();
        Gguf::open(path).unwrap()
    }

    fn tokenizer(&self) -> Tokenizer {
        Tokenizer::of(&self.open()).unwrap()
    }

    fn refused(&self) -> String {
        let why = Tokenizer::of(&self.open()).unwrap_err().to_string();
        assert!(why.contains("made.gguf: ") && why.lines().count() == 1, "{why}");
        why
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(texts: &[&str]) -> Value {
    Value::Array(Array::String(texts.iter().map(|&text| text.to_owned()).collect()))
}

fn numbers(numbers: &[i32]) -> Value {
    Value::Array(Array::I32(numbers.to_vec()))
}

/// The tokens of the SPM file: control ones, bytes, then words.
const WORDS: [&str; 22] = [
    "\u{2581}",
    "h",
    "e",
    "l",
    "o",
    "w",
    "r",
    "d",
    "he",
    "ll",
    "lo",
    "llo",
    "hell",
    "hello",
    "\u{2581}w",
    "or",
    "\u{2581}wor",
    "\u{2581}world",
    "ld",
    "<tag>",
    "  ",
    "é",
];

/// A file of an SPM tokenizer, whose later words have lower scores, as the first 259 tokens have.
fn spm() -> File {
    let bytes: Vec<_> = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>")).collect();
    let tokens: Vec<_> = ["<unk>", "<s>", "</s>"].into_iter().chain(bytes.iter().map(String::as_str)).chain(WORDS).collect();
    let kinds = (0..tokens.len()).map(|id| match (id, tokens[id]) {
        (0, _) => 2,
        (1 | 2, _) => 3,
        (3..259, _) => 6,
        (_, "<tag>" | "  ") => 4,
        _ => 1,
    });
    let scores = (0..tokens.len()).map(|id| -(id as f32)).collect();
    let file = File::new("llama", &tokens).with("token_type", numbers(&kinds.collect::<Vec<_>>()));
    let file = file.with("scores", Value::Array(Array::F32(scores)));
    file.with("bos_token_id", Value::U32(1)).with("eos_token_id", Value::U32(2)).with("unknown_token_id", Value::U32(0))
}

#[test]
fn the_real_tokenizer_gives_the_tokens_of_llama_cpp() {
    let tokenizer = Tokenizer::of(&Gguf::open(testdata("rustbook-Q4_K_M.gguf")).unwrap()).unwrap();
    for (line, wanted) in [
        ("In Rust, ownership is a set of rules", &[724, 474, 13, 1135, 1794, 310, 261, 804, 309, 1579][..]),
        (
            "fn main() {\n    println!(\"{}\", 12345);\n}",
            &[469, 534, 363, 319, 312, 689, 1762, 1559, 481, 19, 20, 21, 22, 426, 200, 94],
        ),
        ("don't I'LL we've", &[69, 264, 2002, 451, 8, 45, 45, 406, 8, 337]),
        (
            "  two  spaces\t\ttabs\n\n\nlines  ",
            &[222, 1083, 222, 278, 81, 1601, 199, 199, 85, 341, 84, 200, 200, 200, 559, 284, 258],
        ),
        ("naïve café Ünïcode", &[79, 66, 129, 109, 337, 269, 1678, 129, 104, 222, 129, 252, 79, 129, 109, 1273]),
        ("你好，世界", &[162, 123, 256, 163, 100, 123, 173, 122, 236, 162, 118, 246, 165, 245, 236]),
        ("🙂👍🏽", &[174, 255, 249, 226, 174, 255, 241, 237, 174, 255, 239, 123]),
        ("\u{a0}\u{3000}\u{2028}\u{200b}", &[428, 161, 224, 224, 318, 103, 318, 235]),
        ("e\u{301}\u{327} ½ ²٣", &[70, 138, 225, 138, 102, 222, 128, 123, 222, 128, 112, 151, 98]),
        ("\u{e0001}\u{10fffd}\u{fffd}", &[177, 256, 224, 225, 178, 239, 125, 123, 173, 125, 123]),
        ("</s><s>text", &[29, 16, 84, 31, 29, 84, 31, 85, 758]),
        ("", &[]),
    ] {
        assert_eq!(tokenizer.encode(line, Specials::AsText).unwrap(), wanted, "{line:?}");
        assert_eq!(tokenizer.decode(wanted), line);
        assert!(tokenizer.covers(line).unwrap());
    }
    assert_eq!(tokenizer.encode("</s><s>text", Specials::Parsed).unwrap(), [1, 0, 85, 758]);
    assert_eq!(tokenizer.ends(), [1]);
}

#[test]
fn characters_come_whole_whatever_their_tokens() {
    let tokenizer = Tokenizer::of(&Gguf::open(testdata("rustbook-Q4_K_M.gguf")).unwrap()).unwrap();
    let line = "naïve 你好 👨\u{200d}👩 é";
    let tokens = tokenizer.encode(line, Specials::AsText).unwrap();
    let mut decoder = tokenizer.decoder();
    let parts: Vec<_> = tokens.iter().map(|&token| decoder.push(token)).collect();
    assert!(!parts.concat().contains('\u{fffd}') && parts.iter().any(String::is_empty), "{parts:?}");
    assert_eq!(parts.concat() + &decoder.finish(), line);
    // What is cut within a character, or is none, is seen as such: at once where nothing can mend it, else at the end.
    let smile = tokenizer.encode("🙂", Specials::AsText).unwrap();
    assert_eq!(tokenizer.decode(&smile[..3]), "\u{fffd}");
    assert_eq!(tokenizer.decode(&[&smile[..3], &tokens[..1]].concat()), "\u{fffd}n");
    assert_eq!(tokenizer.decode(&[smile[1], tokens[0]]), "\u{fffd}n");
    // A control token is no part of a character.
    assert_eq!(tokenizer.decode(&[&smile[..2], &[1], &smile[2..]].concat()), "\u{fffd}\u{fffd}\u{fffd}");
}

#[test]
fn scores_say_what_is_merged() {
    let word = |text: &str| 259 + WORDS.iter().position(|word| *word == text).unwrap() as u32;
    let byte = |byte: u8| 3 + u32::from(byte);
    let tokenizer = spm().tokenizer();
    let encode = |text: &str| tokenizer.encode(text, Specials::Parsed).unwrap();
    let space = word("\u{2581}");
    // As llama.cpp does it, too.
    assert_eq!(encode("hello world"), [space, word("hello"), word("\u{2581}world")]);
    assert_eq!(encode("wor"), [word("\u{2581}wor")]);
    assert_eq!(encode("lllo"), [space, word("ll"), word("lo")], "of equals the left one first");
    assert_eq!(encode("x\né"), [space, byte(b'x'), byte(b'\n'), word("é")]);
    assert_eq!(encode("€"), [space, byte(0xe2), byte(0x82), byte(0xac)]);
    assert_eq!(encode("<tag>h  e</s>"), [word("<tag>"), space, word("h"), word("  "), space, word("e"), 2]);
    assert_eq!(encode("<0x41>")[1..], b"<0x41>".map(byte), "what names a byte in a text is text");
    assert_eq!(tokenizer.encode("</s>", Specials::AsText).unwrap()[1..], b"</s>".map(byte));
    assert_eq!(
        tokenizer.prompt("he").unwrap(),
        [1, space, word("he")],
        "the first token is added unless a file says otherwise"
    );
    assert_eq!(tokenizer.prompt("<s>he").unwrap(), [1, space, word("he")], "and is not added twice");
    for line in ["hello world", "x\né €", "  two", ""] {
        assert_eq!(tokenizer.decode(&encode(line)), line);
    }
}

/// As the original tokenizer does it, which a file does not say.
#[test]
fn special_tokens_of_some_models_take_the_white_space_behind_them() {
    let tag = 259 + WORDS.iter().position(|word| *word == "<tag>").unwrap() as u32;
    let [plain, phi3] = ["llama", "phi3"].map(|architecture| spm().of(architecture).tokenizer());
    let encode = |tokenizer: &Tokenizer, text: &str| tokenizer.encode(text, Specials::Parsed).unwrap();
    let hello = encode(&plain, "hello");
    for space in [" ", "\n", "\t\r\n ", "\u{a0}\u{3000}"] {
        for (name, token) in [("</s>", 2), ("<tag>", tag)] {
            let text = format!("{name}{space}hello");
            assert_eq!(encode(&phi3, &text), [&[token][..], &hello].concat(), "{text:?}");
            assert_ne!(encode(&plain, &text), encode(&phi3, &text), "{text:?}");
            // Behind the last token, and between two.
            assert_eq!(encode(&phi3, &format!("{name}{space}")), [token], "{text:?}");
            assert_eq!(encode(&phi3, &format!("{name}{space}</s>{space}<s>")), [token, 2, 1], "{text:?}");
        }
        // What is before a token stays, and so does what is behind those which keep it.
        for text in
            [format!("hello{space}</s>"), format!("<s>{space}hello"), format!("<unk>{space}hello"), format!("{space}hello")]
        {
            assert_eq!(encode(&phi3, &text), encode(&plain, &text), "{text:?}");
        }
    }
    // A token that others wrote is text, and so is what is behind it; but for those that are parts of texts.
    let as_text = |tokenizer: &Tokenizer, text: &str| tokenizer.encode(text, Specials::AsText).unwrap();
    assert_eq!(as_text(&phi3, "</s> hello"), as_text(&plain, "</s> hello"));
    assert_eq!(as_text(&phi3, "<tag> hello"), [&[tag][..], &hello].concat());
    // The tokenizer says so, not the architecture alone.
    let bytes = |architecture: &str| {
        File::bytes("gpt-2", &["<tag>"], &[]).with("token_type", numbers(&[&[1; 256][..], &[4]].concat())).of(architecture)
    };
    assert_eq!(encode(&bytes("phi3").tokenizer(), "<tag> a"), encode(&bytes("llama").tokenizer(), "<tag> a"));
}

#[test]
fn a_file_says_what_is_added() {
    let word = |text: &str| 259 + WORDS.iter().position(|word| *word == text).unwrap() as u32;
    let file = spm().with("add_space_prefix", Value::Bool(false)).with("add_bos_token", Value::Bool(false));
    let tokenizer = file.with("add_eos_token", Value::Bool(true)).tokenizer();
    assert_eq!(tokenizer.prompt("he").unwrap(), [word("he"), 2]);
    assert_eq!(tokenizer.decode(&tokenizer.encode(" he", Specials::AsText).unwrap()), " he");
    let bytes = |pretokenizer| File::bytes(pretokenizer, &["<s>"], &[]).with("bos_token_id", Value::U32(256));
    assert_eq!(bytes("gpt-2").tokenizer().prompt("!").unwrap(), [0]);
    assert_eq!(bytes("llama-bpe").tokenizer().prompt("!").unwrap(), [256, 0]);
}

#[test]
fn merges_are_made_in_their_order_and_whole_words_where_a_pretokenizer_says() {
    let make = |pretokenizer| File::bytes(pretokenizer, &["ab", "bc", "abc", "abcd"], &["b c", "a b", "a bc"]).tokenizer();
    for (pretokenizer, wanted) in [("gpt-2", &[258, 67][..]), ("llama-bpe", &[259][..])] {
        assert_eq!(make(pretokenizer).encode("abcd", Specials::AsText).unwrap(), wanted, "{pretokenizer}");
    }
    assert_eq!(make("gpt-2").encode("abx", Specials::AsText).unwrap(), [256, 87]);
}

#[test]
fn what_a_vocabulary_lacks_is_known() {
    let file = File::new("gpt2", &["a", "b"]).with("pre", text("gpt-2")).with("merges", texts(&[]));
    let tokenizer = file.tokenizer();
    assert_eq!(tokenizer.encode("axb", Specials::AsText).unwrap(), [0, 1]);
    assert_eq!(["ab", "axb", "abx", "x"].map(|text| tokenizer.covers(text).unwrap()), [true, false, false, false]);
}

#[test]
fn files_without_a_tokenizer_that_can_be_used_are_refused_in_one_line() {
    let good = || File::bytes("gpt-2", &["ab", "<x>"], &["a b"]);
    good().tokenizer();
    let scores = |scores: &[f32]| Value::Array(Array::F32(scores.to_vec()));
    for (file, wanted) in [
        (good().without("tokens"), "it has no tokenizer (no key \"tokenizer.ggml.tokens\")"),
        (good().with("tokens", text("a")), "key \"tokenizer.ggml.tokens\": not an array"),
        (good().with("tokens", numbers(&[1])), "key \"tokenizer.ggml.tokens\": not an array of texts"),
        (good().with("tokens", texts(&[])), "0 tokens, and from 1 to "),
        (good().with("tokens", texts(&["a", "b", "a"])), "tokens 0 and 2 are both \"a\""),
        (good().without("model"), "it has no key \"tokenizer.ggml.model\""),
        (good().with("model", text("bert")), "no tokenizer \"bert\" is known, only \"gpt2\" and \"llama\""),
        (good().without("pre"), "(no key \"tokenizer.ggml.pre\")"),
        (good().with("pre", text("gpt-7")), "no pre-tokenizer is called \"gpt-7\"; take a model with one that is: "),
        (good().with("pre", Value::U32(1)), "key \"tokenizer.ggml.pre\": not a text"),
        (good().without("merges"), "key \"tokenizer.ggml.merges\": no array of texts"),
        (good().with("merges", texts(&["a b", "ab"])), "value 1, \"ab\", is not two tokens with a space between"),
        (good().with("merges", texts(&["b c"])), "value 0, \"b c\", needs \"bc\", which is no token"),
        (good().with("token_type", numbers(&[1; 3])), "3 values for 258 tokens"),
        (good().with("token_type", numbers(&[7; 258])), "token 0 is of type 7, and types go from 1 to 6"),
        (good().with("token_type", texts(&["a"])), "not an array of numbers"),
        (good().with("eos_token_id", Value::U32(258)), "key \"tokenizer.ggml.eos_token_id\": not one of its 258 tokens"),
        (good().with("eot_token_id", Value::I32(-1)), "key \"tokenizer.ggml.eot_token_id\": not one of its"),
        (good().with("add_bos_token", Value::U32(1)), "key \"tokenizer.ggml.add_bos_token\": not a truth value"),
        (good().with("add_bos_token", Value::Bool(true)), "no key \"tokenizer.ggml.bos_token_id\" says which"),
        (spm().without("scores"), "key \"tokenizer.ggml.scores\": no array of f32"),
        (spm().with("scores", scores(&[0.0])), "1 values for 281 tokens"),
        (spm().with("scores", scores(&[f32::NAN; 281])), "that of token 0 is not a number"),
    ] {
        let why = file.refused();
        assert!(why.contains(wanted), "{wanted}: {why}");
    }
}

#[test]
fn a_template_says_how_turns_are_written_and_what_ends_them() {
    const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}\n{% if m.role not in ['user', 'assistant'] %}\n{{ raise_exception('no ' + m.role) }}\n\
                            {% endif %}\n[{{ m.role }}]{{ m.content | trim }}<end>\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let kinds: Vec<_> = (0..258).map(|id| if id < 256 { 1 } else { 3 }).collect();
    let file = File::bytes("gpt-2", &["<s>", "<end>"], &[]).with("token_type", numbers(&kinds));
    let file = file.with("bos_token_id", Value::U32(256)).with("add_bos_token", Value::Bool(true));
    let why = Chat::of(&file.open(), &file.tokenizer()).unwrap_err().to_string();
    assert!(why.contains("it has no chat template (no key \"tokenizer.chat_template\")"), "{why}");
    assert_eq!(file.tokenizer().ends(), [0; 0]);

    let file = file.chat(TEMPLATE);
    let tokenizer = file.tokenizer();
    assert_eq!(tokenizer.ends(), [257], "what the template puts behind an answer");
    let chat = Chat::of(&file.open(), &tokenizer).unwrap();
    let prompt = chat.prompt(&[Message::new("user", " Hi\n")]).unwrap();
    assert_eq!(prompt, "<s>[user]Hi<end>\n[assistant]");
    let tokens = tokenizer.prompt(&prompt).unwrap();
    assert_eq!((tokens[0], tokens.iter().filter(|&&token| token >= 256).count()), (256, 2), "{tokens:?}");
    let why = chat.prompt(&[Message::new("system", "Be brief.")]).unwrap_err().to_string();
    assert!(why.contains("the template fails: invalid operation: no system (line 3); change the messages"), "{why}");

    let broken = File::bytes("gpt-2", &[], &[]).chat("{% for %}");
    let why = Chat::of(&broken.open(), &broken.tokenizer()).unwrap_err().to_string();
    assert!(why.contains("the template cannot be read: syntax error: ") && why.lines().count() == 1, "{why}");
}

#[test]
fn tokens_that_are_parts_of_each_other_are_not_merged_without_end() {
    let refused = |texts: &[String]| {
        let scores = Value::Array(Array::F32(vec![0.0; texts.len()]));
        let tokens: Vec<_> = texts.iter().map(String::as_str).collect();
        File::new("llama", &tokens).with("scores", scores).refused()
    };
    let why = refused(&["a".to_owned(), "b".repeat(1025)]);
    assert!(why.contains("token 1, \"bbb") && why.contains("is of 1025 bytes, and may be of 1024"), "{why}");
    let all: Vec<_> = (1..=1024).map(|count| "a".repeat(count)).collect();
    let why = refused(&all);
    assert!(why.contains("its tokens are parts of each other in too many ways"), "{why}");
}
