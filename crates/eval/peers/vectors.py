#!/usr/bin/env python3
"""Compares `flightdeck bench vectors` with hnswlib, usearch and faiss on the same vectors; see README.md."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np

KEPT = (100, 50, 10, 1)
EFS = (20, 50, 100, 200, 400, 800)
TOP_K, NEIGHBOURS, CONSTRUCTION = 10, 16, 200
ROUNDS = 3
MOST_SECONDS = 3.0


def enough(vectors, n, random):
    """The vectors, and slightly changed copies of them where there are too few."""
    parts, have = [vectors[:n]], min(n, len(vectors))
    while have < n:
        part = vectors[: n - have] + 0.02 * random.standard_normal((min(n - have, len(vectors)), vectors.shape[1]))
        parts.append((part / np.linalg.norm(part, axis=1, keepdims=True)).astype(np.float32))
        have += len(part)
    return np.concatenate(parts)


def keeps(n, percent):
    """As the program's own benchmark chooses them."""
    rows = np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B9)
    return rows % np.uint64(10_007) * np.uint64(100) < np.uint64(percent * 10_007)


def time_of(search, questions):
    took = []
    for _ in range(ROUNDS):
        started, n = time.process_time(), 0
        for question in questions:
            search(question)
            n += 1
            if time.process_time() - started > MOST_SECONDS:
                break
        took.append((time.process_time() - started) / n)
    return statistics.median(took) * 1e6


def line(who, kept, ef, micros, recall):
    print(f"| {who} | {kept} % | {ef} | {micros:.0f} | {recall:.4f} |", flush=True)


def measure(who, kept, ef, search, questions, truth):
    hits = sum(len(set(map(int, search(q))) & set(map(int, t))) for q, t in zip(questions, truth))
    line(who, kept, ef, time_of(search, questions), hits / max(1, sum(map(len, truth))))


def with_faiss(rows, questions, allowed, truths):
    import faiss

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    started = time.process_time()
    graph = faiss.IndexHNSWFlat(rows.shape[1], NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = CONSTRUCTION
    graph.add(rows)
    print(f"faiss {faiss.__version__}: graph built in {time.process_time() - started:.0f} CPU s")
    for kept in KEPT:
        selector = None if kept == 100 else faiss.IDSelectorBitmap(np.packbits(allowed[kept], bitorder="little"))
        flat_settings = faiss.SearchParameters(sel=selector)
        measure("faiss flat f32", kept, "", lambda q: flat.search(q[None], TOP_K, params=flat_settings)[1][0],
                questions, truths[kept])
        for ef in EFS:
            settings = faiss.SearchParametersHNSW(efSearch=ef, sel=selector)
            measure("faiss HNSW f32", kept, ef, lambda q: graph.search(q[None], TOP_K, params=settings)[1][0],
                    questions, truths[kept])


def with_hnswlib(rows, questions, allowed, truths):
    import hnswlib

    index = hnswlib.Index("ip", rows.shape[1])
    index.init_index(len(rows), ef_construction=CONSTRUCTION, M=NEIGHBOURS, random_seed=1)
    index.set_num_threads(1)
    started = time.process_time()
    index.add_items(rows, num_threads=1)
    print(f"hnswlib: graph built in {time.process_time() - started:.0f} CPU s")
    for kept in KEPT:
        mask = allowed[kept]
        filter = None if kept == 100 else lambda id: bool(mask[id])
        for ef in EFS:
            index.set_ef(ef)

            def search(question):
                try:
                    return index.knn_query(question, TOP_K, num_threads=1, filter=filter)[0][0]
                except RuntimeError:  # fewer than ten were met
                    return []

            measure("hnswlib f32 (filter in Python)" if filter else "hnswlib f32", kept, ef, search, questions,
                    truths[kept])


def with_usearch(rows, questions, allowed, truths):
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="ip", dtype="f16", connectivity=NEIGHBOURS,
                  expansion_add=CONSTRUCTION, expansion_search=EFS[0])
    started = time.process_time()
    index.add(np.arange(len(rows)), rows, threads=1)
    print(f"usearch: graph built in {time.process_time() - started:.0f} CPU s")
    for ef in EFS:
        index.expansion_search = ef
        measure("usearch f16", 100, ef, lambda q: index.search(q, TOP_K, threads=1).keys, questions, truths[100])


def ours(program, rows, questions, graph):
    with tempfile.TemporaryDirectory() as folder:
        for name, values in (("rows", rows), ("questions", questions)):
            values.astype("<f4").tofile(pathlib.Path(folder) / name)
        command = [program, "--data", folder, "bench", "vectors", "--rows", f"{folder}/rows", "--questions",
                   f"{folder}/questions", "--dimension", str(rows.shape[1]), "--json"] + (["--graph"] if graph else [])
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"flightdeck ({report['kernel']}): written in {report['write_cpu_seconds']:.1f} CPU s, opened in "
          f"{report['load_seconds']:.3f} s, {report['disk_bytes'] / 2**20:.0f} MiB on disk")
    for search in report["searches"]:
        line(f"flightdeck {search['by']}", search["kept_percent"], search["ef"] or "", search["microseconds"],
             search["recall"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--vectors", required=True, type=pathlib.Path)
    parser.add_argument("--dimension", default=384, type=int)
    parser.add_argument("--rows", default=50_000, type=int)
    parser.add_argument("--questions", default=200, type=int)
    parser.add_argument("--graph", action="store_true", help="our graph too, which takes long to build")
    parser.add_argument("--peers", default="faiss,hnswlib,usearch")
    arguments = parser.parse_args()
    random = np.random.default_rng(7)
    vectors = np.unique(np.fromfile(arguments.vectors, "<f4").reshape(-1, arguments.dimension), axis=0)
    random.shuffle(vectors)
    questions, vectors = vectors[: arguments.questions], vectors[arguments.questions :]
    rows = enough(vectors, arguments.rows, random)
    print(f"{len(rows)} rows, {min(len(vectors), len(rows))} of them as given, {len(questions)} questions, top {TOP_K}")
    allowed = {kept: keeps(len(rows), kept) for kept in KEPT}
    truths = {}
    for kept in KEPT:
        ids = np.flatnonzero(allowed[kept])
        scores = questions @ rows[ids].T
        nearest = np.argpartition(-scores, min(TOP_K, len(ids)) - 1, axis=1)[:, :TOP_K]
        truths[kept] = [ids[row] for row in nearest]
    print("| who | kept | ef | CPU µs | recall@10 |\n| --- | --- | --- | --- | --- |")
    ours(arguments.program, rows, questions, arguments.graph)
    for name, way in (("faiss", with_faiss), ("hnswlib", with_hnswlib), ("usearch", with_usearch)):
        if name in arguments.peers.split(","):
            try:
                way(rows, questions, allowed, truths)
            except ImportError as error:
                print(f"{name} is left out: {error}")


if __name__ == "__main__":
    main()
