//! CUDA text as C++ that a processor compiles.

use std::fmt::Write as _;

use super::machine::Kernel;

/// The words of the machine, which texts are compiled with.
const FILES: [(&str, &str); 4] = [
    ("machine.hpp", include_str!("machine.hpp")),
    ("cuda.hpp", include_str!("cuda.hpp")),
    ("metal_stdlib", include_str!("metal_stdlib")),
    ("serve.hpp", include_str!("serve.hpp")),
];

/// A language that the machine runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Cuda,
    Metal,
}

impl Language {
    /// What modules call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }

    /// What compiles it: clang has address spaces.
    pub const fn compiler(self) -> &'static str {
        match self {
            Self::Cuda => "g++",
            Self::Metal => "clang++-19",
        }
    }
}

/// The files of a program that runs these kernels of a text, by name; the first is compiled.
pub fn program(language: Language, text: &str, kernels: &[Kernel]) -> Vec<(&'static str, String)> {
    let (words, text) = match language {
        Language::Cuda => ("#include \"cuda.hpp\"\n", instructions(text)),
        Language::Metal => ("", text.to_owned()),
    };
    let mut main = format!("#include \"serve.hpp\"\n{words}\n{text}\n");
    main.push_str("int main() {\n    return simt::serve([](const std::string& name, const std::vector<simt::Argument>& a) {\n");
    for kernel in kernels {
        let argument = |(index, is_memory): (usize, &bool)| match language {
            Language::Metal if *is_memory => format!("simt::Memory{{a.at({index}).memory}}"),
            Language::Metal => format!("*(constant uint*)&a.at({index}).number"),
            Language::Cuda => format!("a.at({index})"),
        };
        let arguments = kernel.memory.iter().enumerate().map(argument);
        let places = match language {
            Language::Metal => &["simt::place(simt::machine.group)", "simt::place(simt::machine.current->index)"][..],
            Language::Cuda => &[],
        };
        let arguments = arguments.chain(places.iter().map(|place| (*place).to_owned())).collect::<Vec<_>>().join(", ");
        writeln!(main, "        if (name == \"{0}\") return {0}({arguments});", kernel.name).expect("a String takes all");
    }
    main.push_str("        simt::fault(\"no kernel %s\", name.c_str());\n    });\n}\n");
    let files = FILES.into_iter().map(|(name, text)| (name, text.to_owned()));
    [("main.cpp", main)].into_iter().chain(files).collect()
}

/// Spells instructions of PTX, and the one declaration of memory whose size a launch says, as calls of the machine.
fn instructions(text: &str) -> String {
    let text = text.replace("extern __shared__ uint4 stages[];", "uint4* const stages = simt::dynamic<uint4>();");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("asm") {
        let (before, instruction) = rest.split_at(at);
        let open = instruction.find('(').expect("an instruction has operands");
        let close = closing(instruction, open);
        out.push_str(before);
        out.push_str(&call(&instruction[open + 1..close]));
        rest = &instruction[close + 1..];
    }
    out + rest
}

/// Where the parenthesis that opens there is closed: those in quotes do not count.
fn closing(text: &str, open: usize) -> usize {
    let (mut depth, mut quoted) = (0, false);
    let closes = |(_, letter): &(usize, char)| {
        match letter {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        depth == 0
    };
    open + text[open..].char_indices().find(closes).expect("parentheses are closed").0
}

/// `"text" : "=r"(out) : "r"(value) : "memory"` as a call.
fn call(inner: &str) -> String {
    let (template, operands) = inner[1..].split_once('"').expect("a template in quotes");
    let mut given = Vec::new();
    let mut rest = operands;
    while let Some((_, constraint)) = rest.split_once('"') {
        let (constraint, after) = constraint.split_once('"').expect("quotes are closed");
        rest = after;
        if after.starts_with('(') {
            let close = closing(after, 0);
            let written = constraint.starts_with(['=', '+']);
            given.push(format!("simt::{}({})", if written { "variable" } else { "value" }, &after[1..close]));
            rest = &after[close + 1..];
        }
    }
    let template = template.replace('\n', " ");
    format!("static const simt::Instruction instruction(\"{template}\"); instruction.run({{{}}})", given.join(", "))
}
