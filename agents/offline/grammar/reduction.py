"""A design without one of its mechanisms: the change taken back, and what hangs on it."""

from __future__ import annotations

from itertools import combinations

from move37.agents.offline.grammar.describe import edit_words
from move37.agents.offline.grammar.genome import ROOT, Gene, Genome, broken_rule, with_genes
from move37.agents.offline.grammar.variation import Edit, difference


def reductions(genome: Genome, root: Genome = ROOT) -> list[tuple[tuple[Edit, ...], Genome]]:
    """Return what the design is without each of its changes to the root.

    A change that the rules do not let go alone (a router without its paths) goes with the fewest
    others that it needs; changes that come down to the same reduction are one entry.
    """
    edits = difference(root, genome, "mutation").edits
    found: dict[Genome, tuple[Edit, ...]] = {}
    for edit in edits:
        reduced, undone = _without(genome, edit, edits)
        found.setdefault(reduced, undone)
    return [(undone, reduced) for reduced, undone in found.items()]


def _without(
    genome: Genome, edit: Edit, edits: tuple[Edit, ...]
) -> tuple[Genome, tuple[Edit, ...]]:
    others = [one for one in edits if one != edit]
    for count in range(len(edits)):
        for along in combinations(others, count):
            undone = (edit, *along)
            old: dict[str, Gene] = {one.field: one.old for one in undone}
            reduced = with_genes(genome, **old)
            if broken_rule(reduced) is None:
                return Genome(**reduced.model_dump()), undone
    raise AssertionError("taking every change back gives the root, which is valid")


def told(undone: tuple[Edit, ...]) -> str:
    """Say which change is taken back, and in brackets what goes with it."""
    first, *along = (edit_words(one) for one in undone)
    return f"{first} (and {', '.join(along)})" if along else first
