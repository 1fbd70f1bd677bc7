"""How the offline model predicts, judges and learns: arithmetic on facts, put into sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping

from move37.agents.briefs import AnalystBrief, ForecastBrief, JudgeBrief
from move37.agents.offline import grammar
from move37.agents.offline.turn import Call, Turn
from move37.memory.vocabulary import MECHANISMS
from move37.records import Candidate, CurvePoint, Failed, Measured, Noise, Proposal
from move37.tools.fencing import one_line

# Gain of Gated DeltaNet over DeltaNet in SDs of the baseline: 1.723 against 1.802 nats at a seed SD
# of 0.0058 (laptop tier).
GATED = 13.0
LEAST_SD = 1e-3  # nats; below it a noise floor of few seeds is itself noise


# --- forecast ----------------------------------------------------------------------------------


def forecaster_turn(turn: Turn) -> Call:
    """Predict the gain: what descent lets expect, the author's word, and earlier such changes.

    Each of the first two counts as one observation beside the gains of all earlier children that
    made one of the same changes. The answer does not depend on the order of the evidence, so this
    judge always agrees with itself.
    """
    brief = ForecastBrief.model_validate(turn.brief)
    inherited = brief.believed.mean - brief.prior.mean
    earlier = [gain for change in brief.changed for gain in brief.gains.get(change, ())]
    observed = [inherited, brief.proposal.expected_gain, *earlier]
    gain = sum(observed) / len(observed)
    sd = max(LEAST_SD, brief.prior.sd * math.sqrt(1 + 1 / len(observed)))
    reason = (
        f"By descent {inherited:+.4f} nats, by its author {brief.proposal.expected_gain:+.4f}; "
        f"{len(earlier)} gains of earlier children with {', '.join(brief.changed) or 'no change'}."
    )
    return Call("Prediction", {"gain": gain, "sd": sd, "reason": reason[:2000]})


# --- judge -------------------------------------------------------------------------------------


def judge_turn(turn: Turn) -> Call:
    """Mark the questions of the rubric from what was measured and from what the code says."""
    brief = JudgeBrief.model_validate(turn.brief)
    gain = _gain(brief.measured, brief.baseline.noise)
    lead = _lead(brief)
    parameters, flops = _ratios(brief)
    fresh = _changed(brief.proposal, brief.parent)
    marks = {
        "innovation": _mark(2.0 + 2.0 * len(fresh)),
        "complexity": _mark(5.0 - 5.0 * math.log2(parameters) - 5.0 * math.log2(flops)),
        **_correctness(brief.proposal),
        "convergence": _mark(5.0 + 5.0 * lead / GATED),
        "performance": _mark(5.0 + 5.0 * gain / GATED),
    }
    reason = (
        f"Held-out gain over {brief.baseline.name}: {gain:+.2f} SD of its seeds; lead along the "
        f"training curve: {lead:+.2f} SD; {parameters:.2f} times its parameters and {flops:.2f} "
        f"times its FLOPs; mechanisms that differ from the parent: {', '.join(fresh) or 'none'}."
    )
    return Call("Rubric", {**marks, "reason": reason})


def _correctness(proposal: Proposal) -> dict[str, float]:
    """Return 5 where the code has just the mechanisms that are named; none where it says nothing.

    Of other authors' code this judge cannot tell what it does.
    """
    genome = grammar.parse(proposal.code)
    if genome is None:
        return {}
    named, found = set(proposal.mechanisms), set(grammar.mechanisms(genome))
    return {"correctness": _mark(5.0 * len(named & found) / (len(named | found) or 1))}


def _mark(value: float) -> float:
    """Return a mark between 0 and 10 with one decimal."""
    return round(min(10.0, max(0.0, value)), 1)


def _sd(noise: Noise) -> float:
    """Return the standard deviation of the baseline, never so small that it blows up a gain."""
    return max(noise.sd, LEAST_SD)


def _gain(measured: Measured, noise: Mapping[str, Noise]) -> float:
    """Return the gain in SDs: language modelling counts twice as much as the skills together.

    The loss on text is the reliable signal of a small tier (EVALUATION, section 4).
    """
    tasks = [task for task in dict.fromkeys(s.task for s in measured.scores) if task in noise]
    gains = {t: (noise[t].mean - measured.loss(t)) / _sd(noise[t]) for t in tasks}
    skills = [value for task, value in gains.items() if task != "text"]
    skill = sum(skills) / len(skills) if skills else None
    if "text" not in gains:
        return skill or 0.0
    return gains["text"] if skill is None else (2.0 * gains["text"] + skill) / 3.0


def _lead(brief: JudgeBrief) -> float:
    """Return how far the curve on text runs below the baseline's, in SDs, at shared steps."""
    noise = brief.baseline.noise.get("text")
    own, base = (_text(c) for c in (brief.measured.curve, brief.baseline.curve))
    shared = sorted(own.keys() & base.keys())
    if noise is None or not shared:
        return 0.0
    falls = [base[step] - own[step] for step in shared]
    return sum(falls) / len(falls) / _sd(noise)


