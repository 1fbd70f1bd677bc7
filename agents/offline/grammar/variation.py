"""Variation: mutation, crossover and repair of genomes, each told as a frozen `Change`.

The caller gives the `random.Random`; the same draws give the same designs. A change of one gene
may call for others (a router for a new path), which are drawn too and stand after it.
"""

import random
import re
from collections.abc import Mapping
from typing import Literal

from move37.agents.offline.grammar.genome import (
    RULES,
    Gene,
    Genome,
    broken_rule,
    domain,
    gene,
    gene_tags,
    linkage_groups,
    mechanisms,
    with_genes,
)
from move37.records import Value

Kind = Literal["mutation", "crossover", "repair"]
MOST_COMPANIONS = 6
DETOUR = 4.0
LEAST_WEIGHT = 1e-3  # a mechanism that did badly stays reachable
CROSSOVER_TRIES = 32


class Edit(Value):
    """One gene's old and new value."""

    field: str
    old: bool | int | str
    new: bool | int | str


class Change(Value):
    """What turned one genome into another; the first edit is the idea, the rest follow from it.

    `added` and `removed` are mechanism tags that only one of the two genomes carries.
    """

    kind: Kind
    edits: tuple[Edit, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The gene that the change is about; empty when nothing changed."""
        return self.edits[0].field if self.edits else ""

    @property
    def old(self) -> Gene:
        """The old value of that gene; empty when nothing changed."""
        return self.edits[0].old if self.edits else ""

    @property
    def new(self) -> Gene:
        """The new value of that gene; empty when nothing changed."""
        return self.edits[0].new if self.edits else ""

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The tags that the change is to be credited to: of its idea, old and new value."""
        if not self.edits:
            return ()
        both = gene_tags(self.field, self.new) + gene_tags(self.field, self.old)
        return tuple(dict.fromkeys(both))


def difference(before: Genome, after: Genome, kind: Kind, first: str = "") -> Change:
    """Return the change between two genomes, led by the gene `first` where that one changed."""
    fields = [name for name in Genome.model_fields if gene(before, name) != gene(after, name)]
    fields.sort(key=lambda name: name != first)
    had, has = mechanisms(before), mechanisms(after)
    return Change(
        kind=kind,
        edits=tuple(
            Edit(field=name, old=gene(before, name), new=gene(after, name)) for name in fields
        ),
        added=tuple(tag for tag in has if tag not in had),
        removed=tuple(tag for tag in had if tag not in has),
    )


# --- mutation -----------------------------------------------------------------------------------


def mutate(
    genome: Genome, rng: random.Random, weights: Mapping[str, float]
) -> tuple[Genome, Change]:
    """Change one gene, and what the rules then ask for; never returns the same genome.

    A tag's weight above 1 makes its mechanism more likely to be added and less to be removed.
    """
    child, field = _mutated(genome, rng, weights)
    return child, difference(genome, child, "mutation", field)


def _mutated(
    genome: Genome,
    rng: random.Random,
    weights: Mapping[str, float],
    banned: frozenset[Genome] = frozenset(),
    kept: frozenset[str] = frozenset(),
) -> tuple[Genome, str]:
    """Return a mutant that is not banned and whose `kept` genes are as they were."""
    children: list[tuple[Genome, str]] = []
    chances: list[float] = []
    for field, value in _options(genome, kept):
        child = settle(with_genes(genome, **{field: value}), kept | {field}, rng)
        if child is not None and child not in banned:
            children.append((child, field))
            chances.append(_chance(genome, field, value, weights) / _detour(genome, child))
    return rng.choices(children, chances)[0]


def _options(genome: Genome, kept: frozenset[str]) -> list[tuple[str, Gene]]:
    return [
        (field, value)
        for field in Genome.model_fields
        if field not in kept
        for value in domain(field)
        if value != gene(genome, field)
    ]


def _detour(genome: Genome, child: Genome) -> float:
    """Return how much less likely a mutant is for the genes that had to follow its idea.

    The first is free (a path needs its router, a gated memory its decay); experiments that
    change one thing at a time teach more.
    """
    changed = sum(gene(genome, name) != gene(child, name) for name in Genome.model_fields)
    return DETOUR ** max(0, changed - 2)


def _chance(genome: Genome, field: str, value: Gene, weights: Mapping[str, float]) -> float:
    """Return the weight of one option; every gene starts with the same total."""
    alternatives = len(domain(field)) - 1
    gained, lost = gene_tags(field, value), gene_tags(field, gene(genome, field))
    weight = _mean(gained, lost, weights) / _mean(lost, gained, weights)
    return max(weight, LEAST_WEIGHT) / alternatives


def _mean(tags: tuple[str, ...], without: tuple[str, ...], weights: Mapping[str, float]) -> float:
    values = [max(weights.get(tag, 1.0), LEAST_WEIGHT) for tag in tags if tag not in without]
    return sum(values) / len(values) if values else 1.0


def settle(genome: Genome, pinned: frozenset[str], rng: random.Random) -> Genome | None:
    """Return the nearest genome that obeys the rules with the pinned genes as they are.

    Iterative deepening over the genes of the first broken rule, so that as few genes as
    possible change; the order of equals is drawn. None where the pinned genes forbid it.
    """
    for depth in range(MOST_COMPANIONS + 1):
        found = _settle_within(genome, pinned, rng, depth)
        if found is not None:
            return Genome(**found.model_dump())
    return None


def _settle_within(
    genome: Genome, pinned: frozenset[str], rng: random.Random, depth: int
) -> Genome | None:
    rule = broken_rule(genome, RULES)
    if rule is None:
        return genome
    if depth == 0:
        return None
    moves = [move for move in _options(genome, pinned) if move[0] in rule.genes]
    rng.shuffle(moves)
    for field, value in moves:
        moved = with_genes(genome, **{field: value})
        found = _settle_within(moved, pinned | {field}, rng, depth - 1)
        if found is not None:
            return found
    return None


# --- crossover ----------------------------------------------------------------------------------


def crossover(a: Genome, b: Genome, rng: random.Random) -> tuple[Genome, Change]:
    """Mix two genomes; every gene comes from one of them, and the change is told against `a`.

    Genes are drawn singly; if no valid child that differs from both turns up, whole linkage
    groups are drawn, which is always valid. Equal parents give their like and an empty change.
    """
    child = _mix(a, b, rng, tuple((field,) for field in Genome.model_fields))
    if child is None:
        child = _mix(a, b, rng, linkage_groups())
    if child is None:  # the parents differ in one group only, and that one does not divide
        child = b
    change = difference(a, child, "crossover")
    first = rng.choice(change.edits).field if change.edits else ""
    return child, difference(a, child, "crossover", first)


def _mix(
    a: Genome, b: Genome, rng: random.Random, blocks: tuple[tuple[str, ...], ...]
) -> Genome | None:
    for _ in range(CROSSOVER_TRIES):
        taken = [block for block in blocks if rng.random() < 0.5]
        child = with_genes(a, **{name: gene(b, name) for block in taken for name in block})
        if child not in (a, b) and broken_rule(child) is None:
            return child
    return None


# --- repair -------------------------------------------------------------------------------------

BLAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"filter|long.?conv|causal_conv|\bfir\b", ("filter_taps", "filter_per_head")),
    (r"shortconv|short conv|_conv\b", ("conv_keys", "conv_values")),
    (r"shift", ("shift",)),
    (r"decay|a_proj|log_rate", ("decay", "memory")),
    (r"beta|b_proj|b_bias|eigenvalue", ("beta", "beta_bias")),
    (r"router|share", ("fusion", "temperature", "floor_percent")),
    (r"g_proj|output gate", ("output_gate",)),
    (r"rmsnorm|output norm", ("output_norm",)),
    (r"feature|l2norm|key norm", ("feature_map", "key_norm")),
    (r"residual", ("value_residual",)),
    (
        r"\bnan\b|\binf\b|finite|overflow|diverg|numeric|explod",
        ("output_norm", "key_norm", "feature_map", "beta", "decay", "memory"),
    ),
    (
        r"slow|seconds|timeout|step time|memory limit|out of memory|parameters",
        ("filter_taps", "value_width", "key_width", "conv_keys", "conv_values"),
    ),
    (r"causal|future|prefix|suffix", ("filter_taps", "conv_keys", "conv_values", "shift")),
    (r"recurrent|decode|state", ("filter_taps", "shift", "memory")),
)


