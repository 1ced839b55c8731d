#!/usr/bin/env python3
"""Prints the lines that tokenizers are compared on: half of them text of many kinds, half of them Unicode noise.

The same lines everywhere: the numbers come from a generator of its own.
"""

import sys

COUNT = 1000

WORDS = """the of and model token page I'm we'll they've isn't Don't HELLO Straße naïve déjà œuvre don’t it’s Привет мир 東京 日本語の文 한국어 안녕하세요
    مرحبا بالعالم שלום नमस्ते สวัสดี Γειά σου 你好世界 fn main() {} println!("{}", x); let mut v = Vec::<u8>::new(); #include <stdio.h> for(i=0;i<10;i++) a[i]+=b[i]*c[i];
    https://example.org/a?b=c&d=1 user@example.org 3.14159 1,000,000 0xDEADBEEF 1e-9 2026-01-31 12:45 $99.95 50% C++ C# F# _snake_case camelCase PascalCase
    kebab-case ALLCAPS .. ... -- --- == != <= >= => -> :: ; : ! ? ¡ ¿ « » “ ” ‘ ’ — – • © ® ™ ½ ² ³ 🙂 👩‍👩‍👧 🏳️‍🌈 🇫🇷 é ﬁ ſ İ ı ΐ 𝒜 𝟘 Ⅷ ٣ ४ 〇 々""".split()
GAPS = [" "] * 12 + ["  ", "   ", "\t", "\t\t", "", "", " \t ", "\u00a0", "\u3000", "        "]
# Where code points of noise come from: ranges, wide and narrow, of what people write and of what they hardly do.
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xEFF), (0x1100, 0x11FF),
          (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xFB00, 0xFFFD),
          (0x10000, 0x1FFFF), (0x20000, 0x2FFFF), (0xE0000, 0x10FFFF), (0x1, 0x1F), (0x7F, 0x9F)]


class Numbers:
    """A linear congruential generator of 64 bits, of which the upper half is used."""

    def __init__(self, seed):
        self.state = seed

    def below(self, end):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % end


def text(numbers):
    parts = []
    for _ in range(1 + numbers.below(14)):
        parts += [GAPS[numbers.below(len(GAPS))], WORDS[numbers.below(len(WORDS))]]
    # With a gap before it, or without.
    return "".join(parts[numbers.below(2):])


def noise(numbers):
    chosen = [RANGES[numbers.below(len(RANGES))] for _ in range(1 + numbers.below(4))]
    characters = []
    for _ in range(1 + numbers.below(40)):
        first, last = chosen[numbers.below(len(chosen))]
        characters.append(chr(first + numbers.below(last - first + 1)))
    # A line is one line.
    return "".join(c for c in characters if c not in "\n\r")


def lines():
    numbers = Numbers(2026)
    made = [(text, noise)[place % 2](numbers) for place in range(COUNT)]
    return [line or "x" for line in made]


if __name__ == "__main__":
    sys.stdout.buffer.write("".join(line + "\n" for line in lines()).encode())
