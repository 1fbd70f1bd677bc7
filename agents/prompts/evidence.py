"""What each role is shown of its brief, in forms from which a prompt is packed.

Words of other agents, papers and logs stand in fences; outside of them stand figures, numbers and
tags of ours alone.
"""

from __future__ import annotations

from move37.agents.briefs import (
    AblationBrief,
    AnalystBrief,
    Brief,
    EngineerBrief,
    ForecastBrief,
    JudgeBrief,
    ReaderBrief,
    ResearchBrief,
    SummaryBrief,
)
from move37.agents.prompts.packing import Section, always
from move37.agents.prompts.sections import (
    IDEA_LIMIT,
    Worth,
    fewer,
    forms,
    head_of,
    idea_of,
    op_list,
    other_losses,
    paper,
    parent_of,
    payoffs,
    reference,
    said,
    show_judgement,
    show_noise,
    show_plateau,
    show_proposal,
    sibling,
    tag_list,
    told,
)
from move37.arch_templates.catalog import TEMPLATES, op_names
from move37.evaluation.tiers import Tier
from move37.memory.intake import TEXT_LIMIT
from move37.memory.vocabulary import FAMILIES, MECHANISMS, PRACTICES
from move37.records import Candidate, Measured
from move37.tools.fencing import fence, one_line
from move37.tools.knowledge import show_lessons
from move37.tools.showing import (
    code_block,
    show_curve,
    show_failed,
    show_losses,
    show_outcome,
    show_size,
)

Parts = dict[str, list[Section]]


def evidence(brief: Brief) -> Parts:
    """Return for each name in a role's document the sections that stand in its place."""
    match brief:
        case ResearchBrief():
            return _research(brief)
        case SummaryBrief():
            return _summary(brief)
        case EngineerBrief():
            return _engineer(brief)
        case ForecastBrief() | JudgeBrief():
            return _judge(brief)
        case AnalystBrief():
            return _analyst(brief)
        case ReaderBrief():
            return _reader(brief)
        case AblationBrief():
            return _ablation(brief)


def show_tier(tier: Tier) -> str:
    """Return on one line what a candidate is trained on, and on which hardware."""
    text = tier.text
    return (
        f"{tier.name}, {tier.purpose}; device {tier.device}; {tier.layers} layers of width "
        f"{tier.hidden} with {tier.heads} heads; {text.steps} steps of {text.rows} x {text.length} "
        f"tokens of text, at most {tier.seconds:g} s"
    )


# --- the roles ---------------------------------------------------------------------------------


def _research(brief: ResearchBrief) -> Parts:
    accounts = {one.number: one for one in brief.accounts}
    text = brief.noise.get("text")

    def shown(one: Candidate) -> tuple[str, str]:
        summary = brief.summaries.get(one.number)
        return head_of(one, text, accounts.get(one.number)), idea_of(one, summary)

    parent, *others = (brief.selection.parent, *brief.selection.references)
    references = [reference(one, accounts.get(one.number), shown(one)) for one in others]
    head, idea = shown(parent)
    code = code_block(parent.code)
    return {
        **said(
            number=str(brief.number),
            attempt=str(brief.attempt),
            tier=brief.tier,
            noise=show_noise(brief.noise),
            plateau=show_plateau(brief.plateau),
            reason=brief.selection.reason,
            refused=told(brief.refused, "refusals"),
        ),
        "parent": [forms((f"{head}\n{idea}\n{code}", Worth.IDEA), (f"{head}\n{code}", 0))],
        "references": references or [always("none")],
        "lessons": [
            fewer(brief.lessons, show_lessons, (Worth.LESSONS, Worth.FEW_LESSONS), "search_lessons")
        ],
        "failures": [
            # The latest stand last.
            fewer(
                brief.failures[::-1],
                lambda some: told(some[::-1], "failures"),
                (Worth.FAILURES, Worth.FEW_FAILURES),
            )
        ],
        "payoffs": [payoffs(brief.payoffs)],
        "cognition": [paper(one) for one in brief.cognition] or [always("nothing found")],
        "ops": [op_list()],
        "mechanisms": [tag_list()],
    }


def _summary(brief: SummaryBrief) -> Parts:
    accounts = {one.number: one for one in brief.accounts}
    designs = []
    for one in brief.candidates:
        account = accounts.get(one.number)
        head = head_of(one, brief.noise.get("text"), account)
        parts = [head, *other_losses(account), idea_of(one)]
        if account is not None and account.analysis:
            parts.append(fence(account.analysis, "analysis", IDEA_LIMIT))
        designs.append(forms(("\n".join(parts), Worth.IDEA), (head, 0)))
    return {**said(number=str(brief.number), noise=show_noise(brief.noise)), "designs": designs}


