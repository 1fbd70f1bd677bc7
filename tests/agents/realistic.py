"""Briefs as large as a long campaign makes them, from the real papers and the code of templates."""

from __future__ import annotations

from itertools import cycle, islice

from move37.agents.briefs import ResearchBrief, SummaryBrief
from move37.agents.prompts.evidence import show_tier
from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.evaluation.tiers import load_tier
from move37.memory.accounts import Account
from move37.memory.library import PAPERS, load_library
from move37.memory.plateau import KINDS, Plateau, Spent
from move37.memory.vocabulary import MECHANISMS
from move37.records import Candidate, Cognition, Estimate, Lesson, Selection
from tests.agents.scripted import NOISE

WORDS = (
    "The delta rule overwrites what a key recalls, but nothing lets the memory forget at once when "
    "the topic changes; the gate opens too late for that, as the loss on recall shows."
)


def code_of(lines: int, first: int = 0) -> str:
    """Return so many lines of templates, from one of them on."""
    order = (*TEMPLATES[first:], *TEMPLATES[:first])
    text = (line for name in cycle(order) for line in template_source(name).splitlines())
    return "\n".join(islice(text, lines)) + "\n"


def words(count: int) -> str:
    """Return so many words of prose."""
    return " ".join(islice(cycle(WORDS.split()), count))


def design(number: int, lines: int = 400) -> Candidate:
    """Return a design with a long file, a long motivation and four lessons."""
    return Candidate(
        number=number,
        name=f"channel-decay-{number}",
        motivation=words(400),
        code=code_of(lines, number),
        fitness=0.55,
        loss=1.79 + number / 1000,
        lessons=tuple(words(60) for _ in range(4)),
    )


def account(number: int, parent_code: str) -> Account:
    """Return the record of a design."""
    return Account(
        number=number,
        parent=number - 1,
        parent_code=parent_code,
        changed=("+channel-decay", "-short-convolution"),
        effect="unclear",
        gain=0.012,
        expected_gain=0.03,
        losses={"text": 1.79, "recall": 0.11},
        analysis=words(300),
    )


def papers(count: int) -> tuple[Cognition, ...]:
    """Return the longest lessons of the papers that come with Move37."""
    known = [one for paper in load_library(PAPERS) for one in paper.cognitions()]
    known.sort(key=lambda one: -len(one.scenario + one.algorithm + one.context))
    return tuple(known[:count])


def plateau() -> Plateau:
    """Return a plateau on which nearly every kind is used up."""
    gain = Estimate(mean=0.004, sd=0.011)
    spent = tuple(Spent(kind=kind, tries=9, stopped=2, best=gain) for kind in list(KINDS)[:9])
    untried = tuple(MECHANISMS)[-6:]
    return Plateau(
        best=31, believed=Estimate(mean=1.78, sd=0.01), results=24, spent=spent, untried=untried
    )


def full_brief(lines: int = 400, parent_codes: str | None = None) -> ResearchBrief:
    """Return the brief of a researcher late in a campaign.

    Each reference differs from its parent in everything, or is shown beside `parent_codes`.
    """
    parent, *references = (design(number, lines) for number in range(3, 8))
    told = tuple(account(one.number, parent_codes or "") for one in (parent, *references))
    return ResearchBrief(
        seed=7,
        number=57,
        attempt=3,
        selection=Selection(parent=parent, references=tuple(references), reason=words(60)),
        cognition=papers(5),
        payoffs={tag: 0.01 * place - 0.3 for place, tag in enumerate(MECHANISMS)},
        lessons=tuple(
            Lesson(
                id=f"lesson-{n}.1",
                text=words(60),
                experiment=n,
                changed=("+channel-decay", "-short-convolution"),
                supports=(12, 13),
            )
            for n in range(1, 9)
        ),
        failures=tuple(f"design-{n}: gate: {words(70)}" for n in range(8)),
        refused=tuple(words(60) for _ in range(3)),
        accounts=told,
        summaries={one.number: words(120) for one in (parent, *references)},
        plateau=plateau(),
        tier=show_tier(load_tier("laptop")),
        noise=NOISE,
    )


def summary_brief() -> SummaryBrief:
    """Return what the summarizer is asked for the same researcher."""
    brief = full_brief()
    shown = (brief.selection.parent, *brief.selection.references)
    return SummaryBrief(
        number=brief.number,
        attempt=0,
        candidates=tuple(one.model_copy(update={"code": ""}) for one in shown),
        accounts=tuple(one.model_copy(update={"parent_code": ""}) for one in brief.accounts),
        noise=NOISE,
    )
