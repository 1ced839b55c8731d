"""Writes the small files of tensors/: weights that lie in separate tensors, and rows with headers.

    python3 testdata/make_tensors.py

needs numpy and nothing else, and writes the same bytes every time. The codes and scales are random: what the files test is where
bits lie and what they mean. Every file holds, beside the stored weights under the names of real checkpoints,

    PREFIX.dequantized  f32 [N, K]   the weights by their formula, in f32, each operation rounded by itself
    activations         f32 [M, K]
    matmul              f32 [M, N]   activations times weights, in f64, rounded once

Layouts are those of the programs that write such checkpoints: AutoGPTQ (version 1: zero points are stored less one), AutoAWQ, MLX,
bitsandbytes, compressed-tensors, and ik_llama.cpp for the rows with headers.
"""

import json
import struct
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "tensors"
PREFIX = "model.layers.0.mlp.up_proj"
BATCH = 5
F32 = np.float32

# The name of each element type in a file; bf16 and fp8 are held as their bits.
TYPES = {"float32": "F32", "float16": "F16", "int32": "I32", "uint32": "U32", "uint8": "U8"}


def main():
    FOLDER.mkdir(exist_ok=True)
    save("gptq_4bit_g128", gptq_4bit, n=40, k=640)
    save("gptq_3bit_g128", gptq_3bit, n=96, k=256)
    save("awq_4bit_g128", awq_4bit, n=24, k=640)
    save("mlx_4bit_g64", mlx_4bit, n=35, k=576)
    save("mlx_8bit_g64", mlx_8bit, n=17, k=192)
    save("nf4", nf4, n=33, k=320)
    save("fp8_e4m3", fp8_e4m3, n=37, k=544)
    save("fp8_e4m3_tensor", fp8_e4m3_tensor, n=16, k=100)
    save_rows("iq4_ks", n=33, k=768)


