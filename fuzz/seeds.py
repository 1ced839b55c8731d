#!/usr/bin/env python3
"""Writes the inputs that fuzzing begins with: `fuzz/seeds.py FOLDER` makes a folder in FOLDER for each target. They are small, since small
ones are tried and changed quickly, and right, since most changes make them wrong. Beside each lies a dictionary: the words of its seeds."""

import json
import re
import struct
import sys
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
ALIGNMENT = 32


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def gguf(entries, tensors, version=3):
    """A GGUF file: entries are a key, a type and the bytes of a value; tensors a name, axes, a type and bytes."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    head += b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in entries)
    data = b""
    for name, dims, kind, contents in tensors:
        data += bytes(-len(data) % ALIGNMENT)
        head += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", dim) for dim in dims)
        head += struct.pack("<IQ", kind, len(data))
        data += contents
    return head + bytes(-len(head) % ALIGNMENT) + data


def array(kind, values):
    return struct.pack("<IQ", kind, len(values)) + b"".join(values)


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def u32(key, value):
    return key, U32, struct.pack("<I", value)


NAME = ("general.architecture", STRING, text("llama"))
EVERYTHING = [
    NAME,
    u32("general.alignment", ALIGNMENT),
    u32("llama.block_count", 2),
    ("a", I8, b"\xfd"),
    ("b", BOOL, b"\x01"),
    ("c", F64, struct.pack("<d", 0.5)),
    ("d", I64, struct.pack("<q", -1)),
    ("e", ARRAY, array(STRING, [text("one"), text(b"\xff")])),
    ("f", ARRAY, array(ARRAY, [array(U16, [b"\x01\x02"]), array(F32, [floats(1.0)])])),
]
# Types whose rows need no long blocks: f32, f16, Q4_0, Q8_0, I32, and one that nobody knows; then blocks of 256.
SMALL = [(0, 4, 16), (1, 4, 8), (2, 32, 18), (8, 32, 34), (26, 4, 16), (4242, 4, 4)]
LARGE = [(12, 256, 144), (14, 256, 210), (20, 32, 18), (22, 256, 82)]


def matrices(kinds, rows=2):
    names = ["blk.0.attn_q.weight", "blk.1.ffn_down.weight", "output.weight", "token_embd.weight", "norm", "x"]
    pattern = bytes(range(1, 256))
    return [
        (name, [k] if rows == 1 else [k, rows], kind, (pattern * (rows * size // 255 + 1))[: rows * size])
        for name, (kind, k, size) in zip(names, kinds)
    ]


def models():
    yield "everything", gguf(EVERYTHING, matrices(SMALL))
    yield "blocks", gguf([NAME], matrices(LARGE))
    yield "vectors", gguf([NAME], matrices(SMALL, rows=1), version=2)
    yield "nothing", gguf([], [])
    stacked = ("blk.0.ffn_up_exps.weight", [32, 2, 2], 8, bytes(4 * 34))
    yield "stacked", gguf([NAME, ("llama.expert_count", U32, struct.pack("<I", 2))], [stacked, ("scalar", [], 0, floats(7))])


def splits():
    def part(number, count, tensors, total):
        entries = [("split.no", U16, struct.pack("<H", number)), ("split.count", U16, struct.pack("<H", count))]
        return gguf(entries + [("split.tensors.count", I32, struct.pack("<i", total))], tensors)

    tensors = matrices(SMALL)
    yield "two", part(0, 2, tensors[:1], 2) + part(1, 2, tensors[1:2], 2)
    yield "three", part(0, 3, [], 2) + part(1, 3, tensors[2:3], 2) + part(2, 3, tensors[3:4], 2)
    yield "one", part(0, 1, tensors[:1], 1)


def imatrices():
    def sums(name, k, stacked, counts):
        return [
            (f"{name}.in_sum2", [k, stacked], 0, floats(*range(k * stacked))),
            (f"{name}.counts", [1, len(counts)], 0, floats(*counts)),
        ]

    kind = ("general.type", STRING, text("imatrix"))
    yield "one", gguf([kind], sums("blk.0.attn_q.weight", 4, 1, [3]))
    yield "stacked", gguf([kind, u32("imatrix.chunk_size", 512)], sums("a", 4, 2, [1, 0]) + sums("b", 4, 2, [5]))
    # The older form: a count of matrices; of each its name, the number of calls, and means of squares.
    old = struct.pack("<i", 1) + struct.pack("<i", 1) + b"a" + struct.pack("<ii", 2, 4) + floats(1, 2, 3, 4)
    yield "old", old + struct.pack("<i", 1) + struct.pack("<i", 4) + b"text"


TEMPLATES = [
    """{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim }}{% if not loop.last %}\n{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ bos_token }}<|assistant|>{% endif %}""",
    """{% set ns = namespace(n=0, last=none) %}{% for m in messages[1:] %}{% set ns.n = ns.n + 1 %}{% if m.role == 'user' %}
{{- m.content.strip().split('?')[-1] ~ m.content.replace('a', 'b') ~ 'x' * 3 }}{% set ns.last = m %}{% continue %}{% endif %}
{{- ns.n | string + eos_token }}{% endfor %}{{ ns.last | tojson(indent=2) }}""",
    """{% macro f(x, y=[]) %}{% if x is mapping %}{% for k, v in x | dictsort %}{{ k | upper }}={{ f(v) }}{% endfor %}
{%- else %}{{ x | tojson }}{% endif %}{% endmacro %}{{ f(messages[0]) }}{{ strftime_now('%d %b %Y') }}""",
    """{%- if messages[0].role != 'user' %}{{ raise_exception('roles must alternate') }}{% endif %}
{%- set s = ' '.join(messages | map(attribute='content') | list) %}{{ s.count('a') }}{{ s | replace('b', '') | length }}
{%- set t %}{{ range(3) | join(',') }}{% endset %}{{ t.startswith('0') }}{{ '%s' | format(t) }}{{ '{}'.format(t) }}""",
]


def templates():
    for number, template in enumerate(TEMPLATES):
        yield str(number), template.encode()


def tokenizers():
    def entry(key, kind, value):
        return f"tokenizer.{key}", kind, value

    def texts(values):
        return array(STRING, [text(value) for value in values])

    def numbers(values):
        return array(I32, [struct.pack("<i", value) for value in values])

    def tokenizer(model, tokens, types, more):
        head = [entry("ggml.model", STRING, text(model)), entry("ggml.tokens", ARRAY, texts(tokens))]
        return gguf(head + [entry("ggml.token_type", ARRAY, numbers(types))] * bool(types) + more, [])

    special = [u32("tokenizer.ggml.bos_token_id", 1), u32("tokenizer.ggml.eos_token_id", 2)]
    added = [entry("ggml.add_eos_token", BOOL, b"\x01")]
    chat = entry("chat_template", STRING, text(TEMPLATES[0]))
    tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "Ġ", "Ġa", "aa", "aaaa", "1", "12", "é", "<|assistant|>"]
    kinds = [2, 3, 3] + [1] * 10 + [4]
    merges = entry("ggml.merges", ARRAY, texts(["a b", "Ġ a", "a a", "aa aa", "1 2"]))
    for name in ["gpt-2", "llama-bpe", "tekken", "deepseek-v3"]:
        yield name, tokenizer("gpt2", tokens, kinds, [entry("ggml.pre", STRING, text(name)), merges, chat] + special)
    words = ["<unk>", "<s>", "</s>", "\u2581", "a", "\u2581a", "aa", "aaaa", "<0x0A>", "\u2581\u2581", "<mask>"]
    scores = entry("ggml.scores", ARRAY, array(F32, [floats(-score) for score in range(len(words))]))
    prefix = entry("ggml.add_space_prefix", BOOL, b"\x00")
    unknown = u32("tokenizer.ggml.unknown_token_id", 0)
    yield "scores", tokenizer("llama", words, [2, 3, 3, 1, 1, 1, 1, 1, 6, 5, 4], [scores, unknown] + special + added)
    yield "whole", tokenizer("llama", words, [], [scores, prefix, chat])


def safetensors(tensors, notes=None):
    """A safetensors file: tensors are a name, a type, axes and bytes."""
    header, data = {"__metadata__": notes} if notes else {}, b""
    for name, kind, shape, contents in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(contents)]}
        data += contents
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data


def separate():
    def some(count):
        return (bytes(range(1, 256)) * (count // 255 + 1))[:count]

    group = b"".join(struct.pack("<i", 0) for _ in range(128))
    yield "gptq", safetensors(
        [
            ("w.g_idx", "I32", [128], group),
            ("w.qweight", "I32", [16, 8], some(512)),
            ("w.qzeros", "I32", [1, 1], some(4)),
            ("w.scales", "F16", [1, 8], some(16)),
        ],
        {"format": "pt"},
    )
    yield "awq", safetensors(
        [
            ("w.qweight", "I32", [128, 1], some(512)),
            ("w.qzeros", "I32", [1, 1], some(4)),
            ("w.scales", "F16", [1, 8], some(16)),
        ]
    )
    yield "mlx", safetensors(
        [
            ("w.biases", "F16", [2, 1], some(4)),
            ("w.scales", "F16", [2, 1], some(4)),
            ("w.weight", "U32", [2, 8], some(64)),
        ]
    )
    yield "nf4", safetensors([("w.weight", "U8", [64, 1], some(64)), ("w.weight.absmax", "F32", [2], some(8))])
    yield "fp8", safetensors([("w.weight", "F8_E4M3", [2, 4], some(8)), ("w.weight_scale", "F32", [2, 1], some(8))])
    yield "plain", safetensors([("x", "BF16", [2, 2], some(8)), ("y", "I64", [1], some(8)), ("z", "F32", [], some(4))])


def lists():
    yield "problems", b"""[[problem]]
