//! What the CUDA text computes: compiled by the host's compiler, with threads one after the other, under sanitizers.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quantloom_codegen::emit::cuda;
use quantloom_spec::gpu::Dialect;

use crate::support::{Dice, assert_equal_bits, dialect, formats, product, random};

/// Threads of a group: few, because they run one after the other.
const WORKGROUP: usize = 16;

#[test]
#[ignore = "needs g++; .ci/gpu runs it"]
fn computes_what_the_cards_say() {
    let formats = formats();
    let dialect = Dialect { workgroup: WORKGROUP, ..dialect("cuda") };
    let texts: Vec<_> = formats.iter().map(|format| cuda::module(format, &dialect).unwrap()).collect();
    let program = compile(&texts);
    let mut dice = Dice(7);
    for (index, format) in formats.iter().enumerate() {
        let sample = random(format, &dialect, &mut dice);
        let sizes = [sample.rows, sample.k / sample.format.decoder.weights];
        let decoded = run(&program, index, sizes, 0, &sample.bytes);
        assert_equal_bits(&decoded, &sample.weights, &sample.what);
        let x = dice.vector(sample.k);
        let input = [sample.bytes, x.iter().flat_map(|x| x.to_le_bytes()).collect()].concat();
        let wanted = product(&sample.weights, &x, f32::mul_add);
        for &split in &dialect.splitk {
            let found = run(&program, index, sizes, split, &input);
            assert_equal_bits(&found, &wanted, &format!("{}, split {split}", sample.what));
        }
    }
}

/// All modules in one program, each in a namespace.
fn compile(texts: &[String]) -> PathBuf {
    let mut source = include_str!("host.hpp").to_owned();
    let mut calls = String::new();
    for (index, text) in texts.iter().enumerate() {
        let text = text.replace("extern \"C\" ", "");
        writeln!(source, "namespace module{index} {{\n{text}\nRUN\n}}").unwrap();
        writeln!(calls, "    case {index}: module{index}::run(rows, blocks, split); break;").unwrap();
    }
    writeln!(source, "int main(int, char** given) {{").unwrap();
    writeln!(source, "    const unsigned rows = atoi(given[2]), blocks = atoi(given[3]), split = atoi(given[4]);").unwrap();
    writeln!(source, "    switch (atoi(given[1])) {{\n{calls}    }}\n}}").unwrap();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cuda");
    fs::create_dir_all(&place).unwrap();
    let (text, program) = (place.join("modules.cpp"), place.join("modules"));
    fs::write(&text, source).unwrap();
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++17", "-O1", "-ffp-contract=off", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    let output = compiler.arg(&text).arg("-o").arg(&program).output().expect("g++");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Decodes with a split of 0, else multiplies.
fn run(program: &Path, module: usize, [rows, blocks]: [usize; 2], split: usize, input: &[u8]) -> Vec<f32> {
    let mut command = Command::new(program);
    command.args([module, rows, blocks, split].map(|argument| argument.to_string()));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "module {module}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}
