#!/usr/bin/env python3
"""Records what llama.cpp makes of the lines of `lines.py`: `record.py MODEL.gguf`, in an environment with `pip install xllamacpp`.

Prints eight hexadecimal digits for each line: how the SHA-256 of its tokens begins, written in decimal with commas between.
"""

import hashlib
import json
import sys
import urllib.request

import xllamacpp
from lines import lines


def digest(tokens):
    return hashlib.sha256(",".join(map(str, tokens)).encode()).hexdigest()[:8]


def main():
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = 512
    params.warmup = False
    server = xllamacpp.Server(params)
    for line in lines():
        asked = json.dumps({"content": line, "add_special": True, "parse_special": True}).encode()
        request = urllib.request.Request(server.listening_address + "/tokenize", asked, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            print(digest(json.load(answer)["tokens"]))


if __name__ == "__main__":
    main()
