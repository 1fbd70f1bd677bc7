"""The prompts: one document a role, filled from a brief by one function."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template

from langchain_core.messages import HumanMessage

from move37.agents.briefs import (
    AblationBrief,
    AnalystBrief,
    Brief,
    EngineerBrief,
    ForecastBrief,
    JudgeBrief,
    ReaderBrief,
    ResearchBrief,
)
from move37.arch_templates.catalog import ops
from move37.memory.intake import TEXT_LIMIT
from move37.memory.vocabulary import FAMILIES, MECHANISMS, PRACTICES
from move37.records import Candidate, Judgement, Measured, Noise, Proposal
from move37.tools.fencing import fence, one_line
from move37.tools.knowledge import show_cognition, show_lessons
from move37.tools.showing import (
    code_block,
    show_curve,
    show_failed,
    show_losses,
    show_size,
)

CONTEXT_KEY = "move37"
_SPLIT = "<!-- message -->"


def _document(role: str) -> tuple[str, str]:
    """Return the system prompt and the message template of a role."""
    text = files("move37.agents").joinpath("prompts", f"{role}.md").read_text("utf-8")
    system, template = text.split(_SPLIT)
    return system.strip(), template.strip()


def system_prompt(role: str) -> str:
    """Return the system prompt of a role."""
    return _document(role)[0]


def fill(role: str, values: Mapping[str, str]) -> str:
    """Return the message of a role.

    Raises:
        KeyError: the document names a value that is not given, or is given one it never names.
    """
    template = Template(_document(role)[1])
    differing = set(template.get_identifiers()) ^ set(values)
    if differing:
        raise KeyError(f"prompt {role}.md and its values differ in: {sorted(differing)}")
    return template.substitute(values)


def message(brief: Brief) -> HumanMessage:
    """Return the message for the role that this brief is for; the brief rides along as data.

    Chat models of providers read the text alone: LangChain does not send `additional_kwargs`.
    """
    role, values = _rendered(brief)
    context = {"role": role, "brief": json.loads(brief.model_dump_json())}
    return HumanMessage(fill(role, values), additional_kwargs={CONTEXT_KEY: context})


def role_of(brief: Brief) -> str:
    """Return the role that a brief is for."""
    return _rendered(brief)[0]


def _rendered(brief: Brief) -> tuple[str, dict[str, str]]:
    """Return the role of a brief, and the values that its document names."""
    match brief:
        case ResearchBrief():
            return "researcher", _research(brief)
        case EngineerBrief():
            return "engineer", _engineer(brief)
        case ForecastBrief():
            return "forecaster", _forecast(brief)
        case JudgeBrief():
            return "judge", _judge(brief)
        case AnalystBrief():
            return "analyst", _analyst(brief)
        case ReaderBrief():
            return "reader", _reader(brief)
        case AblationBrief():
            return "ablation", _ablation(brief)


def _research(brief: ResearchBrief) -> dict[str, str]:
    """Return the values of the researcher's message."""
    paid = sorted(brief.payoffs.items(), key=lambda item: -item[1])
    references = brief.selection.references
    return {
        "number": str(brief.number),
        "attempt": str(brief.attempt),
        "tier": brief.tier,
        "noise": _noise(brief.noise),
        "reason": brief.selection.reason,
        "parent": _candidate(brief.selection.parent, code=True),
        "references": "\n\n".join(_candidate(r, code=True) for r in references) or "none",
        "lessons": show_lessons(brief.lessons),
        "failures": _told(brief.failures, "failures"),
        "refused": _told(brief.refused, "refusals"),
        "payoffs": "\n".join(f"- {one_line(tag)}: {value:+.4f}" for tag, value in paid) or "none",
        "cognition": show_cognition(brief.cognition),
        "ops": "\n".join(f"- `{op.call}`: {op.summary}" for op in ops()),
        "mechanisms": "\n".join(f"- {tag}: {meaning}" for tag, meaning in MECHANISMS.items()),
    }


def _engineer(brief: EngineerBrief) -> dict[str, str]:
    """Return the values of the engineer's message."""
    return {
        "number": str(brief.number),
        "round": str(brief.round),
        "proposal": _proposal(brief.proposal),
        "failure": show_failed(brief.failed),
        "code": code_block(brief.proposal.code),
    }


def _forecast(brief: ForecastBrief) -> dict[str, str]:
    """Return the values of the message before a training; every other scoring turns the order."""
    noise = brief.noise
    believed = (
        f"Loss of the parent: {brief.believed.mean:.4f} ± {brief.believed.sd:.4f}; of its children "
        f"by descent alone: {brief.prior.mean:.4f} ± {brief.prior.sd:.4f}; two runs of one design "
        f"differ by a seed SD of {noise.sd:.4f}; the root has {noise.mean:.4f}. Nats per token."
    )
    sections = [
        f"## Design\n{_proposal(brief.proposal)}",
        f"## Parent\n{_candidate(brief.parent, code=True)}",
        f"## What is believed\n{believed}",
        f"## What earlier children gained by the same changes\n{_gains(brief)}",
        f"## Code\n{code_block(brief.proposal.code)}",
    ]
    ordered = sections[::-1] if brief.scoring % 2 else sections
    return {
        "number": str(brief.number),
        "tier": brief.tier,
        "evidence": "\n\n".join(ordered),
    }


