//! A program that runs kernels, and what is asked of it.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use quantloom_codegen::emit::device::Entry;
use tempfile::TempDir;

use super::text::{self, Language};

/// Every operation rounds by itself, and memory may be read as what it was not written as. What texts compute takes less time than to make it fast.
const FLAGS: [&str; 6] = ["-std=c++17", "-O0", "-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE", "-w"];

/// A kernel of a program.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub name: String,
    /// Threads of a group.
    pub block: usize,
    /// Bytes that a launch says a group shares.
    pub shared: usize,
    /// Which of its arguments are memory; others are numbers.
    pub memory: Vec<bool>,
}

impl From<&Entry> for Kernel {
    fn from(entry: &Entry) -> Self {
        let memory = entry.arguments.iter().map(|argument| argument.items.is_some()).collect();
        Self { name: entry.name.clone(), block: entry.block, shared: entry.dynamic_shared, memory }
    }
}

/// A running program.
pub struct Machine {
    child: Child,
    memories: u32,
    /// What kernels run by: every run has another order of threads.
    dice: u32,
    _folder: TempDir,
}

/// Bytes that it holds.
pub struct Memory {
    number: u32,
    bytes: usize,
}

/// What a kernel is given.
#[derive(Clone, Copy)]
pub enum Argument<'a> {
    Memory(&'a Memory),
    Number(usize),
}

impl Machine {
    /// Compiles a program that runs kernels of a text, or says what the compiler said.
    pub fn compile(language: Language, text: &str, kernels: &[Kernel]) -> Result<Self, String> {
        let files = text::program(language, text, kernels);
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (source, program) = (folder.path().join(files[0].0), folder.path().join("program"));
        let mut compiler = Command::new(language.compiler());
        let output = compiler
            .args(FLAGS)
            .arg(&source)
            .arg("-o")
            .arg(&program)
            .arg("-I")
            .arg(folder.path())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", language.compiler()));
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Ok(Self { child, memories: 0, dice: 1, _folder: folder })
    }

    fn say(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// What the program says; it says nothing more when it has touched what is no memory of its own.
    fn hear(&mut self, bytes: usize) -> Result<Vec<u8>, String> {
        let mut heard = vec![0; bytes];
        let ended = |_| "the program has ended".to_owned();
        self.child.stdout.as_mut().unwrap().read_exact(&mut heard).map(|()| heard).map_err(ended)
    }

    /// Memory with these items.
    pub fn put<T: bytemuck::Pod>(&mut self, items: &[T]) -> Memory {
        let bytes = bytemuck::cast_slice::<T, u8>(items);
        let length = u32::try_from(bytes.len()).unwrap();
        self.say(&[&b"p"[..], &length.to_le_bytes(), bytes].concat());
        self.memories += 1;
        Memory { number: self.memories - 1, bytes: bytes.len() }
    }

    /// Memory for so many items, all bits set.
    pub fn room<T: bytemuck::Pod>(&mut self, items: usize) -> Memory {
        self.put(&vec![0xff_u8; items * size_of::<T>()])
    }

    pub fn get<T: bytemuck::Pod>(&mut self, memory: &Memory) -> Vec<T> {
        self.say(&[&b"g"[..], &memory.number.to_le_bytes()].concat());
        let bytes = self.hear(memory.bytes).unwrap();
        bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
    }

    /// Runs a kernel with so many groups along each axis, or says what was wrong.
    pub fn run(&mut self, kernel: &Kernel, groups: [usize; 3], arguments: &[Argument<'_>]) -> Result<(), String> {
        assert_eq!(arguments.len(), kernel.memory.len(), "arguments of {}", kernel.name);
        self.dice = self.dice.wrapping_mul(48_271) % 0x7fff_ffff;
        let number = |number: usize| u32::try_from(number).unwrap();
        let head = groups.into_iter().chain([kernel.block, kernel.shared]).map(number).chain([self.dice]);
        let arguments = arguments.iter().flat_map(|argument| match argument {
            Argument::Memory(memory) => [1, memory.number],
            Argument::Number(value) => [0, number(*value)],
        });
        let numbers = head.chain([number(kernel.memory.len())]).chain(arguments);
        let request = [&b"r"[..], &number(kernel.name.len()).to_le_bytes(), kernel.name.as_bytes()].concat();
        let request = request.into_iter().chain(numbers.flat_map(u32::to_le_bytes)).collect::<Vec<_>>();
        self.say(&request);
        let length = self.hear(4)?;
        let fault = self.hear(u32::from_le_bytes(length.try_into().unwrap()) as usize)?;
        if fault.is_empty() { Ok(()) } else { Err(String::from_utf8_lossy(&fault).into_owned()) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It ends by itself when nothing more can be asked; a test that fails does not wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
