/// SwiGLU of limited numbers: `x / (1 + e^-1.702x) * (y + 1)`, the gate x at most 7, y from -7 to 7.
fn swiglu_clamped(gate: f32, up: f32) -> f32 {
    const SLOPE: f32 = -1.702;
    const LIMIT: f32 = 7.0;
    let x = if gate > LIMIT { LIMIT } else { gate };
    let y = if up > LIMIT { LIMIT } else { up };
    let y = if y < -LIMIT { -LIMIT } else { y };
    x / (1.0 + exp(SLOPE * x)) * (y + 1.0)
}