def _gains(brief: ForecastBrief) -> str:
    """Return a line for each change: how often it was made, and the mean gain."""
    lines = []
    for change in brief.changed:
        gains = brief.gains.get(change, ())
        told = f"mean {sum(gains) / len(gains):+.4f} nats in {len(gains)}" if gains else "not tried"
        lines.append(f"- {one_line(change)}: {told}")
    return "\n".join(lines) or "no mechanism was changed"


def _judge(brief: JudgeBrief) -> dict[str, str]:
    """Return the values of the judge's message."""
    baseline = brief.baseline
    return {
        "number": str(brief.number),
        "proposal": _proposal(brief.proposal),
        "losses": show_losses(brief.measured, baseline.noise),
        "size": show_size(brief.measured.size),
        "curve": show_curve(brief.measured.curve) or "none",
        "baseline_name": baseline.name,
        "baseline_size": show_size(baseline.size),
        "baseline_curve": show_curve(baseline.curve) or "none",
        "parent": _candidate(brief.parent, code=True),
        "code": code_block(brief.proposal.code),
    }


def _analyst(brief: AnalystBrief) -> dict[str, str]:
    """Return the values of the analyst's message."""
    outcome = brief.outcome
    if isinstance(outcome, Measured):
        shown = [show_losses(outcome, brief.noise), show_size(outcome.size)]
        result = "\n".join([*shown, show_curve(outcome.curve)])
    else:
        result = show_failed(outcome)
    return {
        "proposal": _proposal(brief.proposal),
        "outcome": result,
        "judgement": _judgement(brief.judgement),
        "parent": _candidate(brief.parent, code=True),
        "siblings": "\n\n".join(_candidate(s) for s in brief.siblings) or "none",
        "changed": f"{', '.join(brief.changed) or 'no tag'}: {brief.effect}",
        "lessons": show_lessons(brief.lessons),
        "noise": _noise(brief.noise),
        "code": code_block(brief.proposal.code),
    }


def _reader(brief: ReaderBrief) -> dict[str, str]:
    """Return the values of the reader's message."""
    facts = [f"- {key}: {one_line(str(value), 300)}" for key, value in brief.facts.items()]
    tags = [f"- {tag}: {meaning}" for tag, meaning in (MECHANISMS | PRACTICES).items()]
    return {
        "name": one_line(brief.name, 200),
        "facts": "\n".join(facts) or "none",
        "families": ", ".join(FAMILIES),
        "tags": "\n".join(tags),
        "text": fence(brief.text, "paper", TEXT_LIMIT),
    }


def _ablation(brief: AblationBrief) -> dict[str, str]:
    """Return the values of the message that asks for a design without one mechanism."""
    return {
        "mechanism": one_line(brief.mechanism, 200),
        "meaning": MECHANISMS.get(brief.mechanism, "as the motivation describes it"),
        "proposal": _proposal(brief.proposal),
        "code": code_block(brief.proposal.code),
        "root": code_block(brief.root),
    }


def _told(items: Iterable[str], source: str) -> str:
    """Return what other agents or programs said as one fenced list."""
    lines = [f"- {one_line(item, 600)}" for item in items]
    return fence("\n".join(lines), source) if lines else "none"


def _noise(noise: Mapping[str, Noise]) -> str:
    """Return one line a metric: mean and standard deviation of the baseline over seeds."""
    lines = [
        f"- {one_line(metric)}: mean {n.mean:.4f}, SD {n.sd:.4f} over {n.seeds} seeds"
        for metric, n in noise.items()
    ]
    return "\n".join(lines) or "not measured"


def _candidate(candidate: Candidate, *, code: bool = False) -> str:
    """Return an earlier design: figures, motivation, lessons and, where asked for, its code."""
    parts = [
        f"Number {candidate.number}, {one_line(candidate.name, 80)}: "
        f"fitness {candidate.fitness:.4f}, held-out loss {candidate.loss:.4f}.",
        fence(candidate.motivation, "motivation", 2000),
    ]
    if candidate.lessons:
        parts.append(_told(candidate.lessons, "lessons"))
    if code:
        parts.append(code_block(candidate.code))
    return "\n".join(parts)


def _proposal(proposal: Proposal) -> str:
    """Return the idea of a design and the effect that is expected of it."""
    text = f"{proposal.motivation}\n\nHypothesis: {proposal.hypothesis}"
    tags = ", ".join(proposal.mechanisms) or "none"
    return (
        f"{one_line(proposal.name, 80)}, revision {proposal.revision}; mechanisms: {tags}; "
        f"expected fall of held-out loss {proposal.expected_gain:.4f} nats per token.\n"
        f"{fence(text, 'motivation')}"
    )


def _judgement(judgement: Judgement | None) -> str:
    """Return the fitness, its terms and the judge's marks."""
    if judgement is None:
        return "none: the design was not judged"
    rubric = judgement.rubric
    terms = ", ".join(f"{term} {value:.4f}" for term, value in judgement.terms.items())
    return (
        f"Fitness {judgement.fitness:.4f} ({judgement.mode}; {terms}). Marks: innovation "
        f"{rubric.innovation:.1f}, complexity {rubric.complexity:.1f}, convergence "
        f"{rubric.convergence:.1f}, performance {rubric.performance:.1f}.\n"
        f"{fence(rubric.reason, 'judge')}"
    )
