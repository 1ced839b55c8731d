//! Texts with a fault, each of which shows.

use quantloom::registry::{self, Format, Numerics};
use quantloom_codegen::emit::device;

use super::inputs::formats;
use super::text::Language;
use super::{Case, ROWS};

/// A change of a text that takes away what makes it right.
struct Fault {
    what: &'static str,
    /// What is changed, and to what.
    changes: &'static [(&'static str, &'static str)],
    /// The kernel that has it.
    kernel: (&'static str, Numerics, usize),
}

const GEMM: (&str, Numerics, usize) = ("gemm", Numerics::Int8, 32);

const FAULTS: [Fault; 12] = [
    Fault {
        what: "a barrier removed",
        changes: &[("        BARRIER();\n        // Into the stage", "        // Into the stage")],
        kernel: GEMM,
    },
    Fault {
        what: "a barrier removed where a thread has a row",
        changes: &[("        BARRIER();\n        for (uint other", "        for (uint other")],
        kernel: ("gemv", Numerics::Exact, 1),
    },
    Fault { what: "a wait removed", changes: &[("        wait_for_stage<STAGES - 2>();\n", "")], kernel: GEMM },
    Fault {
        what: "a wait for too little",
        changes: &[("wait_for_stage<STAGES - 2>", "wait_for_stage<STAGES - 1>")],
        kernel: GEMM,
    },
    Fault {
        what: "a stage overwritten that is in use",
        changes: &[("load_stage(place == 0u ? STAGES - 1u : place - 1u,", "load_stage(place,")],
        kernel: GEMM,
    },
    Fault {
        what: "two rows of a fragment swapped",
        changes: &[("\"=r\"(a), \"=r\"(b), \"=r\"(c)", "\"=r\"(b), \"=r\"(a), \"=r\"(c)")],
        kernel: GEMM,
    },
    Fault { what: "the halves of a column's fragment swapped", changes: &[("x.x, x.y)", "x.y, x.x)")], kernel: GEMM },
    Fault { what: "sums of mins without their upper bytes", changes: &[("high_bytes(*", "low_bytes(*")], kernel: GEMM },
    Fault {
        what: "segments added before the reduction",
        changes: &[("(unit + 1u) % SEGMENT_UNITS == 0u", "(unit + 1u) % (2u * SEGMENT_UNITS) == 0u")],
        kernel: GEMM,
    },
    Fault {
        what: "segments added the last one first",
        changes: &[("partials[(u64t)segment * count", "partials[(u64t)(segments - 1u - segment) * count")],
        kernel: GEMM,
    },
    Fault {
        what: "panels of a group taken by the next one, too",
        changes: &[("panel = 4u * GROUP_X + warp", "panel = GROUP_X + warp")],
        kernel: GEMM,
    },
    Fault {
        what: "two roundings for one",
        changes: &[("#define FMA(a, b, c) __fmaf_rn(a, b, c)", "#define FMA(a, b, c) ADD(MUL(a, b), c)")],
        kernel: GEMM,
    },
];

/// How a fault shows: nothing, if it does not.
fn shown(case: &Case, fault: &Fault) -> Option<String> {
    let mut text = case.module.text.clone();
    for (from, to) in fault.changes {
        assert!(text.contains(from), "{}: the text has nothing to change", fault.what);
        text = text.replace(from, to);
    }
    let (kind, numerics, columns) = fault.kernel;
    let product = format!("{kind}_{numerics}_{columns}");
    let wanted = |name: &str| [product.as_str(), "quantise", "pad", "reduce"].contains(&name);
    let found = case.matrix(&text, wanted).and_then(|mut matrix| {
        let given = matrix.activations(numerics, &case.x)?;
        let batch = case.x.len() / case.k;
        [1, 2].map(|splits| matrix.product((kind, columns), &given, batch, splits)).into_iter().collect::<Result<Vec<_>, _>>()
    });
    let right =
        case.wanted.iter().find(|(of, _)| *of == numerics).map(|(_, values)| values.iter().map(|value| value.to_bits()));
    let differ = |found: &[f32]| {
        found.iter().map(|value| value.to_bits()).zip(right.clone().unwrap()).filter(|(one, other)| one != other).count()
    };
    match found {
        Err(why) => Some(why),
        Ok(found) => {
            found.iter().map(|found| differ(found)).find(|&count| count > 0).map(|count| format!("{count} values differ"))
        }
    }
}

/// In the class that has the most that can be wrong: integer mins, and fragments of 32 weights.
#[test]
#[ignore = "needs a C++ compiler; .ci/gpu runs it"]
fn every_fault_shows() {
    let text = |format: &'static Format| device::module(registry::model(format).unwrap(), "cuda").unwrap().text;
    let rich = |text: String| FAULTS.iter().flat_map(|fault| fault.changes).all(|(from, _)| text.contains(from));
    let format = formats().into_iter().find(|format| rich(text(format))).expect("a class with all that is changed");
    let case = Case::with_rows(Language::Cuda, format, 3, ROWS);
    let right = Fault { what: "none", changes: &[], kernel: GEMM };
    assert_eq!(shown(&case, &right), None, "without a fault");
    for fault in &FAULTS {
        let shown = shown(&case, fault).unwrap_or_else(|| panic!("{} shows in nothing", fault.what));
        println!("{}: {shown}", fault.what);
    }
}

/// A pointer that has lost its address space does not compile.
#[test]
#[ignore = "needs clang-19; .ci/gpu runs it"]
fn an_address_space_dropped_in_metal_shows() {
    let format = formats()[0];
    let case = Case::new(Language::Metal, format, 1);
    let wanted = |name: &str| ["gemv_exact_1", "pad", "reduce"].contains(&name);
    assert!(case.matrix(&case.module.text, wanted).is_ok(), "without a fault");
    for from in ["GLOBAL const u8t* bytes", "ARG(GLOBAL const float*, partials", "ARG(GLOBAL float*, out"] {
        let to = from.replace("GLOBAL ", "");
        let wrong = case.module.text.replace(from, &to);
        assert_ne!(wrong, case.module.text, "{from}: the text has nothing to change");
        let shown = case.matrix(&wrong, wanted).err().unwrap_or_else(|| panic!("{to} shows in nothing"));
        assert!(shown.contains("error: "), "{to}: {shown}");
        println!("{to}: {}", shown.lines().find(|line| line.contains("error: ")).unwrap_or_default());
    }
}
