"""How the offline model designs and mends: typed genetic programming over known mechanisms."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from move37.agents.briefs import EngineerBrief, ResearchBrief
from move37.agents.checks.keeping import objection
from move37.agents.offline import grammar
from move37.agents.offline.turn import Call, Done, Turn
from move37.memory.vocabulary import MECHANISMS
from move37.tools.fencing import one_line

CROSSOVER = 0.25
MOST_MUTATIONS = 4
BOOST = 1.5  # of a mechanism that a retrieved paper speaks for
REPAIRS = 8  # that are tried before the code is left
_WHOLE = "Nothing: what is blamed is the whole idea, so the code stays as it is."
_FOREIGN = "Nothing: the code is not of the grammar, so nothing says what to mend in it."
_CHANGE = "# change: "
_MOTIVATION_LIMIT = 4000


@dataclass(frozen=True)
class Draft:
    """A design and the change that leads to it from its parent; `repairs` came after."""

    parent: grammar.Genome
    genome: grammar.Genome
    change: grammar.Change
    repairs: tuple[grammar.Change, ...] = ()

    @property
    def told(self) -> str:
        """Why the design is as it is, without what a repair took out again."""
        mended = [grammar.describe(repair) for repair in self.repairs]
        return " ".join([grammar.describe(self.change), *mended])

    def code(self, name: str) -> str:
        """Return the code; the change stands beside the genome, for a repair to undo."""
        text = grammar.render(self.genome, name, self.told)
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("# grammar:"))
        note = f"{_CHANGE}{self.change.model_dump_json()}"
        return "\n".join([*lines[: at + 1], note, *lines[at + 1 :], ""])

    def mended(self, reason: str, rng: random.Random) -> Draft:
        """Return the design with what the reason blames undone or replaced."""
        genome, repair = grammar.repair(self.genome, self.change, reason, rng)
        change = _change(self.parent, genome, self.change)
        return Draft(self.parent, genome, change, (*self.repairs, repair))


def _change(parent: grammar.Genome, genome: grammar.Genome, idea: grammar.Change) -> grammar.Change:
    """Return the whole change from the parent, led by the idea where that is still in it."""
    return grammar.difference(parent, genome, idea.kind, idea.field)


# --- researcher --------------------------------------------------------------------------------


def researcher_turn(turn: Turn) -> Call:
    """Search the literature, design, write, check, mend once, answer."""
    brief = ResearchBrief.model_validate(turn.brief)
    if "search_cognition" in turn.tools and not turn.calls("search_cognition"):
        return Call("search_cognition", {"query": _query(brief), "k": 4})
    draft = _draft(brief, turn)
    name = _name(brief, draft)
    step = _write_and_check(turn, draft.code(name))
    return step or Call("Design", _design(brief, turn, draft, name))


def _query(brief: ResearchBrief) -> str:
    """Return what to look up: the last thing learned of this parent, else its mechanisms."""
    parent = brief.selection.parent
    if parent.lessons:
        return parent.lessons[-1]
    if brief.lessons:
        return brief.lessons[0].text
    meanings = [MECHANISMS[tag] for tag in grammar.mechanisms(_genome(parent.code))]
    return f"weaknesses of a token mixer in which {meanings[0]}"


def _genome(code: str) -> grammar.Genome:
    """Return the genome of a design; code without one is taken for the root template."""
    return grammar.parse(code) or grammar.ROOT


def _draft(brief: ResearchBrief, turn: Turn) -> Draft:
    """Return the design: the same at every turn, and mended once where a check failed."""
    rng = random.Random(f"{brief.seed}:{brief.number}:{brief.attempt}")
    weights = _weights(brief.payoffs, _retrieved(brief, turn))
    draft = _first(brief, weights, rng)
    for failure in _failures(turn)[:1]:
        draft = draft.mended(failure, rng)
    return draft


def _first(brief: ResearchBrief, weights: Mapping[str, float], rng: random.Random) -> Draft:
    """Cross with a reference or mutate; each refused attempt adds one more mutation."""
    parent = genome = _genome(brief.selection.parent.code)
    mates = _mates(brief, parent)
    changes: list[grammar.Change] = []
    if mates and rng.random() < CROSSOVER:
        genome, change = grammar.crossover(parent, rng.choice(mates), rng)
        changes.append(change)
    wanted = min(1 + brief.attempt, MOST_MUTATIONS)
    while len(changes) < wanted or genome in (parent, *mates):
        genome, change = grammar.mutate(genome, rng, weights)
        changes.append(change)
    return Draft(parent, genome, _change(parent, genome, changes[0]))


def _mates(brief: ResearchBrief, parent: grammar.Genome) -> list[grammar.Genome]:
    """Return the genomes of the references that differ from the parent's."""
    genomes = [grammar.parse(reference.code) for reference in brief.selection.references]
    return [genome for genome in genomes if genome is not None and genome != parent]