def save(name, make, n, k):
    """A safetensors file: the tensors that `make` gives, and what they should come to."""
    rng = np.random.default_rng(len(name) + 1000 * n + k)
    tensors, weights = make(rng, n, k)
    tensors = {f"{PREFIX}.{key}": value for key, value in tensors.items()}
    tensors[f"{PREFIX}.dequantized"] = plain(weights)
    tensors.update({key: plain(value) for key, value in products(rng, weights).items()})
    header, data = {}, b""
    for key, (kind, array) in tensors.items():
        start = len(data)
        data += array.tobytes()
        header[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (FOLDER / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def products(rng, weights):
    activations = rng.standard_normal((BATCH, weights.shape[1])).astype(F32)
    exact = activations.astype(np.float64) @ weights.astype(np.float64).T
    return {"activations": activations, "matmul": exact.astype(F32)}


def plain(array):
    """An array with the name of its own type."""
    return TYPES[array.dtype.name], np.ascontiguousarray(array)


def bitstream(codes, bits, axis):
    """Packs codes along an axis into 32-bit words, the lowest bits first; a code may run on into the next word."""
    codes = np.moveaxis(codes, axis, -1)
    stream = (codes[..., None] >> np.arange(bits)) & 1
    stream = stream.reshape(*codes.shape[:-1], -1, 32)
    words = (stream.astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(-1, dtype=np.uint32)
    return np.moveaxis(words, -1, axis)


def random_scales(rng, shape, kind):
    return (rng.uniform(0.5, 1.5, shape) * 0.02).astype(kind)


def gptq(rng, n, k, bits, group=128):
    """qweight [K * bits / 32, N] along K, qzeros [K / group, N * bits / 32] along N, scales [K / group, N]."""
    codes = rng.integers(0, 1 << bits, (k, n), dtype=np.uint32)
    zeros = rng.integers(0, 1 << bits, (k // group, n), dtype=np.uint32)
    scales = random_scales(rng, zeros.shape, np.float16)
    of = np.arange(k) // group
    weights = scales.astype(F32)[of] * (codes.astype(F32) - (zeros + 1).astype(F32)[of])
    tensors = {
        "qweight": plain(bitstream(codes, bits, 0).view(np.int32)),
        "qzeros": plain(bitstream(zeros, bits, 1).view(np.int32)),
        "scales": plain(scales),
        "g_idx": plain(of.astype(np.int32)),
    }
    return tensors, weights.T


def gptq_4bit(rng, n, k):
    return gptq(rng, n, k, 4)


def gptq_3bit(rng, n, k):
    return gptq(rng, n, k, 3)


def awq_4bit(rng, n, k, group=128):
    """qweight [K, N / 8] and qzeros [K / group, N / 8], eight rows to a word in the order 0 2 4 6 1 3 5 7."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    codes = rng.integers(0, 16, (k, n), dtype=np.uint32)
    zeros = rng.integers(0, 16, (k // group, n), dtype=np.uint32)
    scales = random_scales(rng, zeros.shape, np.float16)
    of = np.arange(k) // group
    weights = scales.astype(F32)[of] * (codes.astype(F32) - zeros.astype(F32)[of])

    def words(values):
        mixed = values.reshape(len(values), -1, 8)[..., order].reshape(values.shape)
        return plain(bitstream(mixed, 4, 1).view(np.int32))

    return {"qweight": words(codes), "qzeros": words(zeros), "scales": plain(scales)}, weights.T


def mlx(rng, n, k, bits, group=64):
    """weight [N, K * bits / 32] along K, scales and biases [N, K / group]."""
    codes = rng.integers(0, 1 << bits, (n, k), dtype=np.uint32)
    scales = random_scales(rng, (n, k // group), np.float16)
    biases = (-(1 << bits - 1) * scales.astype(F32) * rng.uniform(0.8, 1.2, scales.shape)).astype(np.float16)
    of = np.arange(k) // group
    weights = scales.astype(F32)[:, of] * codes.astype(F32) + biases.astype(F32)[:, of]
    return {"weight": plain(bitstream(codes, bits, 1)), "scales": plain(scales), "biases": plain(biases)}, weights


def mlx_4bit(rng, n, k):
    return mlx(rng, n, k, 4)


def mlx_8bit(rng, n, k):
    return mlx(rng, n, k, 8)


# The quantiles of a normal distribution, as bitsandbytes stores them.
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip


def nf4(rng, n, k, group=64):
    """weight [N * K / 2, 1], the high nibble first; absmax [N * K / group]."""
    codes = rng.integers(0, 16, (n, k), dtype=np.uint8)
    absmax = rng.uniform(0.02, 0.1, (n, k // group)).astype(F32)
    levels = np.array(NF4, F32)
    weights = absmax[:, np.arange(k) // group] * levels[codes]
    packed = codes[:, 0::2] << 4 | codes[:, 1::2]
    tensors = {
        "weight": plain(packed.reshape(-1, 1)),
        "weight.absmax": plain(absmax.reshape(-1)),
        "weight.quant_map": plain(levels),
    }
    return tensors, weights


def fp8(rng, n, k, scales):
    """weight [N, K], one byte each, and weight_scale of the shape `scales`. A byte of all ones but the sign is no number, and is not
    used."""
    codes = rng.integers(0, 256, (n, k), dtype=np.uint8)
    codes[codes & 0x7F == 0x7F] = 0
    exponent, mantissa = (codes >> 3 & 15).astype(np.int32), (codes & 7).astype(np.int32)
    magnitude = np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10))
    values = (np.where(codes >= 128, -1.0, 1.0) * magnitude).astype(F32)
    scale = (rng.uniform(0.5, 1.5, scales) * 0.001).astype(F32)
    return {"weight": ("F8_E4M3", codes), "weight_scale": plain(scale)}, scale * values


def fp8_e4m3(rng, n, k):
    return fp8(rng, n, k, (n, 1))


def fp8_e4m3_tensor(rng, n, k):
    return fp8(rng, n, k, (1,))


IQ4_VALUES = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
    -123, -100, -79, -61, -45, -31, -18, -6, 5, 17, 29, 42, 57, 73, 93, 117,
]  # fmt: skip


def iq4_ks(rng, n, k):
    """Rows of one f32 and blocks of 256: eight scales, then nibbles, in each 16 bytes the low ones first."""
    d = (rng.uniform(0.5, 1.5, (n, 1)) * 1e-5).astype(F32)
    scales = rng.integers(0, 256, (n, k // 256, 8), dtype=np.uint8)
    nibbles = rng.integers(0, 16, (n, k // 256, 8, 2, 16), dtype=np.uint8)
    packed = nibbles[..., 0, :] | nibbles[..., 1, :] << 4
    blocks = np.concatenate([scales, packed.reshape(n, k // 256, 128)], axis=2)
    rows = np.concatenate([d.view(np.uint8), blocks.reshape(n, -1)], axis=1)
    group = d[:, :, None] * ((scales & 254).astype(F32) - F32(127))
    codes = nibbles.reshape(n, k // 256, 8, 32) + 16 * (scales & 1)[..., None]
    weights = group[..., None] * np.array(IQ4_VALUES, F32)[codes]
    return rows, weights.reshape(n, k)


def save_rows(name, n, k):
    """A GGUF file with the tensors `quantized` (type 144), `quantized.f32`, `activations` and `matmul.exact`."""
    rng = np.random.default_rng(n + k)
    rows, weights = iq4_ks(rng, n, k)
    product = products(rng, weights)
    tensors = [
        ("quantized", 144, (k, n), rows),
        ("quantized.f32", 0, (k, n), weights),
        ("activations", 0, (k, BATCH), product["activations"]),
        ("matmul.exact", 0, (n, BATCH), product["matmul"]),
    ]

    def string(text):
        return struct.pack("<Q", len(text)) + text.encode()

    def padded(data):
        return data + bytes(-len(data) % 32)

    header, data = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), 0), b""
    for key, kind, dims, array in tensors:
        header += string(key) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
        data += padded(array.tobytes())
    (FOLDER / f"{name}.gguf").write_bytes(padded(header) + data)


if __name__ == "__main__":
    main()
