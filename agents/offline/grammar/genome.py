"""The design space: genes, the rules between them, uniform sampling and the exact count.

A genome has one gene for each place where the literature offers a choice. What the types cannot
forbid, a `Rule` does, with its reason. A rule reads only the genes that it names; that is what
makes the exact count and the uniform draw cheap (see `linkage_groups`).
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from pydantic import model_validator

from move37.memory.vocabulary import MECHANISMS
from move37.records import Value

Gene = bool | int | str
ROUTERS = ("softmax", "sigmoid", "two_stage")
MATRIX_BUDGET = 6.5  # in units of hidden^2; the DeltaNet template with a full gate has 5
NARROW_HIDDEN = 48  # the narrowest model of the laptop tier, where long filters weigh most
NARROW_HEADS = 2
WIDTH = {"half": 0.5, "same": 1.0, "double": 2.0}


class Genome(Value):
    """One design; a combination that a rule forbids cannot be constructed.

    `filter_taps` is a long causal FIR path, `filter_per_head` shares its taps inside a head, and
    `floor_percent` is the least share of each path in a router.
    """

    memory: Literal["delta", "gated_delta", "linear"] = "delta"
    decay: Literal["none", "fixed", "head", "token"] = "none"
    beta: Literal["none", "sigmoid", "double"] = "sigmoid"
    beta_bias: bool = False
    feature_map: Literal["identity", "silu", "relu", "elu", "exp"] = "silu"
    key_norm: bool = True
    key_width: Literal["half", "same", "double"] = "same"
    value_width: Literal["same", "double"] = "same"
    conv_keys: Literal[0, 3, 4, 8] = 4
    conv_values: Literal[0, 3, 4, 8] = 4
    shift: Literal["none", "keys", "all"] = "none"
    filter_taps: Literal[0, 16, 32, 64] = 0
    filter_per_head: bool = False
    copy_path: bool = False
    value_residual: bool = False
    fusion: Literal["none", "sum", "softmax", "sigmoid", "two_stage"] = "none"
    temperature: bool = False
    floor_percent: Literal[0, 2, 5] = 0
    output_norm: bool = True
    output_gate: Literal["none", "silu", "sigmoid", "head"] = "silu"

    @model_validator(mode="after")
    def _obey_rules(self) -> "Genome":
        rule = broken_rule(self)
        if rule is not None:
            raise ValueError(rule.reason)
        return self

    @property
    def paths(self) -> int:
        """How many paths are fused: the memory, the long filter, the direct copy."""
        return 1 + bool(self.filter_taps) + self.copy_path


@dataclass(frozen=True)
class Rule:
    """A condition between the named genes that every valid genome fulfils."""

    genes: tuple[str, ...]
    holds: Callable[[Genome], bool]
    reason: str


def matrices(genome: Genome) -> float:
    """Return the parameters of the wide matrices and filters in units of hidden^2."""
    values = WIDTH[genome.value_width]
    gate = values if genome.output_gate in ("silu", "sigmoid") else 0.0
    taps = 0 if genome.filter_per_head else genome.filter_taps
    return 2 * WIDTH[genome.key_width] + 2 * values + gate + taps * values / NARROW_HIDDEN


def state_numbers(genome: Genome) -> float:
    """Return the numbers of the state a sequence, at the narrowest width with its two heads."""
    keys, values = WIDTH[genome.key_width], WIDTH[genome.value_width]
    memory = keys * values * NARROW_HIDDEN / NARROW_HEADS
    short = 2 * keys * max(0, genome.conv_keys - 1) + values * max(0, genome.conv_values - 1)
    long = values * max(0, genome.filter_taps - 1)
    return NARROW_HIDDEN * (memory + short + long + (genome.shift != "none"))


RULES: tuple[Rule, ...] = (
    Rule(
        ("memory", "decay"),
        lambda g: g.memory == "linear" or (g.memory == "delta") == (g.decay == "none"),
        "the plain delta rule has no decay, and the gated one needs one",
    ),
    Rule(
        ("memory", "beta"),
        lambda g: g.memory == "linear" or g.beta != "none",
        "a delta rule needs a write strength",
    ),
    Rule(
        ("memory", "beta"),
        lambda g: g.memory != "linear" or g.beta != "double",
        "a write strength above one means nothing where the memory only adds",
    ),
    Rule(
        ("beta", "beta_bias"),
        lambda g: g.beta != "none" or not g.beta_bias,
        "a bias needs a write strength to shift",
    ),
    Rule(
        ("memory", "feature_map", "key_norm"),
        lambda g: g.memory == "linear" or g.key_norm or g.feature_map == "exp",
        "a delta rule is stable only while keys are no longer than one",
    ),
    Rule(
        ("memory", "output_norm"),
        lambda g: g.memory != "linear" or g.output_norm,
        "an additive memory grows with length, so its output must be normalised",
    ),
    Rule(
        ("filter_taps", "copy_path", "fusion"),
        lambda g: (g.paths == 1) == (g.fusion == "none"),
        "fusion is for two or more paths, and these need one",
    ),
    Rule(
        ("filter_taps", "copy_path", "fusion"),
        lambda g: g.fusion != "two_stage" or g.paths == 3,
        "a two-stage router needs two local paths beside the memory",
    ),
    Rule(
        ("fusion", "temperature"),
        lambda g: g.fusion in ROUTERS or not g.temperature,
        "a temperature needs a router",
    ),
    Rule(
        ("fusion", "floor_percent"),
        lambda g: g.fusion in ROUTERS or not g.floor_percent,
        "a least share needs a router",
    ),
    Rule(
        ("filter_taps", "filter_per_head"),
        lambda g: bool(g.filter_taps) or not g.filter_per_head,
        "taps can be shared only where there is a long filter",
    ),
    Rule(
        ("copy_path", "fusion", "value_residual"),
        lambda g: not (g.copy_path and g.fusion == "sum" and g.value_residual),
        "a summed copy path and a value residual are the same thing twice",
    ),
    Rule(
        ("key_width", "value_width", "output_gate", "filter_taps", "filter_per_head"),
        lambda g: matrices(g) <= MATRIX_BUDGET,
        f"the matrices exceed {MATRIX_BUDGET} times hidden^2, far from the baseline's size",
    ),
)

TAGS: dict[str, dict[Gene, tuple[str, ...]]] = {
    "memory": {
        "delta": ("delta-rule",),
        "gated_delta": ("gated-delta-rule",),
        "linear": ("linear-attention",),
    },
    "decay": {
        "fixed": ("scalar-decay", "fixed-decay", "multi-timescale"),
        "head": ("scalar-decay",),
        "token": ("scalar-decay", "learned-decay"),
    },
    "beta": {"sigmoid": ("beta-sigmoid",), "double": ("beta-double",)},
    "beta_bias": {True: ("beta-per-head-bias",)},
    "feature_map": {
        name: (f"feature-map-{name}",) for name in ("identity", "silu", "relu", "elu", "exp")
    },
    "key_norm": {True: ("key-norm",)},
    "key_width": {"double": ("state-expansion",)},
    "value_width": {"double": ("state-expansion",)},
    "conv_keys": dict.fromkeys((3, 4, 8), ("short-convolution",)),
    "conv_values": dict.fromkeys((3, 4, 8), ("short-convolution",)),
    "shift": {"keys": ("token-shift",), "all": ("token-shift",)},
    "filter_taps": dict.fromkeys((16, 32, 64), ("long-convolution",)),
    "filter_per_head": {},
    "copy_path": {True: ("direct-copy",)},
    "value_residual": {True: ("value-residual",)},
    "fusion": {
        "softmax": ("path-softmax",),
        "sigmoid": ("path-sigmoid",),
        "two_stage": ("path-two-stage",),
    },
    "temperature": {True: ("router-temperature",)},
    "floor_percent": dict.fromkeys((2, 5), ("router-floor",)),
    "output_norm": {True: ("output-norm",)},
    "output_gate": dict.fromkeys(("silu", "sigmoid", "head"), ("output-gate",)),
}


def gene(genome: Genome, field: str) -> Gene:
    """Return the value of one gene."""
    value: Gene = getattr(genome, field)
    return value


@cache
def domain(field: str) -> tuple[Gene, ...]:
    """Return every value that a gene may have."""
    annotation = Genome.model_fields[field].annotation
    return (False, True) if annotation is bool else get_args(annotation)


def with_genes(genome: Genome, **genes: Gene) -> Genome:
    """Return the genome with some genes replaced, not yet checked against the rules."""
    return genome.model_copy(update=genes)


def broken_rule(genome: Genome, rules: tuple[Rule, ...] = RULES) -> Rule | None:
    """Return the first rule that a genome breaks, or None."""
    return next((rule for rule in rules if not rule.holds(genome)), None)


ROOT = Genome()
"""The `delta_net` template: delta rule, silu features, unit keys, four taps, silu gate, norm."""


def valid(genome: Genome) -> tuple[bool, str]:
    """Return whether a genome obeys every rule, and the reason where it does not."""
    rule = broken_rule(genome)
    return rule is None, "" if rule is None else rule.reason


def mechanisms(genome: Genome) -> tuple[str, ...]:
    """Return the tags of the mechanisms in a design, in the order of the vocabulary."""
    found = {tag for field in TAGS for tag in gene_tags(field, gene(genome, field))}
    return tuple(tag for tag in MECHANISMS if tag in found)


def gene_tags(field: str, value: Gene) -> tuple[str, ...]:
    """Return the tags that one value of one gene stands for."""
    return TAGS[field].get(value, ())


@cache
def linkage_groups() -> tuple[tuple[str, ...], ...]:
    """Return the connected components of genes under the rules.

    No rule spans two groups, so a genome is valid exactly when each of its groups is.
    """
    groups = [{field} for field in Genome.model_fields]
    for rule in RULES:
        joined = [group for group in groups if group & set(rule.genes)]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    order = list(Genome.model_fields)
    return tuple(sorted(tuple(sorted(group, key=order.index)) for group in groups))


def _group_rules(group: tuple[str, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if set(rule.genes) <= set(group))


@cache
def _group_size(group: tuple[str, ...]) -> int:
    rules = _group_rules(group)
    return sum(broken_rule(candidate, rules) is None for candidate in _combinations(group))


def _combinations(group: tuple[str, ...]) -> Iterator[Genome]:
    for values in itertools.product(*map(domain, group)):
        yield with_genes(ROOT, **dict(zip(group, values, strict=True)))


def size_of_space() -> int:
    """Count the distinct valid genomes exactly.

    Linkage groups do not constrain each other: every group is enumerated in full against its
    own rules, and the counts are multiplied. Rules make inert genes take one value (no
    temperature without a router), so that two genomes never mean the same program.
    """
    return math.prod(_group_size(group) for group in linkage_groups())


def sample(rng: random.Random) -> Genome:
    """Draw a genome uniformly from all valid ones: rejection inside each linkage group."""
    genome = ROOT
    for group in linkage_groups():
        genome = _draw_group(genome, group, rng)
    return Genome(**genome.model_dump())


def _draw_group(genome: Genome, group: tuple[str, ...], rng: random.Random) -> Genome:
    rules = _group_rules(group)
    while True:
        drawn = with_genes(genome, **{field: rng.choice(domain(field)) for field in group})
        if broken_rule(drawn, rules) is None:
            return drawn