format = "Q4_K"
n = 64
k = 256
batches = [1, 8]
numerics = "int8"
isa = "scalar"
threads = 1
layout = "packed"

[[problem]]
format = "Q8_0"
n = 16
k = 32
batches = [128]
"""
    yield "kernels", b'kernels = ["Q4_0.gemv.int8.scalar.r16c1"]\n'
    yield "recipes", b"""only = ["*.weight"]
keep = ["*norm*"]
unusual = "F16"
fallback = { Q4_K = "Q8_0" }
rules.all = [{ class = ["output"], to = "Q6_K", first = 2 }]
[[recipe]]
name = "own"
file_type = 1
format = "Q4_K"
shared = ["all"]
[class]
output = { names = ["output.weight"] }
"""
    for mode in ["off", "cache-only", "on-miss", "on-miss:2", "force"]:
        yield mode, mode.encode()
    yield "pin", b"Q4_K/matmul=gemv.int8.scalar.r16c1,Q4_0/matmul=Q4_0.gemv.int8.scalar.r16c1"


def caches():
    time = "Q4_0.gemv.int8.scalar.r16c1 12345 ns 0.526 6"
    entry = f"""[[entry]]
operation = "matmul"
format = "Q4_0"
layout = "packed"
code = "0000000000000000"
numerics = "int8"
isa = "scalar"
n = 16
k = 32
batch = "1"
threads = 1
kernel = "Q4_0.gemv.int8.scalar.r16c1"
kernel_hash = "0000000000000000"
default = "Q4_0.gemv.int8.scalar.r16c1"
measured = 1
spread = 1.042
effort = "full"
origin = "local"
system = "a program; a system"
times = ["{time}"]
check = "0000000000000000"
"""
    head = 'schema = 3\nenvironment = "SomeMaker-6-207-2;48K-2048K-266240K;scalar"\n\n'
    variant = """[[variant]]
