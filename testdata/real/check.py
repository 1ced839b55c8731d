#!/usr/bin/env python3
"""Holds a real model to what is recorded of it: `check.py PROGRAM MODEL.gguf RECORD.json`."""

import hashlib
import json
import subprocess
import sys
import tempfile

from lines import lines


def digest(tokens):
    """How a line's tokens are recorded."""
    return hashlib.sha256(",".join(map(str, tokens)).encode()).hexdigest()[:8]


def stop(why):
    sys.exit(f"{model}: {why}")


def run(*arguments):
    done = subprocess.run([program, *arguments, "--json"], capture_output=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.decode()


program, model, record = sys.argv[1:]
with open(record) as file:
    record = json.load(file)

with tempfile.NamedTemporaryFile(suffix=".txt") as file:
    file.write("".join(line + "\n" for line in lines()).encode())
    file.flush()
    tokenized = run("tokenize", model, "--lines", file.name)
wanted = " ".join(record["lines"]).split()
if isinstance(tokenized, str):
    stop(tokenized)
found = [digest(tokens) for tokens in tokenized["lines"]]
differing = [place for place, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other]
if differing:
    stop(f"{len(differing)} of {len(wanted)} lines have other tokens, first line {differing[0] + 1}: {lines()[differing[0]]!r}")
print(f"{record['model']}: the tokens of {len(wanted)} lines are those of llama.cpp")

findings = {finding["name"]: finding["value"] for finding in run("doctor")["findings"]}
isas = findings["instruction sets"].split(";")[0].split()
asked = ["generate", model, "-p", record["prompt"], *(["--chat"] if record["chat"] else [])]
for isa in isas:
    # Plain code takes a second for a few tokens.
    count = 4 if isa == "scalar" else len(record["tokens"])
    said = run(*asked, "-n", str(count), "--isa", isa)
    if isinstance(said, str):
        stop(said)
    if said["tokens"] != record["tokens"][:count]:
        stop(f"on {isa} it says {said['text']!r}, tokens {said['tokens']}")
    print(f"{record['model']}: on {isa} it says {said['text']!r}")
