#!/usr/bin/env python3
"""Makes ../data/tiny-*: networks of each family with random weights, small enough to lie here, and what they give.

    pip install numpy tokenizers
    python3 tiny.py ../data

Layouts, names and formats are those of published models: BERT with a WordPiece tokeniser, the names behind `bert.`,
positions from 0, the first token's vector; XLM-R with a Unigram tokeniser, positions from 2, the mean, half floats.
With `-reranker` behind the family's name, a head that makes one logit of the first token (BERT: pooler and classifier;
XLM-R: dense and out_proj), and scores of pairs: `[CLS] a [SEP] b [SEP]` with token types 0 and 1, and
`<s> a </s></s> b </s>`, of which only `b` is cut. Qwen3: a decoder with a byte-level tokeniser that appends
`<|endoftext|>`, bfloat16, more heads for queries than for keys, the last token's vector. gte: the names behind `new.`, queries,
keys and values in one matrix, rotary positions made for eight times as many, GELU gates without biases, XLM-R's tokeniser,
half floats, the first token's vector.
Token ids come from the `tokenizers` package. Vectors are computed here in f64 from the stored numbers, in the way the
papers describe (post-norm, erf GELU; for gte rotary positions and GEGLU too; for Qwen3 pre-norm, rotary positions, SwiGLU),
independently of the code under test.

Held once against `transformers` 5.24 on `torch` 2.15, in f64 with the same weights and ids: scores of both rerankers and
vectors of the decoder differ by less than 1e-6, which is the rounding of the golden files. gte's network is not among those;
its vectors are held against candle-transformers' in families.rs.
"""

import collections
import io
import json
import math
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

HIDDEN, HEADS, LAYERS, WIDE, POSITIONS = 64, 2, 2, 96, 40
TEXTS = [
    "换线时间由四十五分钟缩短至八分钟。",
    "pump 价格 100",
    "the pump, the price",
    "价",
    "不认识的字 zzz ok",
    "价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格价格",
]
PAIRS = [
    ("换线时间", "换线时间由四十五分钟缩短至八分钟。"),
    ("换线时间", "pump 价格 100"),
    ("the price", "the pump, the price"),
    ("the price", "价"),
    ("不认识的字 zzz", "ok"),
    ("价格", TEXTS[-1] * 2),
    ("价", ""),
]
HAN = "换线时间由四十五分钟缩短至八价格不认识的字。，泵"


def erf(x):
    return np.vectorize(math.erf)(x)


def turn(x, base, slower=1.0):
    """Rotary positions: number `i` of a head turns with number `i + half`, `slower` times as slow as `base` says."""
    size = x.shape[-1]
    half = size // 2
    frequencies = base ** (-2 * np.arange(half) / size) / slower
    angles = np.arange(x.shape[0])[:, None] * frequencies
    cosines, sines = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], -1)


class Net:
    def __init__(self, family, words, positions, seed, is_reranker=False):
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
        self.is_reranker = is_reranker
        if is_reranker:
            if family == "bert":
                linear("pooler.dense", HIDDEN, HIDDEN)
            self.prefix, behind = "", self.prefix
            if family == "bert":
                linear("classifier", 1, HIDDEN)
            else:
                linear("classifier.dense", HIDDEN, HIDDEN)
                linear("classifier.out_proj", 1, HIDDEN)
            self.prefix = behind

    def score(self, ids, second_from):
        types = (np.arange(len(ids)) >= second_from).astype(int)
        first = self.states(ids, types if self.family == "bert" else 0 * types)[0]
        inner = f"{self.prefix}pooler.dense" if self.family == "bert" else "classifier.dense"
        outer = "classifier" if self.family == "bert" else "classifier.out_proj"
        prefix, self.prefix = self.prefix, ""
        score = self.linear(outer, np.tanh(self.linear(inner, first)))[0]
        self.prefix = prefix
        return score

    def get(self, name):
        return self.tensors[self.prefix + name].astype(np.float64)

    def linear(self, name, x):
        return x @ self.get(f"{name}.weight").T + self.get(f"{name}.bias")

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * self.get(f"{name}.weight") + self.get(f"{name}.bias")

    def states(self, ids, types=0):
        places = np.arange(len(ids)) + self.first_position
        x = self.get("embeddings.word_embeddings.weight")[ids]
        x = x + self.get("embeddings.position_embeddings.weight")[places]
        x = x + self.get("embeddings.token_type_embeddings.weight")[types]
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
        save(self.tensors, {np.float32: "F32", np.float16: "F16"}[self.dtype], path)