kernel = "Q4_0.gemv.int8.scalar.r16c1"
hash = "0000000000000000"
state = "passed"
check = "0000000000000000"
"""
    yield "entry", (head + entry).encode()
    yield "entries", (head + entry + "\n" + entry.replace('"1"', '"2-4"').replace("full", "quick")).encode()
    yield "variant", (head + variant).encode()
    yield "journal", b"Q4_0.gemv.int8.scalar.r16c1\n0123456789abcdef\n"


def packed():
    # Changes of the copy that the target makes: nothing; a byte of its version; an axis of a tensor.
    yield "whole", b""
    yield "version", bytes([4, 0, 1, 0, 1, 2])
    yield "later", bytes([200, 1, 1, 0, 1, 9]) + bytes([16, 2, 0, 0, 2, 1, 1])


def weights(of):
    for number in range(40):
        yield str(number), bytes([number, number % 3]) + of


def cards(pattern):
    root = Path(__file__).parent.parent / "kernel-spec"
    for path in sorted(root.glob(pattern)):
        yield "-".join(path.relative_to(root).parts), path.read_bytes()
    # With a table of their own behind them: see the target.
    for path in sorted((root / "formats").glob("*.toml")):
        for table in sorted((root / "tables").glob("*.toml")):
            card = path.read_text()
            if f'"{table.stem}"' in card:
                own = card.replace(f'"{table.stem}"', '"own"') + "\n====\n" + table.read_text()
                yield f"{path.stem}-with-{table.stem}", own.encode()


def dictionary(seeds):
    words = {word for seed in seeds for word in re.findall(rb"[A-Za-z_][A-Za-z0-9_.-]{2,30}", seed)}
    return b"# The words of the seeds.\n" + b"".join(b'"%s"\n' % word for word in sorted(words))


def main():
    [root] = sys.argv[1:]
    numbers = floats(1, -0.5, 0.25, 3e-5, -7, 0.1, 1e-30, 100)
    targets = {
        "gguf": models(),
        "split": splits(),
        "imatrix": imatrices(),
        "safetensors": separate(),
        "lists": lists(),
        "cache": caches(),
        "cards": cards("**/*.toml"),
        "generator": cards("formats/**/*.toml"),
        "packed": packed(),
        "template": templates(),
        "tokenizer": tokenizers(),
        "decode": weights(bytes(range(1, 64))),
        "encode": weights(numbers),
    }
    for target, seeds in targets.items():
        folder = Path(root) / target
        folder.mkdir(parents=True, exist_ok=True)
        seeds = dict(seeds)
        for name, seed in seeds.items():
            (folder / name).write_bytes(seed)
        folder.with_suffix(".dict").write_bytes(dictionary(seeds.values()))


if __name__ == "__main__":
    main()
