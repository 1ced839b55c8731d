"""Writes the small files of tensors/: weights that lie in separate tensors, and rows with headers.

    python3 testdata/make_tensors.py

needs numpy and nothing else, and writes the same bytes every time. The codes and scales are random: what the files test is where
bits lie and what they mean. Every file holds, beside the stored weights under the names of real checkpoints,

    PREFIX.dequantized  f32 [N, K]   the weights by their formula, in f32, each operation rounded by itself
    activations         f32 [M, K]
    matmul              f32 [M, N]   activations times weights, in f64, rounded once

`families.safetensors` has a small matrix for formats that are decoded and not multiplied in every build: each under the name of its
format, with its weights and nothing else.

Layouts are those of the programs that write such checkpoints: AutoGPTQ (version 1: zero points are stored less one), GPTQModel (version
2: as they are), AutoAWQ, MLX, bitsandbytes, compressed-tensors, ModelOpt, and ik_llama.cpp for the rows with headers.
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
TYPES = {"float32": "F32", "float16": "F16", "int32": "I32", "uint32": "U32", "int8": "I8", "uint8": "U8"}


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
    save_families()


def save(name, make, n, k):
    """A safetensors file: the tensors that `make` gives, and what they should come to."""
    rng = np.random.default_rng(len(name) + 1000 * n + k)
    tensors, weights = make(rng, n, k)
    tensors = {f"{PREFIX}.{key}": value for key, value in tensors.items()}
    tensors[f"{PREFIX}.dequantized"] = plain(weights)
    tensors.update({key: plain(value) for key, value in products(rng, weights).items()})
    write(name, tensors)


def write(name, tensors):
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


def rounded(values, kind):
    """Values in a type of floats: as a tensor, and in f32. To bf16 they are cut off."""
    if kind != "bf16":
        values = values.astype(kind)
        return plain(values), values.astype(F32)
    upper = values.astype(F32).view(np.uint32) >> 16
    return ("BF16", upper.astype(np.uint16)), (upper << 16).view(F32)


def gptq(rng, n, k, bits, group=128, kind="float16", less=1):
    """qweight [K * bits / 32, N] along K, qzeros [K / group, N * bits / 32] along N, scales [K / group, N]."""
    codes = rng.integers(0, 1 << bits, (k, n), dtype=np.uint32)
    zeros = rng.integers(0, 1 << bits, (k // group, n), dtype=np.uint32)
    scales, values = rounded(random_scales(rng, zeros.shape, F32 if kind == "bf16" else kind), kind)
    of = np.arange(k) // group
    weights = values[of] * (codes.astype(F32) - (zeros + less).astype(F32)[of])
    tensors = {
        "qweight": plain(bitstream(codes, bits, 0).view(np.int32)),
        "qzeros": plain(bitstream(zeros, bits, 1).view(np.int32)),
        "scales": scales,
        "g_idx": plain(of.astype(np.int32)),
    }
    return tensors, weights.T


def gptq_4bit(rng, n, k):
    return gptq(rng, n, k, 4)


def gptq_3bit(rng, n, k):
    return gptq(rng, n, k, 3)


def awq_4bit(rng, n, k, group=128, kind="float16"):
    """qweight [K, N / 8] and qzeros [K / group, N / 8], eight rows to a word in the order 0 2 4 6 1 3 5 7."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    codes = rng.integers(0, 16, (k, n), dtype=np.uint32)
    zeros = rng.integers(0, 16, (k // group, n), dtype=np.uint32)
    scales, values = rounded(random_scales(rng, zeros.shape, F32 if kind == "bf16" else kind), kind)
    of = np.arange(k) // group
    weights = values[of] * (codes.astype(F32) - zeros.astype(F32)[of])

    def words(values):
        mixed = values.reshape(len(values), -1, 8)[..., order].reshape(values.shape)
        return plain(bitstream(mixed, 4, 1).view(np.int32))

    return {"qweight": words(codes), "qzeros": words(zeros), "scales": scales}, weights.T


def mlx(rng, n, k, bits, group=64, kind="float16"):
    """weight [N, K * bits / 32] along K, scales and biases [N, K / group]."""
    codes = rng.integers(0, 1 << bits, (n, k), dtype=np.uint32)
    scales, of_scales = rounded(random_scales(rng, (n, k // group), F32 if kind == "bf16" else kind), kind)
    biases, of_biases = rounded(-(1 << bits - 1) * of_scales * rng.uniform(0.8, 1.2, of_scales.shape), kind)
    of = np.arange(k) // group
    weights = of_scales[:, of] * codes.astype(F32) + of_biases[:, of]
    return {"weight": plain(bitstream(codes, bits, 1)), "scales": scales, "biases": biases}, weights


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


# Twelfths, as bitsandbytes divides them.
FP4 = [x / 12 for x in (0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3)]


def nf4(rng, n, k, group=64, levels=NF4):
    """weight [N * K / 2, 1], the high nibble first; absmax [N * K / group]."""
    codes = rng.integers(0, 16, (n, k), dtype=np.uint8)
    absmax = rng.uniform(0.02, 0.1, (n, k // group)).astype(F32)
    levels = np.array(levels, F32)
    weights = absmax[:, np.arange(k) // group] * levels[codes]
    packed = codes[:, 0::2] << 4 | codes[:, 1::2]
    tensors = {
        "weight": plain(packed.reshape(-1, 1)),
        "weight.absmax": plain(absmax.reshape(-1)),
        "weight.quant_map": plain(levels),
    }
    return tensors, weights


def nested(rng, n, k, kind, levels=NF4):
    """The same with absmax in bytes: levels [256], a scale for 256 of all bytes in turn, and an offset in the text beside them."""
    tensors, _ = nf4(rng, n, k, levels=levels)
    codes = rng.integers(0, 256, n * k // 64, dtype=np.uint8)
    of_codes = np.sort(rng.uniform(-1, 1, 256)).astype(F32)
    scales = rng.uniform(0.01, 0.02, -(-codes.size // 256)).astype(F32)
    offset = F32(0.0425)
    absmax = of_codes[codes] * scales[np.arange(codes.size) // 256] + offset
    packed = tensors["weight"][1].reshape(n, k // 2)
    halves = np.stack([packed >> 4, packed & 15], -1).reshape(n, k)
    weights = absmax.reshape(n, -1)[:, np.arange(k) // 64] * np.array(levels, F32)[halves]
    state = {"quant_type": kind, "blocksize": 64, "nested_blocksize": 256, "nested_offset": float(offset), "shape": [n, k]}
    tensors["weight.absmax"] = plain(codes)
    tensors["weight.nested_absmax"] = plain(scales)
    tensors["weight.nested_quant_map"] = plain(of_codes)
    tensors[f"weight.quant_state.bitsandbytes__{kind}"] = plain(np.frombuffer(json.dumps(state).encode(), np.uint8))
    return tensors, weights


def e4m3(rng, shape):
    """Bytes, and what they are. A byte of all ones but the sign is no number, and is not used."""
    codes = rng.integers(0, 256, shape, dtype=np.uint8)
    codes[codes & 0x7F == 0x7F] = 0
    exponent, mantissa = (codes >> 3 & 15).astype(np.int32), (codes & 7).astype(np.int32)
    magnitude = np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10))
    return codes, (np.where(codes >= 128, -1.0, 1.0) * magnitude).astype(F32)


def fp8(rng, n, k, scales, kind="float32"):
    """weight [N, K], one byte each, and weight_scale of the shape `scales`."""
    codes, values = e4m3(rng, (n, k))
    scale, of_scale = rounded(rng.uniform(0.5, 1.5, scales) * 0.001, kind)
    return {"weight": ("F8_E4M3", codes), "weight_scale": scale}, of_scale * values


def fp8_block(rng, n, k, name, kind):
    """One scale for 128 rows and 128 k."""
    codes, values = e4m3(rng, (n, k))
    scale, of_scale = rounded(rng.uniform(0.5, 1.5, (n // 128, k // 128)) * 0.001, kind)
    return {"weight": ("F8_E4M3", codes), name: scale}, np.repeat(np.repeat(of_scale, 128, 0), 128, 1) * values


def fp8_e4m3(rng, n, k):
    return fp8(rng, n, k, (n, 1))


def fp8_e4m3_tensor(rng, n, k):
    return fp8(rng, n, k, (1,))


def packed(rng, n, k, bits, group, kind, zeros):
    """weight_packed [N, K * bits / 32], weight_scale [N, K / group], weight_zero_point [N * bits / 32, K / group]."""
    middle = 1 << bits - 1
    codes = rng.integers(0, 2 * middle, (n, k), dtype=np.uint32)
    points = rng.integers(0, 2 * middle, (n, k // group), dtype=np.uint32) if zeros else np.full((n, k // group), middle, np.uint32)
    scale, of_scale = rounded(random_scales(rng, points.shape, F32), kind)
    of = np.arange(k) // group
    weights = of_scale[:, of] * (codes.astype(F32) - points.astype(F32)[:, of])
    tensors = {"weight_packed": plain(bitstream(codes, bits, 1).view(np.int32)), "weight_scale": scale}
    if zeros:
        tensors["weight_zero_point"] = plain(bitstream(points, bits, 0).view(np.int32))
    return tensors, weights


def int8(rng, n, k, kind):
    codes = rng.integers(-128, 128, (n, k), dtype=np.int8)
    scale, of_scale = rounded(random_scales(rng, (n, 1), F32), kind)
    return {"weight": plain(codes), "weight_scale": scale}, of_scale * codes.astype(F32)


E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]


def fp4(rng, n, k, group, form):
    """Floats of 4 bits: MLX packs eight to a word, others two to a byte, all the first lowest; scales are E8M0, or E4M3 bytes."""
    codes = rng.integers(0, 16, (n, k), dtype=np.uint32)
    if group == 32:
        scales = rng.integers(117, 127, (n, k // group), dtype=np.uint8)
        of_scales = (2.0 ** (scales.astype(np.int32) - 127)).astype(F32)
    else:
        scales, of_scales = e4m3(rng, (n, k // group))
    words, whole = plain(bitstream(codes, 4, 1)), F32(1)
    octets = plain((codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8))
    tensors = {"weight": words, "scales": plain(scales)}
    if form == "mxfp4":
        tensors = {"weight_packed": octets, "weight_scale": plain(scales)}
    if form == "nvfp4":
        whole = F32(0.0123)
        tensors = {"weight": octets, "weight_scale": ("F8_E4M3", scales), "weight_scale_2": plain(np.array(whole, F32))}
    weights = (of_scales * whole)[:, np.arange(k) // group] * np.array(E2M1, F32)[codes]
    return tensors, weights


def mxfp8(rng, n, k):
    codes, values = e4m3(rng, (n, k))
    scales = rng.integers(117, 127, (n, k // 32), dtype=np.uint8)
    of_scales = (2.0 ** (scales.astype(np.int32) - 127)).astype(F32)
    return {"weight": plain(codes.view(np.uint32)), "scales": plain(scales)}, np.repeat(of_scales, 32, 1) * values


def save_families():
    rng = np.random.default_rng(14)
    floats = {"": "float16", "-bf16": "bf16", "-f32": "float32"}
    rows = {2: 16, 3: 32, 4: 8, 8: 4}
    made = {}
    for bits in (2, 3, 5, 6):
        made[f"MLX-{bits}bit-g32-bf16"] = mlx(rng, 3, 64, bits, 32, "bf16")
    others = [(2, 128, ""), (3, 64, ""), (4, 32, ""), (4, 64, "-bf16"), (4, 64, "-f32"), (5, 128, "-f32"), (6, 64, ""), (8, 32, "-bf16")]
    for bits, group, kind in others:
        made[f"MLX-{bits}bit-g{group}{kind}"] = mlx(rng, 3, 2 * group, bits, group, floats[kind])
    for bits in rows:
        for version, less in (("", 1), ("-v2", 0)):
            made[f"GPTQ-{bits}bit-g32{version}"] = gptq(rng, rows[bits], 64, bits, 32, less=less)
            made[f"GPTQ-{bits}bit-gall{version}-bf16"] = gptq(rng, rows[bits], 64, bits, 64, "bf16", less)
    made["GPTQ-4bit-g64-bf16"] = gptq(rng, 8, 128, 4, 64, "bf16")
    made["GPTQ-4bit-g128-v2"] = gptq(rng, 8, 128, 4, 128, less=0)
    made["GPTQ-8bit-g128"] = gptq(rng, 4, 128, 8)
    made["AWQ-4bit-g64-bf16"] = awq_4bit(rng, 8, 128, 64, "bf16")
    made["CT-W4A16-g128-bf16"] = packed(rng, 3, 128, 4, 128, "bf16", False)
    made["CT-W8A16-g32"] = packed(rng, 3, 64, 8, 32, "float16", False)
    made["CT-W4A16-asym-g64-bf16"] = packed(rng, 8, 64, 4, 64, "bf16", True)
    made["CT-W8A16-asym-g32-f32"] = packed(rng, 4, 32, 8, 32, "float32", True)
    made["CT-W8A16-gall-bf16"] = packed(rng, 3, 96, 8, 96, "bf16", False)
    made["CT-W8A8-bf16"] = int8(rng, 3, 64, "bf16")
    made["FP8-E4M3-bf16"] = fp8(rng, 3, 50, (3, 1), "bf16")
    made["FP8-E4M3-tensor-bf16"] = fp8(rng, 3, 50, (1,), "bf16")
    made["FP8-E4M3-block128"] = fp8_block(rng, 128, 128, "weight_scale_inv", "float32")
    made["MLX-mxfp4"] = fp4(rng, 3, 64, 32, "mlx")
    made["MLX-nvfp4"] = fp4(rng, 3, 32, 16, "mlx")
    made["MLX-mxfp8"] = mxfp8(rng, 3, 64)
    made["MXFP4-packed"] = fp4(rng, 3, 64, 32, "mxfp4")
    made["NVFP4-modelopt"] = fp4(rng, 3, 32, 16, "nvfp4")
    made["BNB-FP4"] = nf4(rng, 3, 128, levels=FP4)
    made["NF4"] = nested(rng, 70, 256, "nf4")
    tensors = {}
    for name, (stored, weights) in made.items():
        tensors.update({f"{name}.{key}": value for key, value in stored.items()})
        tensors[f"{name}.dequantized"] = plain(weights)
    write("families", tensors)


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