def _text(curve: tuple[CurvePoint, ...]) -> dict[int, float]:
    """Return the training loss on text by step."""
    return {point.step: point.loss for point in curve if point.task == "text"}


def _ratios(brief: JudgeBrief) -> tuple[float, float]:
    """Return parameters and FLOPs against the baseline."""
    own, base = brief.measured.size, brief.baseline.size
    return (
        max(own.parameters, 1) / max(base.parameters, 1),
        max(own.flops_per_token, 1.0) / max(base.flops_per_token, 1.0),
    )


def _changed(proposal: Proposal, parent: Candidate) -> list[str]:
    """Return the mechanisms that only one of design and parent has."""
    before = set(grammar.mechanisms(grammar.parse(parent.code) or grammar.ROOT))
    differing = before ^ set(proposal.mechanisms)
    return [tag for tag in MECHANISMS if tag in differing]


# --- analyst -----------------------------------------------------------------------------------


def analyst_turn(turn: Turn) -> Call:
    """Hold the result against expectation, parent and siblings, in units of the noise."""
    brief = AnalystBrief.model_validate(turn.brief)
    if isinstance(brief.outcome, Failed) and brief.outcome.stage == "pruned":
        return Call("Analysis", _of_lag(brief, brief.outcome))
    if isinstance(brief.outcome, Failed):
        return Call("Analysis", _of_failure(brief, brief.outcome))
    return Call("Analysis", _of_result(brief, brief.outcome))


def _of_failure(brief: AnalystBrief, failed: Failed) -> dict[str, object]:
    """Return what a design taught that could not be measured."""
    proposal, what = brief.proposal, _difference(brief)
    reason = one_line(failed.reason, 300)
    return {
        "summary": f"{proposal.name} was not measured: it failed at stage {failed.stage} after "
        f"{proposal.revision} revisions. Its parent {brief.parent.name} stays as it was.",
        "expectation_met": False,
        "cause": f"Stage {failed.stage}: {reason}",
        "lessons": [f"A child of {brief.parent.name} with {what} failed at stage {failed.stage}."],
        "evidence": [[brief.number]],
        "questions": [f"Does {what} come through with the fault at stage {failed.stage} mended?"],
        "query": f"how to keep a mixer stable, causal and equal in recurrent form with {what}",
        **_marks(brief),
    }


def _of_lag(brief: AnalystBrief, failed: Failed) -> dict[str, object]:
    """Return what a run taught that was stopped early."""
    proposal, parent, what = brief.proposal, brief.parent, _difference(brief)
    worse = brief.effect == "hurt"
    against = "worse than" if worse else "not to be told apart from"
    return {
        "summary": f"{proposal.name} was stopped early: {one_line(failed.reason, 300)}. So far its "
        f"training loss was {against} that of its parent {parent.name} at the same steps.",
        "expectation_met": False,
        "cause": f"The only known difference from the parent is: {what}; its end is not known.",
        "lessons": [
            f"In {parent.name}, {what} lagged behind earlier designs and was stopped early; its "
            f"training loss was {against} its parent's."
        ],
        "evidence": [[brief.number, brief.parent.number]],
        "questions": [f"Would {what} make up for its start in a longer training?"],
        "query": _next_query(brief, -1.0, what),
        **_marks(brief),
    }