class Gte:
    prefix, theta, factor = "new.", 20000.0, 8.0
    get, linear, norm = Net.get, Net.linear, Net.norm

    def __init__(self, words, seed):
        random = np.random.default_rng(seed)
        self.tensors = {}

        def add(name, *shape, around=0.0, spread=0.15):
            self.tensors[self.prefix + name] = (around + spread * random.standard_normal(shape)).astype(np.float16)

        def norm(name):
            add(f"{name}.weight", HIDDEN, around=1.0)
            add(f"{name}.bias", HIDDEN)

        add("embeddings.word_embeddings.weight", words, HIDDEN, spread=1.0)
        add("embeddings.token_type_embeddings.weight", 1, HIDDEN)
        norm("embeddings.LayerNorm")
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            add(f"{at}attention.qkv_proj.weight", 3 * HIDDEN, HIDDEN)
            add(f"{at}attention.qkv_proj.bias", 3 * HIDDEN)
            add(f"{at}attention.o_proj.weight", HIDDEN, HIDDEN)
            add(f"{at}attention.o_proj.bias", HIDDEN)
            norm(f"{at}attn_ln")
            add(f"{at}mlp.up_gate_proj.weight", 2 * WIDE, HIDDEN)
            add(f"{at}mlp.down_proj.weight", HIDDEN, WIDE)
            add(f"{at}mlp.down_proj.bias", HIDDEN)
            norm(f"{at}mlp_ln")

    def turn(self, x):
        return turn(x, self.theta * self.factor, self.factor ** (2 / x.shape[-1]))

    def states(self, ids):
        x = self.get("embeddings.word_embeddings.weight")[ids] + self.get("embeddings.token_type_embeddings.weight")[0]
        x = self.norm("embeddings.LayerNorm", x)
        n, size = len(ids), HIDDEN // HEADS
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            q, k, v = self.linear(f"{at}attention.qkv_proj", x).reshape(n, 3, HEADS, size).swapaxes(0, 1)
            q, k, v = (part.swapaxes(0, 1) for part in (self.turn(q), self.turn(k), v))
            scores = q @ k.swapaxes(1, 2) / math.sqrt(size)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            attended = (weights @ v).swapaxes(0, 1).reshape(n, HIDDEN)
            x = self.norm(f"{at}attn_ln", x + self.linear(f"{at}attention.o_proj", attended))
            up, gate = np.split(x @ self.get(f"{at}mlp.up_gate_proj.weight").T, 2, -1)
            wide = up * gate * 0.5 * (1 + erf(gate / math.sqrt(2)))
            x = self.norm(f"{at}mlp_ln", x + self.linear(f"{at}mlp.down_proj", wide))
        return x


class Decoder:
    heads, groups, size, theta = 4, 2, 32, 10000.0

    def __init__(self, words, seed):
        random = np.random.default_rng(seed)
        self.tensors = {}

        def add(name, *shape, around=0.0, spread=0.15):
            values = (around + spread * random.standard_normal(shape)).astype(np.float32)
            # The upper half of a float32 is a bfloat16.
            self.tensors[name] = (values.view(np.uint32) >> 16).astype(np.uint16)

        add("embed_tokens.weight", words, HIDDEN, spread=1.0)
        for layer in range(LAYERS):
            at = f"layers.{layer}."
            add(f"{at}input_layernorm.weight", HIDDEN, around=1.0)
            add(f"{at}self_attn.q_proj.weight", self.heads * self.size, HIDDEN)
            add(f"{at}self_attn.k_proj.weight", self.groups * self.size, HIDDEN)
            add(f"{at}self_attn.v_proj.weight", self.groups * self.size, HIDDEN)
            add(f"{at}self_attn.o_proj.weight", HIDDEN, self.heads * self.size)
            add(f"{at}self_attn.q_norm.weight", self.size, around=1.0)
            add(f"{at}self_attn.k_norm.weight", self.size, around=1.0)
            add(f"{at}post_attention_layernorm.weight", HIDDEN, around=1.0)
            add(f"{at}mlp.gate_proj.weight", WIDE, HIDDEN)
            add(f"{at}mlp.up_proj.weight", WIDE, HIDDEN)
            add(f"{at}mlp.down_proj.weight", HIDDEN, WIDE)
        add("norm.weight", HIDDEN, around=1.0)

    def get(self, name):
        return (self.tensors[name].astype(np.uint32) << 16).view(np.float32).astype(np.float64)

    def norm(self, name, x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * self.get(f"{name}.weight")

    def states(self, ids):
        x = self.get("embed_tokens.weight")[ids]
        n = len(ids)
        for layer in range(LAYERS):
            at = f"layers.{layer}."
            h = self.norm(f"{at}input_layernorm", x)
            q, k, v = (
                (h @ self.get(f"{at}self_attn.{part}_proj.weight").T).reshape(n, -1, self.size) for part in "qkv"
            )
            q = turn(self.norm(f"{at}self_attn.q_norm", q), self.theta)
            k = turn(self.norm(f"{at}self_attn.k_norm", k), self.theta)
            attended = np.zeros((n, self.heads, self.size))
            for head in range(self.heads):
                group = head // (self.heads // self.groups)
                for place in range(n):
                    scores = k[: place + 1, group] @ q[place, head] / math.sqrt(self.size)
                    weights = np.exp(scores - scores.max())
                    attended[place, head] = weights / weights.sum() @ v[: place + 1, group]
            x = x + attended.reshape(n, -1) @ self.get(f"{at}self_attn.o_proj.weight").T
            h = self.norm(f"{at}post_attention_layernorm", x)
            gate = h @ self.get(f"{at}mlp.gate_proj.weight").T
            wide = gate / (1 + np.exp(-gate)) * (h @ self.get(f"{at}mlp.up_proj.weight").T)
            x = x + wide @ self.get(f"{at}mlp.down_proj.weight").T
        return self.norm("norm", x)


def save(tensors, kind, path):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())


