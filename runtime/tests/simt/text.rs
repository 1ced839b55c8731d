//! CUDA text as C++ that a processor compiles.

use std::fmt::Write as _;

use super::machine::Kernel;

/// The words of the machine, which texts are compiled with.
const MACHINE: &str = include_str!("machine.hpp");
const CUDA: &str = include_str!("cuda.hpp");
const SERVE: &str = include_str!("serve.hpp");

/// The files of a program that runs these kernels of a CUDA text, by name; the first is compiled.
pub fn program(text: &str, kernels: &[Kernel]) -> [(&'static str, String); 4] {
    let mut main = format!("#include \"cuda.hpp\"\n#include \"serve.hpp\"\n\n{}\n", instructions(text));
    main.push_str("int main() {\n    return simt::serve([](const std::string& name, const std::vector<simt::Argument>& a) {\n");
    for kernel in kernels {
        let arguments = (0..kernel.arguments).map(|index| format!("a.at({index})")).collect::<Vec<_>>().join(", ");
        writeln!(main, "        if (name == \"{0}\") return {0}({arguments});", kernel.name).expect("a String takes all");
    }
    main.push_str("        simt::fault(\"no kernel %s\", name.c_str());\n    });\n}\n");
    [("main.cpp", main), ("machine.hpp", MACHINE.to_owned()), ("cuda.hpp", CUDA.to_owned()), ("serve.hpp", SERVE.to_owned())]
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
