/// SiLU: `x / (1 + e^-x)`.
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}