def _weights(payoffs: Mapping[str, float], retrieved: Iterable[str]) -> dict[str, float]:
    """Return how likely each mechanism is to be chosen, from a quarter to six times as much.

    A mechanism that was never tried stands between those that paid and those that did not.
    """
    scale = max((abs(value) for value in payoffs.values()), default=0.0) or 1.0
    found = set(retrieved)
    return {
        tag: 4.0 ** (payoffs.get(tag, 0.0) / scale) * (BOOST if tag in found else 1.0)
        for tag in MECHANISMS
    }


def _papers(brief: ResearchBrief, turn: Turn) -> dict[str, tuple[str, ...]]:
    """Return the mechanisms of each lesson that was shown or found, by id."""
    papers = {item.id: item.mechanisms for item in brief.cognition}
    for done in turn.calls("search_cognition"):
        for item in done.artifact or ():
            papers[str(item["id"])] = tuple(item["mechanisms"])
    return papers


def _retrieved(brief: ResearchBrief, turn: Turn) -> set[str]:
    """Return every mechanism that the retrieved lessons speak of."""
    return {tag for tags in _papers(brief, turn).values() for tag in tags}


def _failures(turn: Turn) -> list[str]:
    """Return the reasons of the failed checks and short runs, in order."""
    return [done.failure for done in turn.done if done.failure is not None]


def _name(brief: ResearchBrief, draft: Draft) -> str:
    """Name a design by the first mechanism in which it differs from its parent."""
    before = set(grammar.mechanisms(_genome(brief.selection.parent.code)))
    after = grammar.mechanisms(draft.genome)
    fresh = [tag for tag in after if tag not in before]
    dropped = [tag for tag in MECHANISMS if tag in before and tag not in after]
    if fresh:
        return f"{fresh[0]}-{brief.number}"
    return f"without-{dropped[0]}-{brief.number}" if dropped else f"retuned-{brief.number}"


def _write_and_check(turn: Turn, code: str) -> Call | None:
    """Return the next call of writing and checking, or None when both are done."""
    written = turn.calls("write_code")
    if "write_code" in turn.tools and (not written or written[-1].arguments.get("code") != code):
        return Call("write_code", {"code": code})
    checked = [done for done in turn.since("write_code") if done.name == "check_code"]
    if "check_code" in turn.tools and written and not checked:
        return Call("check_code", {})
    return None


def _design(brief: ResearchBrief, turn: Turn, draft: Draft, name: str) -> dict[str, object]:
    """Return the structured answer of the researcher."""
    parent = brief.selection.parent
    tags = grammar.mechanisms(draft.genome)
    # A paper supports what was added, not what the parent had already.
    fresh = set(tags) - set(grammar.mechanisms(_genome(parent.code)))
    support = [i for i, of in _papers(brief, turn).items() if set(of) & fresh]
    gain = brief.noise["text"].sd if "text" in brief.noise else 0.0
    told = f"Child of {parent.name} (number {parent.number}). {draft.told}"
    hypothesis = (
        f"Against its parent's held-out loss of {parent.loss:.4f} the loss falls by at least the "
        f"baseline's own seed noise, {gain:.4f} nats per token; if it does not, the change does "
        "not matter at this scale."
    )
    return {
        "name": name,
        "motivation": told[:_MOTIVATION_LIMIT],
        "hypothesis": hypothesis,
        "expected_gain": gain,
        "mechanisms": list(tags),
        "cognition_ids": support[:4],
        "lesson_ids": _followed(brief, tags)[:4],
    }


