/// GELU by a tangent: `x / (1 + e^-2z)` with `z = sqrt(2 / pi) (x + 0.044715 x^3)`.
fn gelu_tanh(x: f32) -> f32 {
    /// `-2 sqrt(2 / pi)`.
    const LINEAR: f32 = -1.595_769_2;
    /// `-2 sqrt(2 / pi) * 0.044715`.
    const CUBIC: f32 = -7.135_481_4e-2;
    x / (1.0 + exp(x * (x * x).mul_add(CUBIC, LINEAR)))
}
