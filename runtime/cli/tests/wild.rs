//! Commands on files as other programs write them.

mod support;

use std::fs;
use std::path::Path;

use support::Writer;
use support::sandbox::Sandbox;

fn noise(count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * at) as f32 * 0.37).sin() * 0.1).collect()
}

fn write(path: &str, file: Writer) {
    fs::write(Path::new(path), file.build()).unwrap();
}

#[test]
fn an_importance_matrix_of_another_model_is_refused() {
    let sandbox = Sandbox::new();
    let [input, output, imatrix] = ["in.gguf", "out.gguf", "imatrix.gguf"].map(|name| sandbox.path(name));
    let matrix = |file: Writer, name: &str| file.floats(name, &[256, 8], &noise(2048));
    write(
        &input,
        matrix(matrix(Writer::default(), "blk.0.attn_v.weight"), "blk.0.ffn_down.weight").floats("norm", &[4], &[1.0; 4]),
    );
    let sums = |name: &str| {
        let file = Writer::default().floats(&format!("{name}.in_sum2"), &[256, 1], &[2.0; 256]);
        write(&imatrix, file.floats(&format!("{name}.counts"), &[1, 1], &[2.0]));
    };
    let quantize = ["quantize", &input, "--to", "Q4_K", "--imatrix", &imatrix, "-o", &output];
    sums("model.layers.0.self_attn.v_proj.weight");
    let refused = sandbox.refused(&quantize);
    assert!(
        refused.contains(
            "no entry for any of the 2 matrices that are quantised: the first is \"blk.0.attn_v.weight\", its own \
             \"model.layers.0.self_attn.v_proj.weight\"; make one from this model, or leave out --imatrix"
        ),
        "{refused}"
    );
    assert!(!Path::new(&output).exists());

    sums("blk.0.ffn_down.weight");
    let run = sandbox.run(&quantize);
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{told}");
    assert!(told.starts_with("warning: ") && told.lines().count() == 1, "{told}");
    assert!(told.contains("has no entry for 1 of 2 matrices (first: \"blk.0.attn_v.weight\")"), "{told}");
}