def _followed(brief: ResearchBrief, tags: Iterable[str]) -> list[str]:
    """Return the lessons that the change follows: it repeats what helped or undoes what hurt."""
    had = set(grammar.mechanisms(_genome(brief.selection.parent.code)))
    added = {f"+{tag}" for tag in set(tags) - had}
    removed = {f"-{tag}" for tag in had - set(tags)}
    opposite = {f"-{tag[1:]}" for tag in added} | {f"+{tag[1:]}" for tag in removed}
    return [
        lesson.id
        for lesson in brief.lessons
        if (lesson.effect == "helped" and set(lesson.changed) & (added | removed))
        or (lesson.effect in ("hurt", "failed") and set(lesson.changed) & opposite)
    ]


# --- engineer ----------------------------------------------------------------------------------


def engineer_turn(turn: Turn) -> Call:
    """Undo or replace the blamed part of the change, write, check, mend once more, answer."""
    brief = EngineerBrief.model_validate(turn.brief)
    draft = _repaired(brief, turn)
    if draft is None:
        told = _WHOLE if grammar.parse(brief.proposal.code) else _FOREIGN
        return Call("Repair", _repair(brief, told, brief.proposal.mechanisms))
    step = _write_and_check(turn, draft.code(brief.proposal.name)) or _trial(brief, turn)
    told = " ".join(grammar.describe(repair) for repair in draft.repairs)
    return step or Call("Repair", _repair(brief, told, grammar.mechanisms(draft.genome)))


def _repaired(brief: EngineerBrief, turn: Turn) -> Draft | None:
    """Return the mended design: the same at every turn, and mended once more after a failure.

    None where nothing can be mended that leaves the idea: the blamed part is all of it, or the code
    is another author's, of which nothing says what to undo.
    """
    genome = grammar.parse(brief.proposal.code)
    if genome is None:
        return None
    rng = random.Random(f"{brief.seed}:{brief.number}:repair:{brief.round}")
    first = f"{brief.failed.stage}: {brief.failed.reason}"
    draft = _mended(brief, _noted(brief.proposal.code, genome), first, rng)
    for failure in _failures(turn)[:1]:
        draft = draft and (_mended(brief, draft, failure, rng) or draft)
    return draft


def _mended(brief: EngineerBrief, draft: Draft, reason: str, rng: random.Random) -> Draft | None:
    """Return the first of a few repairs that keeps the idea."""
    for _ in range(REPAIRS):
        option = draft.mended(reason, rng)
        code = option.code(brief.proposal.name)
        if _shares(draft.change, option) and not objection(brief.parent, brief.idea, code):
            return option
    return None


def _shares(change: grammar.Change, option: Draft) -> bool:
    """Whether a design still has something that a change brought; by its code it may by chance."""
    has = set(grammar.mechanisms(option.genome))
    brought, gone = set(change.added), set(change.removed)
    return bool(brought & has or (not brought and gone - has) or not (brought or gone))


def _noted(code: str, genome: grammar.Genome) -> Draft:
    """Return the design as its author noted it; without a note the root counts as its parent."""
    change = _blamed(code)
    parent = grammar.ROOT
    if change is None:
        return Draft(parent, genome, grammar.difference(parent, genome, "mutation"))
    old = {edit.field: edit.old for edit in change.edits}
    return Draft(genome.model_copy(update=old), genome, change)


def _blamed(code: str) -> grammar.Change | None:
    """Return the last change that is noted in the code, or None."""
    for line in code.splitlines():
        if line.startswith(_CHANGE):
            with suppress(ValueError):  # another author may have edited the note
                return grammar.Change.model_validate_json(line.removeprefix(_CHANGE))
    return None


def _trial(brief: EngineerBrief, turn: Turn) -> Call | None:
    """Return a short training run where the failure came from one, once after each writing."""
    if brief.failed.stage in ("policy", "gate") or "try_training" not in turn.tools:
        return None
    since: tuple[Done, ...] = turn.since("write_code")
    tried = any(done.name == "try_training" for done in since)
    return None if tried else Call("try_training", {})


def _repair(brief: EngineerBrief, told: str, tags: Iterable[str]) -> dict[str, object]:
    """Return the structured answer of the engineer."""
    return {
        "cause": f"It failed at stage {brief.failed.stage}: {one_line(brief.failed.reason, 400)}",
        "change": one_line(told, 1000),
        "mechanisms": list(tags),
    }
