"""The labelled set of the novelty check: earlier designs, a new proposal, and what should be said.

Designs are the templates, the good files of the corpus and designs of the grammar. All but those
of the grammar name no mechanism, so that only words and code can tell them apart.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from move37.agents.offline import grammar
from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.memory.embedding import WordLlama
from move37.memory.novelty import check_novelty
from move37.records import Experiment, Proposal
from tests.hostile.cases import corpus
from tests.memory import variants
from tests.memory.examples import proposal, scored

OTHER_IDEA = "A long causal filter beside the memory, as local spelling is lost in a blurred state."
FAR = 5  # genes; what differs in as many is another design by any measure
GRAMMAR_DESIGNS = 150

# The idea of each template as another author would put it.
OTHER_WORDS = {
    "delta_net": "A linear attention layer that replaces the old value under a key, so that the "
    "memory does not pile up.",
    "gated_delta_net": "A delta memory that replaces single keys and, by a gate, also forgets as a "
    "whole.",
    "kda": "The gated delta rule as in Kimi Delta Attention, with each key channel decaying by "
    "itself.",
    "delta_product": "Taking several delta rule steps per token, in order that the memory can "
    "rotate.",
    "linear_attention": "Attention in linear time: the exponential of softmax becomes a product of "
    "features.",
    "ret_net": "Linear attention with a sense of distance, by rotating keys and a fixed decay per "
    "head.",
    "gla": "Linear attention with gates: every key channel forgets at a pace of its own.",
    "mamba2": "A state space model where each token decides the length of its step.",
    "rwkv7": "A memory in which the key that is removed and the key that is written differ, with a "
    "pace for each channel.",
    "hybrid": "Three layers of blurred memory of everything for each layer with the latest tokens "
    "kept sharp.",
    "path_gate_fusion_net": "A router that decides first between copying and looking back, then "
    "where to look.",
    "content_sharp_router": "Every head mixes four memories, knowing what each answers and how "
    "sure it is.",
    "fusion_gated_fir_net": "Each local or global path has a gate of its own, so that paths do "
    "not compete.",
    "hier_gate_net": "A gate first for near or far, then for which of two there, where no path "
    "can die.",
    "ada_multi_path_gate_net": "One gate with logits set for the layer, the head and the token.",
}


@dataclass(frozen=True)
class Design:
    """A program with the idea that it stands for."""

    name: str
    code: str
    motivation: str
    genome: grammar.Genome | None = None

    def proposed(
        self, code: str | None = None, motivation: str | None = None, genome: bool = True
    ) -> Proposal:
        tags = grammar.mechanisms(self.genome) if self.genome and genome else ()
        return proposal(motivation or self.motivation, code or self.code, tags)


@dataclass(frozen=True)
class Case:
    """A proposal after a history; `exact` must be refused, `really_new` must pass."""

    label: str
    told: Proposal
    history: tuple[Experiment, ...]
    exact: bool = False
    really_new: bool = False


def judged(case: Case) -> str:
    """Return the reason for which the check refuses, or nothing."""
    near = nearest(case.told.motivation, case.history)
    novelty = check_novelty(case.told, case.history, near)
    return novelty.reason if novelty.verdict == "repeat" else ""


def nearest(text: str, history: Sequence[Experiment], k: int = 5) -> tuple[tuple[int, float], ...]:
    """Return numbers and cosines as `Motivations.nearest` does, without a store."""
    mine = vector(text)
    pairs = (
        (one.number, float(mine @ vector(one.proposal.motivation)))
        for one in history
        if one.proposal
    )
    return tuple(sorted(pairs, key=lambda pair: -pair[1])[:k])


vector = lru_cache(maxsize=8192)(lambda text: WordLlama().embed([text])[0])


# --- designs ------------------------------------------------------------------------------------


def written(templates: int | None = None) -> list[Design]:
    """Return what was written by hand: templates first, then the good files of the corpus."""
    found = []
    for name in TEMPLATES[:templates]:
        code = template_source(name)
        title = (ast.get_docstring(ast.parse(code)) or name).splitlines()[0]
        found.append(Design(name, code, title))
    if templates is None:
        good = (case for case in corpus() if case.kind == "good")
        found += [Design(case.name, case.source, case.does) for case in good]
    return found


def drawn(count: int, rng: random.Random) -> list[Design]:
    """Return designs of the grammar, each told as the change that leads to it."""
    return [bred(grammar.sample(rng), rng)[1] for _ in range(count)]


def bred(parent: grammar.Genome, rng: random.Random) -> tuple[Design, Design]:
    """Return a design and its child, one mutation away."""
    genome, change = grammar.mutate(parent, rng, {})
    return _of_grammar(parent, "The parent."), _of_grammar(genome, grammar.describe(change))


def _of_grammar(genome: grammar.Genome, motivation: str) -> Design:
    return Design("grammar", grammar.render(genome, "Design", motivation), motivation, genome)


def distance(one: grammar.Genome, other: grammar.Genome) -> int:
    """Return in how many genes two designs differ."""
    return sum(value != other.model_dump()[gene] for gene, value in one.model_dump().items())


# --- cases --------------------------------------------------------------------------------------


def cases(rng: random.Random) -> Iterator[Case]:
    """Yield the whole set; equal draws, equal set."""
    by_hand, by_grammar = written(), drawn(GRAMMAR_DESIGNS, rng)
    every = [*by_hand, *by_grammar[:40]]
    yield from same_program(every, rng)
    yield from other_numbers(every, rng)
    yield from other_words(by_hand[: len(TEMPLATES)], rng)
    yield from other_mechanism(by_hand, rng)
    yield from one_mutation(by_grammar, rng)
    yield from really_new(by_hand, by_grammar)


def same_program(designs: Sequence[Design], rng: random.Random) -> Iterator[Case]:
    """Exact repeats, each with a motivation that says something else."""
    for design in designs:
        earlier = (scored(1, told=design.proposed()),)
        code = variants.renamed(design.code, rng)
        yield Case("renamed", design.proposed(code, OTHER_IDEA), earlier, exact=True)
        moved = variants.reordered(design.code, rng)
        if moved:
            yield Case("reordered", design.proposed(moved, OTHER_IDEA), earlier, exact=True)
            both = variants.renamed(moved, rng)
            told = design.proposed(both, OTHER_IDEA)
            yield Case("renamed and reordered", told, earlier, exact=True)


def other_numbers(designs: Sequence[Design], rng: random.Random) -> Iterator[Case]:
    """Changed constants that the motivation does not speak of, and such that it argues for."""
    for design in designs:
        earlier = (scored(1, told=design.proposed()),)
        changed = variants.other_numbers(design.code, rng)
        if changed:
            code, number = changed
            yield Case("other numbers, not argued for", design.proposed(code), earlier)
            argued = f"{design.motivation} With {number:g} there, as less was too little."
            yield Case("other numbers, argued for", design.proposed(code, argued), earlier)


def other_words(templates: Sequence[Design], rng: random.Random) -> Iterator[Case]:
    """The same design with temporaries and methods elsewhere, told in other words."""
    for design in templates:
        earlier = (scored(1, told=design.proposed()),)
        code = variants.reworded(design.code, rng)
        if code:
            code = variants.renamed(code, rng)
            told = design.proposed(code, OTHER_WORDS[design.name])
            yield Case("the same in other words", told, earlier)
            told = design.proposed(code, OTHER_IDEA)
            yield Case("the same code reworded, another idea told", told, earlier)


def other_mechanism(designs: Sequence[Design], rng: random.Random) -> Iterator[Case]:
    """One operation swapped; the motivation is the old one and says what was swapped."""
    for design in designs:
        swapped = variants.other_mechanism(design.code, rng)
        if swapped:
            code, old, new = swapped
            motivation = f"{design.motivation} Now with {new} in place of {old}."
            earlier = (scored(1, told=design.proposed()),)
            yield Case("one mechanism swapped", design.proposed(code, motivation), earlier)


def one_mutation(designs: Sequence[Design], rng: random.Random) -> Iterator[Case]:
    """A child of the grammar after its parent."""
    for design in designs:
        assert design.genome is not None
        _, child = bred(design.genome, rng)
        earlier = (scored(1, told=design.proposed()),)
        yield Case("one mutation of the grammar", child.proposed(), earlier)


def really_new(by_hand: Sequence[Design], by_grammar: Sequence[Design]) -> Iterator[Case]:
    """Each design after all others of its kind, but for those of the grammar that lie near."""
    for design in by_hand:
        others = [one for one in by_hand if one is not design]
        yield Case("really new, by hand", design.proposed(), _history(others), really_new=True)
    for design in by_grammar:
        assert design.genome is not None
        far = [
            one for one in by_grammar if one.genome and distance(one.genome, design.genome) >= FAR
        ]
        told = design.proposed()
        yield Case("really new, of the grammar", told, _history(far), really_new=True)


def _history(designs: Sequence[Design]) -> tuple[Experiment, ...]:
    return tuple(scored(number, told=one.proposed()) for number, one in enumerate(designs, start=1))
