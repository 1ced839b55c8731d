//! What a language calls what a printed kernel is made of.

use quantloom_spec::kernels::Numerics;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    Uint,
    Float,
    /// Four words.
    Uints,
    /// Four f32.
    Floats,
}

/// An item of the packed unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// 16 bytes.
    Chunk,
    /// Four, as an integer.
    Word,
    /// Four, as f32.
    Float,
    /// Two, as an integer.
    Half,
    /// One, as an integer.
    Byte,
}

/// How a language spells what differs between them. Operations are functions or macros of the same names in all.
pub trait Spelling: Sync {
    /// Declares a variable, whose value may change, or comes later.
    fn declare(&self, kind: Kind, name: &str, value: Option<&str>, changes: bool) -> String;

    /// Opens a loop of a counter from 0 to `count - 1`.
    fn open_loop(&self, turn: &str, count: usize) -> Vec<String>;

    /// One value or the other.
    fn choose(&self, condition: &str, yes: &str, no: &str) -> String;

    /// A value as another type.
    fn convert(&self, kind: Kind, value: &str) -> String;

    /// Four words.
    fn vector(&self, words: &[String; 4]) -> String;

    /// An item of what a column has in some memory for the unit.
    fn of_column(&self, memory: &str, column: usize, at: &str) -> String;

    /// An item of the unit.
    fn of_unit(&self, item: Item, at: &str) -> String;

    /// Keeps a decoded weight of the unit.
    fn keep(&self, at: &str, value: &str) -> String;

    /// The function that is `a * b + c`, rounded once.
    fn fma(&self, numerics: Numerics) -> &'static str;

    /// A zero that sums start from.
    fn zero(&self) -> &'static str;

    /// What is no number.
    fn not_a_number(&self) -> &'static str;
}

/// C, as CUDA, HIP, Metal and OpenCL read it alike.
pub struct C;

impl C {
    const fn kind(kind: Kind) -> &'static str {
        match kind {
            Kind::Int => "int",
            Kind::Uint => "uint",
            Kind::Float => "float",
            Kind::Uints => "uint4",
            Kind::Floats => "float4",
        }
    }
}

impl Spelling for C {
    fn declare(&self, kind: Kind, name: &str, value: Option<&str>, changes: bool) -> String {
        let (constant, kind) = (if changes { "" } else { "const " }, Self::kind(kind));
        value.map_or_else(|| format!("{kind} {name};"), |value| format!("{constant}{kind} {name} = {value};"))
    }

    fn open_loop(&self, turn: &str, count: usize) -> Vec<String> {
        vec!["UNROLL".to_owned(), format!("for (uint {turn} = 0u; {turn} < {count}u; ++{turn}) {{")]
    }

    fn choose(&self, condition: &str, yes: &str, no: &str) -> String {
        format!("({condition} ? {yes} : {no})")
    }

    fn convert(&self, kind: Kind, value: &str) -> String {
        format!("({})({value})", Self::kind(kind))
    }

    fn vector(&self, words: &[String; 4]) -> String {
        format!("VECTOR({})", words.join(", "))
    }

    fn of_column(&self, memory: &str, column: usize, at: &str) -> String {
        format!("{memory}{column}[{at}]")
    }

    fn of_unit(&self, item: Item, at: &str) -> String {
        match item {
            Item::Chunk => format!("chunks[{at}]"),
            Item::Word => format!("((GLOBAL const uint*)bytes)[{at}]"),
            Item::Float => format!("((GLOBAL const float*)bytes)[{at}]"),
            Item::Half => format!("(uint)((GLOBAL const u16t*)bytes)[{at}]"),
            Item::Byte => format!("(uint)bytes[{at}]"),
        }
    }

    /// Straight to the row that is written, which may end in a unit; -0 as what it is to a sum that starts from +0.
    fn keep(&self, at: &str, value: &str) -> String {
        format!("if ({at} < left) decoded[{at}] = ADD({value}, 0.0f);")
    }

    fn fma(&self, _numerics: Numerics) -> &'static str {
        "FMA"
    }

    fn zero(&self) -> &'static str {
        "0.0f"
    }

    fn not_a_number(&self) -> &'static str {
        "NOT_A_NUMBER"
    }
}

/// WGSL. It has no pointers to pass around: what is the beginning of memory in C is an index here.
///
/// It promises little of f32: operations may be fused or put in another order if that is at least as accurate, zeros may lose their sign and
/// subnormals become zeros, and `fma` may round twice, which it does on Mesa's processor emulation. Devices round to nearest even. The rest is
/// forced by the functions of the skeleton: a result passes through an integer operation with a number of the launch before it is used, sums start
/// from a zero of the launch, and `fma` is made of integers where the host asks for that.
pub struct Wgsl;

impl Wgsl {
    const fn kind(kind: Kind) -> &'static str {
        match kind {
            Kind::Int => "i32",
            Kind::Uint => "u32",
            Kind::Float => "f32",
            Kind::Uints => "vec4<u32>",
            Kind::Floats => "vec4<f32>",
        }
    }
}

impl Spelling for Wgsl {
    fn declare(&self, kind: Kind, name: &str, value: Option<&str>, changes: bool) -> String {
        match value {
            Some(value) => format!("{} {name} = {value};", if changes { "var" } else { "let" }),
            None => format!("var {name}: {};", Self::kind(kind)),
        }
    }

    fn open_loop(&self, turn: &str, count: usize) -> Vec<String> {
        vec![format!("for (var {turn} = 0u; {turn} < {count}u; {turn}++) {{")]
    }

    fn choose(&self, condition: &str, yes: &str, no: &str) -> String {
        format!("select({no}, {yes}, {condition})")
    }

    fn convert(&self, kind: Kind, value: &str) -> String {
        // An integer that f32 does not hold is rounded by a sum, of which devices keep to nearest even.
        let function = if kind == Kind::Float { "INT_TO_FLOAT" } else { Self::kind(kind) };
        format!("{function}({value})")
    }

    fn vector(&self, words: &[String; 4]) -> String {
        format!("vec4<u32>({})", words.join(", "))
    }

    fn of_column(&self, memory: &str, column: usize, at: &str) -> String {
        format!("{memory}[{memory}{column} + {at}]")
    }

    fn of_unit(&self, item: Item, at: &str) -> String {
        match item {
            Item::Chunk => format!("weights[chunks + {at}]"),
            Item::Word => format!("word_at(chunks, {at})"),
            Item::Float => format!("bitcast<f32>(word_at(chunks, {at}))"),
            Item::Half => format!("half_at(chunks, {at})"),
            Item::Byte => format!("byte_at(chunks, {at})"),
        }
    }

    fn keep(&self, at: &str, value: &str) -> String {
        format!("decoded[{at}] = {value};")
    }

    fn fma(&self, numerics: Numerics) -> &'static str {
        match numerics {
            Numerics::Int8 => "FMA",
            // Where it rounds twice, the kernel goes another way.
            Numerics::Exact => "fma",
        }
    }

    fn zero(&self) -> &'static str {
        "ZERO()"
    }

    fn not_a_number(&self) -> &'static str {
        "NOT_A_NUMBER()"
    }
}
