"""Earlier designs and what is known beside them, each in forms from which a prompt is packed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TypeVar

from move37.agents.prompts.packing import Form, Section, always, difference
from move37.arch_templates.catalog import op_names, ops
from move37.memory.accounts import Account
from move37.memory.plateau import Plateau, Spent
from move37.memory.vocabulary import MECHANISMS
from move37.records import Candidate, Cognition, Judgement, Noise, Proposal
from move37.tools.code import CODE_LIMIT
from move37.tools.fencing import fence, one_line
from move37.tools.knowledge import show_cognition
from move37.tools.showing import code_block

Item = TypeVar("Item")

IDEA_LIMIT = 2000
FEW = 3
NO_ROOM = "left out for want of room"


class Worth(IntEnum):
    """What a form is worth: a reference's whole code goes first, what few words tell last."""

    WHOLE_CODE = 1
    PAYOFFS = 2
    PAPER = 3
    MEANINGS = 4
    OPS = 5
    FAILURES = 6
    DIFFERENCE = 7
    REFERENCE = 8
    LESSONS = 9
    SIGNATURES = 10
    PAPER_IN_SHORT = 11
    FEW_FAILURES = 12
    FEW_LESSONS = 13
    IDEA = 14


def forms(*told: tuple[str, int]) -> Section:
    """Return a section of texts with their worth, from the fullest to the one that stays."""
    return Section(tuple(Form(text, worth) for text, worth in told))


def said(**texts: str) -> dict[str, list[Section]]:
    """Return sections that are never told more briefly, by name."""
    return {name: [always(text)] for name, text in texts.items()}


# --- designs -----------------------------------------------------------------------------------


def head_of(one: Candidate, noise: Noise | None, account: Account | None = None) -> str:
    """Return the figures of an earlier design, on one line."""
    who = f"Number {one.number}" if one.number else f"Number 0, the root template {one.name}"
    line = f"{who}: held-out loss {one.loss:.4f} nats per token"
    if noise is not None:
        line += f" (SD of a run {noise.sd:.4f})"
    line += f", fitness {one.fitness:.4f}"
    if account is not None:
        changed = ", ".join(account.changed) or "no tag changed"
        line += (
            f"; child of number {account.parent} ({changed}: {account.effect}), gain over it "
            f"{account.gain:+.4f}, expected {account.expected_gain:+.4f}"
        )
    return f"{line}."


def idea_of(one: Candidate, summary: str | None = None) -> str:
    """Return in a fence what a design is: a fresh summary, or its author's and analyst's words."""
    if summary is not None:
        return fence(f"{one_line(one.name, 80)}\n{summary}", "summary", IDEA_LIMIT)
    lines = [one_line(one.name, 80), one.motivation[:IDEA_LIMIT]]
    lines += [f"Lesson: {one_line(lesson, 600)}" for lesson in one.lessons]
    return fence("\n".join(lines), "motivation", 2 * IDEA_LIMIT)


def reference(one: Candidate, account: Account | None, shown: tuple[str, str]) -> Section:
    """Return a reference with its code as a difference, without code, and in one line."""
    head, idea = shown
    code, worth = _code_of(one, account)
    tool = f"read_experiment {one.number}" if one.number else f"read_template {one.name}"
    return forms(
        (f"{head}\n{idea}\n{code}", worth),
        (f"{head}\n{idea}\nIts code is {NO_ROOM}; {tool} shows it.", Worth.REFERENCE),
        (f"{head} The rest is {NO_ROOM}; {tool} shows it.", 0),
    )


def _code_of(one: Candidate, account: Account | None) -> tuple[str, Worth]:
    """Return how a design's code differs from its own parent's, or the code where that is less."""
    diff = None
    if account is not None:
        names = (f"number {account.parent}", f"number {one.number}")
        diff = difference(account.parent_code, one.code, names)
    if diff is None:
        return code_block(one.code), Worth.WHOLE_CODE
    return fence(diff, "diff", CODE_LIMIT), Worth.DIFFERENCE


def parent_of(one: Candidate, child: Proposal, noise: Noise | None, title: str = "") -> Section:
    """Return the parent of a design whose code is shown in full beside it."""
    head, idea = f"{title}{head_of(one, noise)}", idea_of(one)
    diff = difference(one.code, child.code, ("parent", "design"))
    code = [(code_block(one.code), Worth.WHOLE_CODE)]
    if diff is not None:
        told = f"The design against it:\n{fence(diff, 'diff', CODE_LIMIT)}"
        code.append((told, Worth.DIFFERENCE))
    return forms(
        *((f"{head}\n{idea}\n{text}", worth) for text, worth in code),
        (f"{head}\n{idea}\nIts code is {NO_ROOM}.", Worth.IDEA),
        (head, 0),
    )


def sibling(one: Candidate, noise: Noise | None) -> Section:
    """Return another child of the same parent: its idea and figures, then these alone."""
    head = head_of(one, noise)
    rest = f"{head} The rest is {NO_ROOM}; read_experiment {one.number} shows it."
    return forms((f"{head}\n{idea_of(one)}", Worth.REFERENCE), (rest, 0))


def show_proposal(proposal: Proposal) -> str:
    """Return the idea of a design and the effect that is expected of it."""
    text = f"{proposal.name}\n{proposal.motivation}\n\nHypothesis: {proposal.hypothesis}"
    tags = ", ".join(proposal.mechanisms) or "none"
    return (
        f"Revision {proposal.revision}; mechanisms: {tags}; expected fall of held-out loss "
        f"{proposal.expected_gain:.4f} nats per token.\n{fence(text, 'motivation')}"
    )


