//! What the CUDA text computes: compiled by the host's compiler, with threads one after the other, under sanitizers.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quantloom_codegen::emit::cuda;
use quantloom_codegen::lower::class::SEGMENT;
use quantloom_codegen::plan::PlannedFormat;
use quantloom_spec::eval;
use quantloom_spec::gpu::Dialect;

use crate::support::{dialect, folder, formats};

/// Threads of a group: few, because threads run one after the other.
const WORKGROUP: usize = 16;
/// Rows of the products: one group and a part of another.
const ROWS: usize = 21;
/// Weights of a row: three segments, the last of them short.
const K: usize = 1280;

#[test]
fn computes_what_the_cards_say() {
    if Command::new("g++").arg("--version").output().is_err() {
        assert!(env::var_os("QUANTLOOM_REQUIRE_GPU_TESTS").is_none(), "g++ is needed");
        return eprintln!("skipped: g++ is needed");
    }
    let formats = formats();
    let dialect = Dialect { workgroup: WORKGROUP, ..dialect("cuda") };
    let texts = formats.iter().map(|format| cuda::module(format, &dialect).unwrap()).collect::<Vec<_>>();
    let program = compile(&texts);
    let mut dice = Dice(7);
    for (index, format) in formats.iter().enumerate() {
        let blocks = K / format.decoder.weights;
        let (stored, weights) = dice.blocks(format, ROWS * blocks);
        let x = (0..K).map(|_| dice.unit()).collect::<Vec<_>>();
        let run = |split: usize, input: &[u8]| run(&program, [index, ROWS, blocks, split], input);
        assert_eq!(run(0, &stored), bits(&weights), "{}: decode", format.card.file);
        let input = [stored.clone(), x.iter().flat_map(|x| x.to_le_bytes()).collect()].concat();
        for &split in &dialect.splitk {
            assert_eq!(run(split, &input), bits(&exact(&weights, &x)), "{}: split {split}", format.card.file);
        }
    }
}

/// All modules in one program, each in a namespace.
fn compile(texts: &[String]) -> PathBuf {
    let mut source = String::new();
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
    compiler.arg("-include").arg(folder().join("host.hpp")).arg(&text).arg("-o").arg(&program);
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

fn run(program: &Path, arguments: [usize; 4], input: &[u8]) -> Vec<u32> {
    let mut command = Command::new(program);
    command.args(arguments.map(|argument| argument.to_string())).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// The class `exact`, as plainly as it can be said.
fn exact(weights: &[f32], x: &[f32]) -> Vec<f32> {
    let segment = |(w, x): (&[f32], &[f32])| w.iter().zip(x).fold(0.0, |sum, (w, x)| f32::mul_add(*w, *x, sum));
    let row = |row: &[f32]| row.chunks(SEGMENT).zip(x.chunks(SEGMENT)).map(segment).fold(0.0, |sum, part| sum + part);
    weights.chunks(x.len()).map(row).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Numbers that look random and are the same every time: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A value of either sign below 1.
    fn unit(&mut self) -> f32 {
        self.roll() as i32 as f32 / 2_f32.powi(31)
    }

    /// Blocks of random bytes whose weights are far from overflow, and the weights.
    fn blocks(&mut self, format: &PlannedFormat, count: usize) -> (Vec<u8>, Vec<f32>) {
        let (mut blocks, mut weights) = (Vec::new(), Vec::new());
        while blocks.len() < count * format.decoder.bytes {
            let block = (0..format.decoder.bytes).map(|_| self.roll() as u8).collect::<Vec<_>>();
            let decoded = eval::decode_blocks(&format.card.format, &block);
            if decoded.iter().all(|weight| weight.abs() < 1e9) {
                blocks.extend(block);
                weights.extend(decoded);
            }
        }
        (blocks, weights)
    }
}
