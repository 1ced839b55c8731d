// CUDA kernels as plain functions: threads run one after the other, which is enough for kernels that neither share memory nor wait.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define __global__ static
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

using std::min;

struct Index {
    unsigned x, y;
};
static Index gridDim, blockIdx, threadIdx;

static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }

static inline float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// In the text it is an instruction of the device.
static inline float f16(unsigned bits) {
    const float magnitude = bits & 0x7c00u ? std::ldexp(float((bits & 0x3ffu) + 0x400u), int(bits >> 10 & 31u) - 25)
                                           : std::ldexp(float(bits & 0x3ffu), -24);
    return bits & 0x8000u ? -magnitude : magnitude;
}

template <class Kernel>
void launch(Index grid, unsigned threads, Kernel kernel) {
    gridDim = grid;
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
            for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) kernel();
}

// Exactly `count` values from standard input, so that a sanitizer sees every step outside.
template <class T>
std::vector<T> input(size_t count) {
    std::vector<T> values(count);
    if (std::fread(values.data(), sizeof(T), count, stdin) != count) std::abort();
    return values;
}

static inline void give(const std::vector<float>& values) { std::fwrite(values.data(), sizeof(float), values.size(), stdout); }

static inline unsigned groups(unsigned items, unsigned threads) { return (items + threads - 1) / threads; }

// In the namespace of a module: runs what the command line asks for.
#define RUN                                                                                               \
    static void run(unsigned rows, unsigned blocks, unsigned split) {                                     \
        const auto weights = input<u8>(size_t(BLOCK_BYTES) * rows * blocks);                              \
        if (split == 0) {                                                                                 \
            std::vector<float> output(size_t(BLOCK_WEIGHTS) * rows * blocks);                             \
            launch({2, 1}, WORKGROUP, [&] { decode(weights.data(), output.data(), rows * blocks); });     \
            return give(output);                                                                          \
        }                                                                                                 \
        const auto x = input<float>(size_t(BLOCK_WEIGHTS) * blocks);                                      \
        std::vector<float> output(rows), partials(size_t(segments_of(blocks)) * rows);                    \
        const unsigned x_groups = groups(rows, WORKGROUP);                                                \
        launch({x_groups, split}, WORKGROUP,                                                              \
               [&] { gemv_exact(weights.data(), x.data(), partials.data(), rows, blocks); });             \
        launch({x_groups, 1}, WORKGROUP, [&] { reduce(partials.data(), output.data(), rows, blocks); });  \
        give(output);                                                                                     \
    }