def show_judgement(judgement: Judgement | None) -> str:
    """Return the fitness, its terms and the judge's marks."""
    if judgement is None:
        return "none: the design was not judged"
    terms = ", ".join(f"{term} {value:.4f}" for term, value in judgement.terms.items())
    marks = ", ".join(f"{name} {mark:.1f}" for name, mark in judgement.rubric.marks.items())
    if judgement.spread is not None:
        marks += f" (the means of two scorings lie ± {judgement.spread:.1f} around theirs)"
    return (
        f"Fitness {judgement.fitness:.4f} ({judgement.mode}; {terms}). Marks: {marks}.\n"
        f"{fence(judgement.rubric.reason, 'judge')}"
    )


def other_losses(account: Account | None) -> list[str]:
    """Return the held-out losses of the tasks beside text."""
    losses = account.losses.items() if account else ()
    return [f"- {one_line(task)}: held-out loss {x:.4f}" for task, x in losses if task != "text"]


# --- what is known beside them -----------------------------------------------------------------


def show_noise(noise: Mapping[str, Noise]) -> str:
    """Return one line a metric: mean and standard deviation of the baseline over seeds."""
    lines = [
        f"- {one_line(metric)}: mean {n.mean:.4f}, SD {n.sd:.4f} over {n.seeds} seeds"
        for metric, n in noise.items()
    ]
    return "\n".join(lines) or "not measured"


def show_plateau(plateau: Plateau | None) -> str:
    """Return what a stalled campaign is asked for."""
    if plateau is None:
        return "No: go on from the parent."
    untried = [f"- {tag}: {MECHANISMS[tag]}" for tag in plateau.untried]
    best = f"number {plateau.best}" if plateau.best else "the root template"
    return "\n".join(
        [
            f"Yes. The best design, {best} with a believed loss of {plateau.believed.mean:.4f} ± "
            f"{plateau.believed.sd:.4f}, was not beaten by more than noise in the last "
            f"{plateau.results} results. Ask what this whole line of designs cannot do, and design "
            "a structurally different mechanism: another way to store, address, forget or read, "
            "not another value, gate or norm of the same. These kinds of change are used up:",
            *([_spent(one) for one in plateau.spent] or ["- none so often that it can be said"]),
            "Mechanisms that no design had yet, for instance:",
            *(untried or ["- all tags were tried: combine what was never together"]),
        ]
    )


def _spent(one: Spent) -> str:
    best = f"best gain {one.best.mean:+.4f} ± {one.best.sd:.4f} nats" if one.best else "no gain"
    stopped = f", {one.stopped} stopped early" if one.stopped else ""
    return f"- {one.kind}: {one.tries} changes in a row brought nothing ({best}{stopped})"


def payoffs(payoffs: Mapping[str, float]) -> Section:
    """Return what mechanisms have paid, the best first; in short the best and the worst."""
    paid = sorted(payoffs.items(), key=lambda item: -item[1])
    lines = [f"- {one_line(tag)}: {value:+.4f}" for tag, value in paid]
    ends = [*lines[:FEW], f"(those between are {NO_ROOM})", *lines[-FEW:]]
    if len(lines) <= len(ends):
        return always("\n".join(lines) or "none")
    return forms(("\n".join(lines), Worth.PAYOFFS), ("\n".join(ends), 0))


def paper(one: Cognition) -> Section:
    """Return a lesson of a paper: whole, in short, and its id alone."""
    brief = {"algorithm": one_line(one.algorithm, 300), "context": one_line(one.context, 120)}
    return forms(
        (show_cognition([one]), Worth.PAPER),
        (show_cognition([one.model_copy(update=brief)]), Worth.PAPER_IN_SHORT),
        (f"[{one.id}] is {NO_ROOM}; search_cognition finds it.", 0),
    )


def op_list() -> Section:
    """Return how each op is called and what it does; then without that, then the names alone."""
    return forms(
        ("\n".join(f"- `{op.call}`: {op.summary}" for op in ops()), Worth.OPS),
        ("\n".join(f"- `{op.call}`" for op in ops()), Worth.SIGNATURES),
        (f"{', '.join(sorted(op_names()))} (how they are called is {NO_ROOM})", 0),
    )


def tag_list() -> Section:
    """Return the tags of mechanisms with what they mean, and without."""
    lines = [f"- {tag}: {meaning}" for tag, meaning in MECHANISMS.items()]
    return forms(("\n".join(lines), Worth.MEANINGS), (", ".join(MECHANISMS), 0))


def told(items: Iterable[str], source: str) -> str:
    """Return what other agents or programs said as one fenced list."""
    lines = [f"- {one_line(item, 600)}" for item in items]
    return fence("\n".join(lines), source) if lines else "none"


def fewer(
    items: Sequence[Item],
    show: Callable[[Sequence[Item]], str],
    worth: tuple[Worth, Worth],
    tool: str = "",
) -> Section:
    """Return a list whole, its first few, and no more than that there is one."""
    if not items:
        return always("none")
    note = f"({len(items) - FEW} more are {NO_ROOM})"
    few = [(f"{show(items[:FEW])}\n{note}", worth[1])] if len(items) > FEW else []
    none = f"{NO_ROOM}; {tool} finds them" if tool else NO_ROOM
    return forms((show(items), worth[0]), *few, (none, 0))