def save_archive(tensors, path):
    """What `torch.save` writes for a dictionary of tensors: a pickle and the numbers, in an archive."""

    class Storage:
        def __init__(self, key, n):
            self.key, self.n = key, n

    def fake(module, name):
        made = types.ModuleType(module)
        value = type(name, (), {}) if name.endswith("Storage") else (lambda *_: None)
        value.__module__, value.__qualname__, value.__name__ = module, name, name
        setattr(made, name, value)
        sys.modules[module] = made
        return value

    kind, rebuild = fake("torch", "FloatStorage"), fake("torch._utils", "_rebuild_tensor_v2")

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return ("storage", kind, thing.key, "cpu", thing.n) if isinstance(thing, Storage) else None

        def reducer_override(self, thing):
            if not isinstance(thing, np.ndarray):
                return NotImplemented
            strides = tuple(step // thing.itemsize for step in thing.strides)
            storage = Storage(str(len(written)), thing.size)
            written.append(thing)
            return rebuild, (storage, 0, thing.shape, strides, False, collections.OrderedDict())

    written, listing = [], io.BytesIO()
    Pickler(listing, protocol=2).dump(collections.OrderedDict(tensors))
    with zipfile.ZipFile(path, "w") as archive:
        def add(name, content):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)

        add("data.pkl", listing.getvalue())
        for key, values in enumerate(written):
            add(f"data/{key}", np.ascontiguousarray(values).tobytes())
        add("version", "3\n")


