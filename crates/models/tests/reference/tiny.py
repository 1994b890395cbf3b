#!/usr/bin/env python3
"""Makes ../data/tiny-*: networks of each family with random weights, small enough to lie here, and what they give.

    pip install numpy tokenizers
    python3 tiny.py ../data

Layouts, names and formats are those of published models: BERT with a WordPiece tokeniser, the names behind `bert.`,
positions from 0, the first token's vector; XLM-R with a Unigram tokeniser, positions from 2, the mean, half floats.
Token ids come from the `tokenizers` package. Vectors are computed here in f64 from the stored numbers, in the way the
two papers describe (post-norm, erf GELU), independently of the code under test.
"""

import json
import math
import pathlib
import struct
import sys

import numpy as np
from tokenizers import Tokenizer

HIDDEN, HEADS, LAYERS, WIDE, POSITIONS = 64, 2, 2, 96, 40
TEXTS = [
    "换线时间由四十五分钟缩短至八分钟。",
    "pump 价格 100",
    "the pump, the price",
    "价",
    "不认识的字 zzz ok",
    "价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格",
]
HAN = "换线时间由四十五分钟缩短至八价格不认识的字。，泵"


def erf(x):
    return np.vectorize(math.erf)(x)


class Net:
    def __init__(self, family, words, positions, seed):
        random = np.random.default_rng(seed)
        self.family, self.dtype = family, np.float32 if family == "bert" else np.float16
        self.prefix = "bert." if family == "bert" else "roberta."
        self.first_position = 0 if family == "bert" else 2
        self.tensors = {}

        def add(name, *shape, around=0.0, spread=0.15):
            values = around + spread * random.standard_normal(shape)
            self.tensors[self.prefix + name] = values.astype(self.dtype)

        def linear(name, outputs, inputs):
            add(f"{name}.weight", outputs, inputs)
            add(f"{name}.bias", outputs)

        def norm(name):
            add(f"{name}.weight", HIDDEN, around=1.0)
            add(f"{name}.bias", HIDDEN)

        add("embeddings.word_embeddings.weight", words, HIDDEN, spread=1.0)
        add("embeddings.position_embeddings.weight", positions, HIDDEN, spread=0.3)
        add("embeddings.token_type_embeddings.weight", 2 if family == "bert" else 1, HIDDEN)
        norm("embeddings.LayerNorm")
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            for part in ("query", "key", "value"):
                linear(f"{at}attention.self.{part}", HIDDEN, HIDDEN)
            linear(f"{at}attention.output.dense", HIDDEN, HIDDEN)
            norm(f"{at}attention.output.LayerNorm")
            linear(f"{at}intermediate.dense", WIDE, HIDDEN)
            linear(f"{at}output.dense", HIDDEN, WIDE)
            norm(f"{at}output.LayerNorm")

    def get(self, name):
        return self.tensors[self.prefix + name].astype(np.float64)

    def linear(self, name, x):
        return x @ self.get(f"{name}.weight").T + self.get(f"{name}.bias")

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * self.get(f"{name}.weight") + self.get(f"{name}.bias")

    def states(self, ids):
        places = np.arange(len(ids)) + self.first_position
        x = self.get("embeddings.word_embeddings.weight")[ids]
        x = x + self.get("embeddings.position_embeddings.weight")[places]
        x = x + self.get("embeddings.token_type_embeddings.weight")[0]
        x = self.norm("embeddings.LayerNorm", x)
        size = HIDDEN // HEADS
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            q, k, v = (
                self.linear(f"{at}attention.self.{part}", x).reshape(len(ids), HEADS, size).swapaxes(0, 1)
                for part in ("query", "key", "value")
            )
            scores = q @ k.swapaxes(1, 2) / math.sqrt(size)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            attended = (weights @ v).swapaxes(0, 1).reshape(len(ids), HIDDEN)
            x = self.norm(f"{at}attention.output.LayerNorm", x + self.linear(f"{at}attention.output.dense", attended))
            wide = self.linear(f"{at}intermediate.dense", x)
            wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
            x = self.norm(f"{at}output.LayerNorm", x + self.linear(f"{at}output.dense", wide))
        return x

    def save(self, path):
        kind = {np.float32: "F32", np.float16: "F16"}[self.dtype]
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for name, values in self.tensors.items():
            header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
            at += values.nbytes
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for values in self.tensors.values():
                file.write(np.ascontiguousarray(values).tobytes())


def template(first, last):
    special = {name: {"id": name, "ids": [id], "tokens": [name]} for name, id in (first, last)}
    parts = [{"SpecialToken": {"id": first[0], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    parts += [{"SpecialToken": {"id": last[0], "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": parts, "pair": parts + [
        {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": last[0], "type_id": 1}}],
        "special_tokens": special}


def added(names):
    return [{"id": id, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for id, name in enumerate(names)]


def word_piece():
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = names + list(HAN) + ["the", "pump", "price", ",", "p", "##ump", "1", "##0", "##00", "o", "##k"]
    vocabulary = {piece: id for id, piece in enumerate(pieces)}
    return len(pieces), {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added(names),
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": template(("[CLS]", 2), ("[SEP]", 3)),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    }


def unigram():
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = names + ["▁"] + list(HAN) + ["价格", "▁the", "▁pump", "▁p", "ump", "▁price", ",", "1", "0", "100", "o", "k"]
    scores = [0.0] * 4 + [-2.5] + [-5.0 - 0.1 * i for i in range(len(pieces) - 5)]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return len(pieces), {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added(names), "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": template(("<s>", 0), ("</s>", 2)), "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": [list(pair) for pair in zip(pieces, scores)],
                  "byte_fallback": False},
    }


def main(folder):
    for family, make, pooling, seed in (("bert", word_piece, "cls", 1), ("xlm-roberta", unigram, "mean", 2)):
        out = pathlib.Path(folder) / f"tiny-{family}"
        out.mkdir(parents=True, exist_ok=True)
        words, tokenizer = make()
        positions = POSITIONS + (2 if family != "bert" else 0)
        net = Net(family, words, positions, seed)
        net.save(out / "model.safetensors")
        text = json.dumps(tokenizer, ensure_ascii=False)
        (out / "tokenizer.json").write_text(text, encoding="utf-8")
        (out / "config.json").write_text(json.dumps({
            "model_type": family, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "intermediate_size": WIDE, "max_position_embeddings": positions, "vocab_size": words,
            "layer_norm_eps": 1e-12, "hidden_act": "gelu", "type_vocab_size": 2 if family == "bert" else 1,
        }, indent=2) + "\n")
        reader = Tokenizer.from_str(text)
        golden = []
        for line in TEXTS:
            ids = reader.encode(line).ids
            if len(ids) > POSITIONS:
                ids = ids[: POSITIONS - 1] + ids[-1:]
            states = net.states(ids)
            vector = states[0] if pooling == "cls" else states.mean(0)
            vector = vector / np.linalg.norm(vector)
            golden.append({"text": line, "ids": ids, "vector": [round(float(x), 6) for x in vector]})
        (out / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
