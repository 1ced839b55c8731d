//! scratch
use quantloom_codegen::{Config, emit};
#[test]
fn dump() {
    let spec = quantloom_spec::Spec::read(quantloom_spec::cards_dir()).unwrap();
    let plan = Config::new().plan().unwrap();
    let d = |name: &str| spec.dialects.iter().find(|(_, d)| d.name == name).unwrap().1.clone();
    for f in &plan.formats {
        let m = emit::wgsl::module(f, &d("wgsl")).unwrap();
        std::fs::write(format!("/work/scratch-gpu/out/{}.wgsl", f.card.file), &m.text).unwrap();
        let m = emit::cuda::module(f, &d("cuda")).unwrap();
        std::fs::write(format!("/work/scratch-gpu/out/{}.cu", f.card.file), &m).unwrap();
    }
}