def _of_result(brief: AnalystBrief, measured: Measured) -> dict[str, object]:
    """Return what a measured design taught."""
    proposal, parent, what = brief.proposal, brief.parent, _difference(brief)
    gain = parent.loss - measured.loss("text")
    spread = _spread(brief.noise)
    verdict = _verdict(gain, spread)
    summary = (
        f"{proposal.name} differs from its parent {parent.name} in: {what}. Held-out loss "
        f"{measured.loss('text'):.4f} against {parent.loss:.4f}: a gain of {gain:+.4f} nats per "
        f"token, where two runs of one design differ by an SD of {spread:.4f}; that is {verdict}. "
        f"Expected was {proposal.expected_gain:+.4f}.{_siblings(brief, measured)}"
        f"{_skills(brief, measured)}"
    )
    met = gain > 0 and gain >= proposal.expected_gain
    return {
        "summary": summary,
        "expectation_met": met,
        "cause": f"The only known difference from the parent is: {what}; with one run each its "
        f"effect is {verdict}.",
        "lessons": _lessons(what, parent, gain, verdict),
        "evidence": [[brief.number, parent.number]],
        "questions": [_question(what, gain, spread)],
        "query": _next_query(brief, gain, what),
        **_marks(brief),
    }


def _marks(brief: AnalystBrief) -> dict[str, list[str]]:
    """Return which lessons about the same change the result bears out, and which it does not."""
    same = [one for one in brief.lessons if one.changed and one.changed == brief.changed]
    bad = ("hurt", "failed")
    told = [one for one in same if "unclear" not in (one.effect, brief.effect)]
    alike = [one.id for one in told if (one.effect in bad) == (brief.effect in bad)]
    return {
        "supports": alike,
        "contradicts": [one.id for one in told if one.id not in alike],
    }


def _difference(brief: AnalystBrief) -> str:
    """Return in words in what a design differs from its parent."""
    own = grammar.parse(brief.proposal.code)
    if own is None:
        return ", ".join(_changed(brief.proposal, brief.parent)) or "no known mechanism"
    change = grammar.difference(grammar.parse(brief.parent.code) or grammar.ROOT, own, "mutation")
    told = [f"added {tag}" for tag in change.added]
    told += [f"removed {tag}" for tag in change.removed]
    if not told:
        told = [f"{e.field.replace('_', ' ')} from {e.old} to {e.new}" for e in change.edits]
    return ", ".join(told) or "nothing"


def _spread(noise: Mapping[str, Noise]) -> float:
    """Return the SD of the difference of two single runs."""
    return math.sqrt(2.0) * _sd(noise["text"]) if "text" in noise else LEAST_SD


def _verdict(gain: float, spread: float) -> str:
    """Return how far a gain stands out of the noise."""
    if abs(gain) < 2.0 * spread:
        return "not to be told apart from noise"
    return "better by more than noise" if gain > 0 else "worse by more than noise"


def _siblings(brief: AnalystBrief, measured: Measured) -> str:
    """Return where a design stands among the other children of its parent."""
    if not brief.siblings:
        return ""
    best = min(brief.siblings, key=lambda sibling: sibling.loss)
    below = sum(sibling.loss < measured.loss("text") for sibling in brief.siblings)
    return (
        f" Of {len(brief.siblings)} siblings {below} did better; the best is {best.name} "
        f"with {best.loss:.4f}."
    )


def _skills(brief: AnalystBrief, measured: Measured) -> str:
    """Return one sentence for each task beside text."""
    told = []
    for task in dict.fromkeys(s.task for s in measured.scores if s.task != "text"):
        sentence = f" On {task} the held-out loss is {measured.loss(task):.4f}"
        if task in brief.noise:
            base = brief.noise[task]
            sentence += f" (baseline {base.mean:.4f}, SD {base.sd:.4f})"
        told.append(f"{sentence}.")
    return "".join(told)


def _lessons(what: str, parent: Candidate, gain: float, verdict: str) -> list[str]:
    """Return the lesson, one sentence."""
    return [f"In {parent.name}, {what} moved held-out loss by {-gain:+.4f}: {verdict}."]


def _question(what: str, gain: float, spread: float) -> str:
    """Return what the result leaves open."""
    if abs(gain) < 2.0 * spread:
        return f"Does {what} matter at all, measured at more seeds?"
    return f"Does {what} do the same in designs that are not children of this parent?"


def _next_query(brief: AnalystBrief, gain: float, what: str) -> str:
    """Return what the next step should look up: to go on with what helped, or to leave it."""
    tags = brief.proposal.mechanisms
    if gain > 0:
        return f"what to combine with {what} to lower language modelling loss further"
    absent = [meaning for tag, meaning in MECHANISMS.items() if tag not in tags]
    return f"other means than {what} to improve recall and held-out loss, such as {absent[0]}"