def template(first, last, n_between=1):
    special = {name: {"id": name, "ids": [id], "tokens": [name]} for name, id in (first, last)}
    parts = [{"SpecialToken": {"id": first[0], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    parts += [{"SpecialToken": {"id": last[0], "type_id": 0}}]
    between = [{"SpecialToken": {"id": last[0], "type_id": 0}}] * (n_between - 1)
    return {"type": "TemplateProcessing", "single": parts, "pair": parts + between + [
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


def byte_level():
    alphabet = sorted(ByteLevel.alphabet())
    merges = [("p", "u"), ("pu", "m"), ("pum", "p"), ("t", "h"), ("th", "e"), ("Ġ", "the"), ("1", "0"), ("ä", "»")]
    pieces = alphabet + [left + right for left, right in merges]
    split = {"type": "Split", "pattern": {"Regex": r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+"},
             "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    end = ("<|endoftext|>", len(pieces))
    single = [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end[0], "type_id": 0}}]
    return len(pieces) + 1, {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": {"type": "NFC"},
        "added_tokens": [{"id": end[1], "content": end[0], "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": {"type": "Sequence", "processors": [level, {
            "type": "TemplateProcessing", "single": single, "pair": single + single,
            "special_tokens": {end[0]: {"id": end[0], "ids": [end[1]], "tokens": [end[0]]}}}]},
        "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {piece: id for id, piece in enumerate(pieces)},
                  "merges": [list(pair) for pair in merges]},
    }


def write(out, tokenizer, config, golden):
    text = json.dumps(tokenizer, ensure_ascii=False)
    (out / "tokenizer.json").write_text(text, encoding="utf-8")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")


def encoders(folder):
    for family, make, pooling, seed in (("bert", word_piece, "cls", 1), ("xlm-roberta", unigram, "mean", 2)):
        out = pathlib.Path(folder) / f"tiny-{family}"
        out.mkdir(parents=True, exist_ok=True)
        words, tokenizer = make()
        positions = POSITIONS + (2 if family != "bert" else 0)
        net = Net(family, words, positions, seed)
        net.save(out / "model.safetensors")
        if family == "bert":
            save_archive(net.tensors, out / "pytorch_model.bin")
        config = {
            "model_type": family, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "intermediate_size": WIDE, "max_position_embeddings": positions, "vocab_size": words,
            "layer_norm_eps": 1e-12, "hidden_act": "gelu", "type_vocab_size": 2 if family == "bert" else 1,
        }
        reader = Tokenizer.from_str(json.dumps(tokenizer))
        golden = []
        for line in TEXTS:
            ids = cut(reader.encode(line).ids)
            states = net.states(ids)
            golden.append(case(line, ids, states[0] if pooling == "cls" else states.mean(0)))
        write(out, tokenizer, config, golden)


def gated(folder):
    out = pathlib.Path(folder) / "tiny-gte"
    out.mkdir(parents=True, exist_ok=True)
    words, tokenizer = unigram()
    net = Gte(words, 6)
    save(net.tensors, "F16", out / "model.safetensors")
    reader = Tokenizer.from_str(json.dumps(tokenizer))
    golden = []
    for line in TEXTS:
        ids = cut(reader.encode(line).ids)
        golden.append(case(line, ids, net.states(ids)[0]))
    write(out, tokenizer, {
        "model_type": "new", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": WIDE, "max_position_embeddings": POSITIONS, "vocab_size": words, "layer_norm_eps": 1e-12,
        "layer_norm_type": "layer_norm", "hidden_act": "gelu", "type_vocab_size": 1, "pack_qkv": True,
        "position_embedding_type": "rope", "rope_theta": Gte.theta, "rope_scaling": {"type": "ntk", "factor": Gte.factor},
        "logn_attention_clip1": False, "logn_attention_scale": False,
    }, golden)


def cut(ids):
    """No more than there are positions, the last token kept."""
    return ids if len(ids) <= POSITIONS else ids[: POSITIONS - 1] + ids[-1:]


def case(line, ids, vector):
    vector = vector / np.linalg.norm(vector)
    return {"text": line, "ids": ids, "vector": [round(float(x), 6) for x in vector]}


def rerankers(folder):
    for family, make, seed in (("bert", word_piece, 3), ("xlm-roberta", unigram, 4)):
        out = pathlib.Path(folder) / f"tiny-{family}-reranker"
        out.mkdir(parents=True, exist_ok=True)
        words, tokenizer = make()
        if family != "bert":
            tokenizer["post_processor"] = template(("<s>", 0), ("</s>", 2), n_between=2)
        positions = POSITIONS + (2 if family != "bert" else 0)
        net = Net(family, words, positions, seed, is_reranker=True)
        net.save(out / "model.safetensors")
        reader = Tokenizer.from_str(json.dumps(tokenizer))
        reader.enable_truncation(POSITIONS, strategy="only_second")
        golden = []
        for question, passage in PAIRS:
            pair = reader.encode(question, passage)
            # What follows an empty passage is one closing token.
            second_from = len(reader.encode(question, "").ids) - 1
            golden.append({"question": question, "passage": passage, "ids": pair.ids, "second_from": second_from,
                           "score": round(float(net.score(pair.ids, second_from)), 6)})
        write(out, tokenizer, {
            "model_type": family, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "intermediate_size": WIDE, "max_position_embeddings": positions, "vocab_size": words,
            "layer_norm_eps": 1e-12, "hidden_act": "gelu", "type_vocab_size": 2 if family == "bert" else 1,
        }, golden)


def decoders(folder):
    out = pathlib.Path(folder) / "tiny-qwen3"
    out.mkdir(parents=True, exist_ok=True)
    words, tokenizer = byte_level()
    net = Decoder(words, 5)
    save(net.tensors, "BF16", out / "model.safetensors")
    reader = Tokenizer.from_str(json.dumps(tokenizer))
    golden = []
    for line in TEXTS[1:5]:
        ids = cut(reader.encode(line).ids)
        golden.append(case(line, ids, net.states(ids)[-1]))
    write(out, tokenizer, {
        "model_type": "qwen3", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": net.heads,
        "num_key_value_heads": net.groups, "head_dim": net.size, "intermediate_size": WIDE,
        "max_position_embeddings": POSITIONS, "vocab_size": words, "rms_norm_eps": 1e-6, "rope_theta": net.theta,
        "hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": True,
    }, golden)


if __name__ == "__main__":
    for make in (encoders, rerankers, gated, decoders):
        make(sys.argv[1])
