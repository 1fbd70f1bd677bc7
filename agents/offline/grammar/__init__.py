"""A typed grammar of token mixers over mechanisms of the literature."""

from move37.agents.offline.grammar.describe import describe
from move37.agents.offline.grammar.genome import (
    ROOT,
    Genome,
    mechanisms,
    sample,
    size_of_space,
    valid,
)
from move37.agents.offline.grammar.reduction import reductions, told
from move37.agents.offline.grammar.render import equation, parse, render
from move37.agents.offline.grammar.variation import (
    Change,
    Edit,
    crossover,
    difference,
    mutate,
    repair,
)
from move37.memory.vocabulary import DESIGNED

__all__ = [
    "DESIGNED",
    "ROOT",
    "Change",
    "Edit",
    "Genome",
    "crossover",
    "describe",
    "difference",
    "equation",
    "mechanisms",
    "mutate",
    "parse",
    "reductions",
    "render",
    "repair",
    "sample",
    "size_of_space",
    "told",
    "valid",
]
