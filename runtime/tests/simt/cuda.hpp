// The words of CUDA that modules use, on that machine.
#pragma once
#include <cmath>
#include <initializer_list>

#include "machine.hpp"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ SIMT_SHARED
#define threadIdx (simt::machine.current->index)
#define blockIdx (simt::machine.group)
#define __syncthreads()             \
    do {                            \
        static const char site = 0; \
        simt::barrier(&site);       \
    } while (0)

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline void __syncwarp() {
    simt::in_warp([](void* const*) {}, nullptr);
}

inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline int8_t simt_byte(unsigned word, unsigned index) { return int8_t(word >> 8 * index); }
inline int __dp4a(int a, int b, int sum) {
    for (unsigned byte = 0; byte < 4; byte++) sum += simt_byte(unsigned(a), byte) * simt_byte(unsigned(b), byte);
    return sum;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned codes) {
    const uint64_t bytes = uint64_t(b) << 32 | a;
    unsigned chosen = 0;
    for (unsigned byte = 0; byte < 4; byte++) chosen |= unsigned(bytes >> 8 * (codes >> 4 * byte & 7) & 0xff) << 8 * byte;
    return chosen;
}
inline uint32_t __cvta_generic_to_shared(const void* memory) { return simt::shared_address(memory); }

#pragma GCC push_options
#pragma GCC optimize("O2")

namespace simt {

// An operand of an instruction: a variable, or a value.
struct Operand {
    void* variable = nullptr;
    uint64_t value = 0;
};
template <class T>
Operand variable(T& variable) {
    static_assert(sizeof(T) == 4, "a register of 32 bits");
    return {&variable, 0};
}
template <class T>
Operand value(T value) {
    return {nullptr, uint64_t(value)};
}
template <class T>
Operand value(T* value) {
    return {nullptr, uint64_t(uintptr_t(value))};
}

// What a lane has for an instruction of its warp.
struct Fragments {
    unsigned* d[4];
    unsigned a[4], b[2];
    int c[4];
};

// The element of a matrix that a byte of a lane is, after the tables of the PTX manual: of A (row, k), of B (k, column), of C (row, column).
struct Element {
    unsigned first, second;
};
inline Element of_a(unsigned lane, unsigned byte) {
    const unsigned word = byte / 4;
    return {lane / 4 + (word % 2 == 1 ? 8u : 0u), lane % 4 * 4 + byte % 4 + (word >= 2 ? 16u : 0u)};
}
inline Element of_b(unsigned lane, unsigned byte) { return {lane % 4 * 4 + byte % 4 + (byte >= 4 ? 16u : 0u), lane / 4}; }
inline Element of_c(unsigned lane, unsigned index) { return {lane / 4 + (index >= 2 ? 8u : 0u), lane % 4 * 2 + index % 2}; }

// The product of 16 rows by so many weights and 8 columns.
template <unsigned WEIGHTS, bool SIGNED>
void multiply(void* const* lanes) {
    int a[16][WEIGHTS], b[WEIGHTS][8];
    for (unsigned lane = 0; lane < WARP; lane++) {
        const Fragments& own = *static_cast<Fragments*>(lanes[lane]);
        for (unsigned byte = 0; byte < WEIGHTS / 2; byte++) {
            const Element at = of_a(lane, byte);
            const int8_t weight = simt_byte(own.a[byte / 4], byte % 4);
            a[at.first][at.second] = SIGNED ? int(weight) : int(uint8_t(weight));
        }
        for (unsigned byte = 0; byte < WEIGHTS / 4; byte++) {
            const Element at = of_b(lane, byte);
            b[at.first][at.second] = simt_byte(own.b[byte / 4], byte % 4);
        }
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
        Fragments& own = *static_cast<Fragments*>(lanes[lane]);
        for (unsigned index = 0; index < 4; index++) {
            const Element at = of_c(lane, index);
            int sum = own.c[index];
            for (unsigned k = 0; k < WEIGHTS; k++) sum += a[at.first][k] * b[k][at.second];
            *own.d[index] = unsigned(sum);
        }
    }
}

// What a lane has for a load of four matrices of 8 rows of 16 bytes.
struct Rows {
    unsigned* words[4];
    uint32_t address;
};
inline void load_matrices(void* const* lanes) {
    for (unsigned lane = 0; lane < WARP; lane++) {
        for (unsigned matrix = 0; matrix < 4; matrix++) {
            const uint32_t row = static_cast<Rows*>(lanes[8 * matrix + lane / 4])->address;
            if (row % 16) fault("a row of a matrix that is not aligned");
            memcpy(static_cast<Rows*>(lanes[lane])->words[matrix], shared_memory(row, 16) + lane % 4 * 4, 4);
        }
    }
}

// An instruction that the text spells in PTX.
class Instruction {
    std::string name;
    std::vector<unsigned> operands;
    unsigned literal = 0;

    bool is(const char* other) const { return name == other; }

    static unsigned word(const Operand& operand) {
        if (!operand.variable) return unsigned(operand.value);
        unsigned word;
        memcpy(&word, operand.variable, sizeof word);
        return word;
    }

public:
    explicit Instruction(const char* text) {
        const char* end = strpbrk(text, " ;");
        name.assign(text, end);
        for (const char* at = end; (at = strchr(at, '%')) != nullptr; at++) operands.push_back(unsigned(atoi(at + 1)));
        const char* last = strrchr(text, ',');
        if (last) literal = unsigned(atoi(last + 1));
    }

    void run(std::initializer_list<Operand> given) const {
        std::vector<Operand> of;
        for (unsigned number : operands) of.push_back(given.begin()[number]);
        const bool wide = is("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32");
        const bool is_signed = is("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32");
        const bool is_unsigned = is("mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32");
        if (wide || is_signed || is_unsigned) {
            const unsigned words = wide ? 4 : 2;
            Fragments own = {};
            for (unsigned index = 0; index < 4; index++) {
                own.d[index] = static_cast<unsigned*>(of[index].variable);
                own.c[index] = int(word(of[4 + words + words / 2 + index]));
            }
            for (unsigned index = 0; index < words; index++) own.a[index] = word(of[4 + index]);
            for (unsigned index = 0; index < words / 2; index++) own.b[index] = word(of[4 + words + index]);
            in_warp(wide ? multiply<32, true> : is_signed ? multiply<16, true> : multiply<16, false>, &own);
        } else if (is("ldmatrix.sync.aligned.m8n8.x4.shared.b16")) {
            Rows own = {{}, word(of[4])};
            for (unsigned index = 0; index < 4; index++) own.words[index] = static_cast<unsigned*>(of[index].variable);
            in_warp(load_matrices, &own);
        } else if (is("cp.async.cg.shared.global") || is("cp.async.ca.shared.global")) {
            const bool right = is("cp.async.cg.shared.global") ? literal == 16 : literal == 4 || literal == 8 || literal == 16;
            if (!right) return fault("a copy of %u bytes", literal);
            begin_copy(shared_memory(word(of[0]), literal), reinterpret_cast<const char*>(uintptr_t(of[1].value)), literal);
        } else if (is("cp.async.commit_group")) {
            end_copies();
        } else if (is("cp.async.wait_group")) {
            await_copies(word(of[0]));
        } else if (is("cvt.f32.f16")) {
            const uint16_t bits = uint16_t(word(of[1]));
            _Float16 half;
            memcpy(&half, &bits, sizeof half);
            const float whole = half;
            memcpy(of[0].variable, &whole, sizeof whole);
        } else {
            fault("an instruction %s that nobody knows", name.c_str());
        }
    }
};

}  // namespace simt

#pragma GCC pop_options
