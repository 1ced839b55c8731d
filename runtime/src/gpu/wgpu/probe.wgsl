@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(1)
fn probe() {
    output[0] = fma(input[0], input[0], input[1]);
    // What is subnormal as an operand, as a sum, and as a product.
    output[1] = input[2] * input[3];
    output[2] = input[2] + input[2];
    output[3] = input[4] * input[4];
}