def _engineer(brief: EngineerBrief) -> Parts:
    return {
        **said(
            number=str(brief.number),
            round=str(brief.round),
            proposal=show_proposal(brief.proposal),
            failure=show_failed(brief.failed),
            code=code_block(brief.proposal.code),
        ),
        "ops": [op_list()],
    }


def _judge(brief: ForecastBrief | JudgeBrief) -> Parts:
    if isinstance(brief, ForecastBrief):
        known, sections = said(number=str(brief.number), tier=brief.tier), _before(brief)
    else:
        known, sections = said(number=str(brief.number)), _after(brief)
    # Every other scoring sees the evidence from its end.
    return {**known, "evidence": sections[::-1] if brief.scoring % 2 else sections}


def _before(brief: ForecastBrief) -> list[Section]:
    noise = brief.noise
    believed = (
        f"Loss of the parent: {brief.believed.mean:.4f} ± {brief.believed.sd:.4f}; of its children "
        f"by descent alone: {brief.prior.mean:.4f} ± {brief.prior.sd:.4f}; two runs of one design "
        f"differ by a seed SD of {noise.sd:.4f}; the root has {noise.mean:.4f}. Nats per token."
    )
    return [
        always(f"## Design\n{show_proposal(brief.proposal)}"),
        parent_of(brief.parent, brief.proposal, noise, "## Parent\n"),
        always(f"## What is believed\n{believed}"),
        always(f"## What earlier children gained by the same changes\n{_gains(brief)}"),
        always(f"## Code\n{code_block(brief.proposal.code)}"),
    ]


def _gains(brief: ForecastBrief) -> str:
    """Return a line for each change: how often it was made, and the mean gain."""
    lines = []
    for change in brief.changed:
        gains = brief.gains.get(change, ())
        mean = f"mean {sum(gains) / len(gains):+.4f} nats in {len(gains)}" if gains else "not tried"
        lines.append(f"- {one_line(change)}: {mean}")
    return "\n".join(lines) or "no mechanism was changed"


def _after(brief: JudgeBrief) -> list[Section]:
    baseline, measured = brief.baseline, brief.measured
    curves = (show_curve(measured.curve) or "none", show_curve(baseline.curve) or "none")
    text = baseline.noise.get("text")
    return [
        always(f"## Design\n{show_proposal(brief.proposal)}"),
        always(f"## Held-out losses\n{show_losses(measured, baseline.noise)}"),
        always(
            f"## Size and cost\n{show_size(measured.size)}\n\n"
            f"Baseline {baseline.name}: {show_size(baseline.size)}"
        ),
        always(f"## Training curve\n{curves[0]}\n\nBaseline:\n{curves[1]}"),
        parent_of(brief.parent, brief.proposal, text, "## Parent\n"),
        always(f"## Code\n{code_block(brief.proposal.code)}"),
    ]


def _analyst(brief: AnalystBrief) -> Parts:
    outcome, text = brief.outcome, brief.noise.get("text")
    result = show_outcome(outcome, brief.noise)
    if isinstance(outcome, Measured):
        result += f"\n{show_curve(outcome.curve)}"
    siblings = [sibling(one, text) for one in brief.siblings]
    return {
        **said(
            number=str(brief.number),
            proposal=show_proposal(brief.proposal),
            outcome=result,
            judgement=show_judgement(brief.judgement),
            changed=f"{', '.join(brief.changed) or 'no tag'}: {brief.effect}",
            noise=show_noise(brief.noise),
            code=code_block(brief.proposal.code),
        ),
        "parent": [parent_of(brief.parent, brief.proposal, text)],
        "siblings": siblings or [always("none")],
        "lessons": [
            fewer(brief.lessons, show_lessons, (Worth.LESSONS, Worth.FEW_LESSONS), "search_lessons")
        ],
    }


def _reader(brief: ReaderBrief) -> Parts:
    facts = "\n".join(f"{key}: {value}" for key, value in brief.facts.items())
    tags = [f"- {tag}: {meaning}" for tag, meaning in (MECHANISMS | PRACTICES).items()]
    places = [f"op:{name}" for name in sorted(op_names())] + [f"template:{n}" for n in TEMPLATES]
    return said(
        name=fence(brief.name, "file", 200),
        facts=fence(facts, "facts", IDEA_LIMIT) if facts else "none",
        families=", ".join(FAMILIES),
        tags="\n".join(tags),
        places=", ".join(places),
        # As it stands: what a text is cut to is decided when it is read.
        text=fence(brief.text, "paper", TEXT_LIMIT),
    )


def _ablation(brief: AblationBrief) -> Parts:
    return {
        **said(
            mechanism=one_line(brief.mechanism, 200),
            meaning=MECHANISMS.get(brief.mechanism, "as the motivation describes it"),
            proposal=show_proposal(brief.proposal),
            code=code_block(brief.proposal.code),
            root=code_block(brief.root),
        ),
        "ops": [op_list()],
    }