def repair(
    genome: Genome, change: Change, reason: str, rng: random.Random
) -> tuple[Genome, Change]:
    """Undo or replace the part of `change` that the report blames.

    `change` leads from the parent to `genome`. The blamed gene never keeps its value, and the
    result is neither `genome` nor the parent again, so it is still a design of its own.
    """
    parent = _undone(genome, change)
    field = _blamed(change, reason, rng)
    banned = frozenset({genome, parent})
    options = _without(genome, field, rng) if field else []
    fresh = [option for option in options if option not in banned]
    repaired = fresh[0] if fresh else _elsewhere(parent, field, banned, rng)
    return repaired, difference(genome, repaired, "repair", field)


def _undone(genome: Genome, change: Change) -> Genome:
    undone = with_genes(genome, **{edit.field: edit.old for edit in change.edits})
    return undone if broken_rule(undone) is None else genome


def _blamed(change: Change, reason: str, rng: random.Random) -> str:
    """Return the changed gene that the words of a report point to; otherwise the change's idea.

    A crossover has no single idea, so one of its genes is drawn.
    """
    changed = {edit.field for edit in change.edits}
    for pattern, fields in BLAME:
        suspects = [field for field in fields if field in changed]
        if suspects and re.search(pattern, reason, re.IGNORECASE):
            return suspects[0]
    if change.kind == "crossover" and change.edits:
        return rng.choice(change.edits).field
    return change.field


def _without(genome: Genome, field: str, rng: random.Random) -> list[Genome]:
    """Return valid genomes with another value of one gene, drawn order, settled."""
    values = [value for value in domain(field) if value != gene(genome, field)]
    rng.shuffle(values)
    settled = [
        settle(with_genes(genome, **{field: value}), frozenset({field}), rng) for value in values
    ]
    return [option for option in settled if option is not None]


def _elsewhere(parent: Genome, field: str, banned: frozenset[Genome], rng: random.Random) -> Genome:
    """Return the parent with another idea that leaves the blamed gene as the parent had it."""
    return _mutated(parent, rng, {}, banned, frozenset({field} - {""}))[0]
