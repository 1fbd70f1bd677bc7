"""The nodes of one experiment; each is a few lines that call a function of a folder below."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from move37.agents.analyst import analyse
from move37.agents.briefs import (
    AnalystBrief,
    EngineerBrief,
    ForecastBrief,
    JudgeBrief,
    ResearchBrief,
)
from move37.agents.engineer import revise
from move37.agents.judge import forecast as predict
from move37.agents.judge import mark, mean_of
from move37.agents.prompts.evidence import show_tier
from move37.agents.researcher import propose
from move37.agents.summarizer import summarised
from move37.arch_templates.catalog import template_source
from move37.evaluation.fitness import Known, SuspectedLeak, fitness_terms, shrink
from move37.evaluation.pruning import Plan, plan_for
from move37.files import write_atomically
from move37.graph.asking import Told, approved, design_from_outside, told
from move37.graph.lab import ROOT_MECHANISMS, Lab, origin_of, training_watch
from move37.graph.state import Start, State
from move37.memory.accounts import accounts
from move37.memory.arms import arm_of
from move37.memory.forecasts import RETUNED, gains_by_change, track_record
from move37.memory.lessons import mechanism_payoffs
from move37.memory.novelty import check_novelty, unchecked
from move37.memory.plateau import find_plateau
from move37.memory.policies import Rule, choose
from move37.memory.pool import as_candidate
from move37.memory.posterior import Belief, believe
from move37.records import (
    Candidate,
    Cognition,
    Experiment,
    Failed,
    Judgement,
    Lesson,
    Measured,
    Status,
    Weather,
    experiment_id,
)
from move37.settings import EXTERNAL
from move37.tools.workbench import Workbench

# Every candidate trains from this seed: data order and draws are those of the baseline's first run.
TRAINING_SEED = 0
REHEARSAL_STEPS = 10
RECENT = 8
NOT_APPROVED = "not approved"
QUERY = "the held-out loss of a linear attention model stops falling; recall of early keys is weak"


def select(state: Start, lab: Lab) -> State:
    """Choose the parent and the references from what this experiment may see."""
    number = state["number"]
    history = lab.history(number)
    policy = arm_of(lab.config, number) or lab.config.policy
    rule = Rule(policy, lab.config.seed, lab.baseline.noise["text"], lab.tier.text.tau)
    selection = choose(history, lab.root, number, rule)
    return {"started": time.time(), "selection": selection}


def researcher(state: State, lab: Lab) -> State:
    """Invent a design and write its code, or wait for one from outside."""
    if lab.config.models.get("researcher") == EXTERNAL:
        parent = state["selection"].parent
        proposal, uses = design_from_outside(parent, lambda: _brief_outside(state, lab))
        return {"proposal": proposal, "usage": uses}
    brief, told = summarised(_research_brief(state, lab), lab.models["summarizer"])
    bench = workbench(state["number"], lab)
    try:
        proposal, use = propose(brief, bench, lab.models["researcher"])
    except Weather as weather:
        raise Weather(str(weather), (*told, *weather.use)) from weather
    return {"proposal": proposal, "usage": [*told, use]}


def novelty(state: State, lab: Lab) -> State:
    """Compare the idea and its code with all that was tried."""
    number, proposal = state["number"], state["proposal"]
    if "novelty" in lab.config.without:
        return {"novelty": unchecked(proposal)}
    before = lab.visible_before(number)
    nearest = lab.notes(number).motivations.nearest(proposal.motivation, before)
    verdict = check_novelty(proposal, lab.history(number), nearest, lab.root)
    refused = [verdict.reason] if verdict.verdict == "repeat" else []
    return {"novelty": verdict, "refused": refused}


def forecast(state: State, lab: Lab) -> State:
    """Let the judge say what it expects, before anything is trained; part of the node novelty."""
    number, parent = state["number"], state["selection"].parent
    history, belief = lab.history(number), _belief(number, lab)
    origin = origin_of(lab.config, lab.baseline)
    changed, _ = lab.notes(number).lessons.read(_experiment(state, lab))
    changed = changed or (RETUNED,)
    gains = gains_by_change(history, lab.root.loss, origin)
    brief = ForecastBrief(
        seed=lab.config.seed,
        number=number,
        scoring=0,
        proposal=state["proposal"],
        parent=parent,
        believed=belief.of(parent.number),
        prior=belief.of_child(parent.number),
        changed=changed,
        gains={change: gains[change] for change in changed if change in gains},
        tier=show_tier(lab.tier),
        noise=lab.baseline.noise["text"],
    )
    found, uses = predict(brief, lab.models["judge"])
    return {"forecast": found, "usage": uses}


def approval(state: State, lab: Lab) -> State:  # noqa: ARG001 - every node is given the lab
    """Ask a person before the training; nothing stands before the question."""
    yes = approved(state["number"], state["proposal"], state.get("forecast"))
    return {} if yes else {"problem": NOT_APPROVED}


def evaluate(state: State, lab: Lab) -> State:
    """Run policy, gates, training and scoring; a failure is a value."""
    number = state["number"]
    watch = training_watch(lab, number)
    code, plan = state["proposal"].code, _plan(number, lab)
    return {"outcome": lab.evaluator.evaluate(code, TRAINING_SEED, lab.baseline, watch, plan)}


def engineer(state: State, lab: Lab) -> State:
    """Read the log of a failure and mend the code without losing the idea."""
    number, failed = state["number"], state["outcome"]
    assert isinstance(failed, Failed)
    # Of all revisions the first idea is asked for, or they could lose it bit by bit.
    idea = state.get("idea", state["proposal"].code)
    brief = EngineerBrief(
        seed=lab.config.seed,
        number=number,
        round=len(state.get("revisions", [])) + 1,
        proposal=state["proposal"],
        failed=failed,
        parent=state["selection"].parent.code,
        idea=idea,
    )
    proposal, use = revise(brief, workbench(number, lab), lab.models["engineer"])
    asked = f"{failed.stage}: {failed.reason}"
    return {
        "proposal": proposal,
        "idea": idea,
        "mended": proposal.code != state["proposal"].code,
        "revisions": [asked],
        "usage": [use],
    }


def judge(state: State, lab: Lab) -> State:
    """Mark the result and compute the fitness; the marks are the model's, the numbers are not."""
    measured = state["outcome"]
    assert isinstance(measured, Measured)
    brief = JudgeBrief(
        seed=lab.config.seed,
        number=state["number"],
        proposal=state["proposal"],
        measured=measured,
        baseline=lab.baseline,
        parent=state["selection"].parent,
    )
    scorings, uses = mark(brief, lab.models["judge"])
    rubric = mean_of(scorings)
    number, mode = state["number"], lab.config.fitness
    prior = _belief(number, lab).of_child(brief.parent.number)
    known = Known(prior, track_record(lab.archived_before(number), lab.config.seed).weight)
    try:
        terms = fitness_terms(mode, measured, lab.baseline, rubric, lab.tier, known)
    except SuspectedLeak as leak:
        return {"problem": f"not scored: {leak}", "usage": uses}
    judgement = Judgement(
        mode=mode,
        fitness=sum(terms.values()),
        terms=terms,
        rubric=rubric,
        scorings=scorings,
        estimate=shrink(measured, "text", lab.baseline.noise["text"], prior),
        judge_weight=known.judge_weight if mode == "calibrated" else None,
    )
    return {"judgement": judgement, "usage": uses}


def analyst(state: State, lab: Lab) -> State:
    """Work out why the result came out as it did."""
    if "analysis" in lab.config.without:
        return {}
    number, parent, proposal = state["number"], state["selection"].parent, state["proposal"]
    scored = (as_candidate(e) for e in lab.history(number) if e.parent == parent.number)
    siblings = tuple(candidate for candidate in scored if candidate)
    before = lab.visible_before(number)
    changed, effect = lab.notes(number).lessons.read(_experiment(state, lab))
    brief = AnalystBrief(
        number=number,
        proposal=proposal,
        outcome=state["outcome"],
        judgement=state.get("judgement"),
        parent=parent,
        siblings=siblings[-RECENT:],
        lessons=lab.notes(number).lessons.search(proposal.motivation, before, RECENT),
        changed=changed,
        effect=effect,
        noise=lab.baseline.noise,
    )
    analysis, use = analyse(brief, lab.models["analyst"], workbench(number, lab))
    return {"analysis": analysis, "usage": [use]}


def archive(state: State, lab: Lab) -> State:
    """Store everything in one transaction; safe to repeat."""
    experiment = _experiment(state, lab)
    folder = lab.path(experiment.number)
    if experiment.proposal:
        write_atomically(folder / "candidate.py", experiment.proposal.code)
        notes = lab.notes(experiment.number)
        notes.motivations.add(experiment)
        notes.lessons.add(experiment)
    write_atomically(folder / "experiment.json", experiment.model_dump_json(indent=1))
    lab.store.archive(experiment)
    return {"archived": experiment.id}


# --- edges -------------------------------------------------------------------------------------


def after_novelty(state: State, lab: Lab) -> str:
    """A repeated idea goes back, a bounded number of times; a new one may have to be approved."""
    if state["novelty"].verdict == "new":
        return "approval" if state.get("approve") else "evaluate"
    return "researcher" if len(state["refused"]) <= lab.config.max_repeats else "archive"


def after_engineer(state: State, lab: Lab) -> str:
    """Code that stayed as it was is not evaluated again: it would fail again."""
    return "evaluate" if state["mended"] else after_evaluate(state, lab)


def after_evaluate(state: State, lab: Lab) -> str:
    """A failure goes to the engineer while revisions are left; lagging behind is not one."""
    outcome = state["outcome"]
    if isinstance(outcome, Measured):
        return "judge"
    if outcome.stage == "pruned":
        return "analyst"
    left = len(state.get("revisions", [])) < lab.config.max_revisions
    return "engineer" if left else "analyst"


# --- what the nodes need -----------------------------------------------------------------------


def _belief(number: int, lab: Lab) -> Belief:
    """What is believed of all designs that an experiment may see."""
    noise = lab.baseline.noise["text"]
    return believe(lab.history(number), lab.root, noise, lab.tier.text.tau)


def _plan(number: int, lab: Lab) -> Plan | None:
    """Return what the run of this experiment is held to, from what it may see alone."""
    if not lab.config.early_stopping:
        return None
    return plan_for(experiment_id(lab.config, number), lab.history(number), lab.baseline)


def workbench(number: int, lab: Lab) -> Workbench:
    """Return what the tools of this experiment act on."""
    before, arm = lab.visible_before(number), arm_of(lab.config, number)

    def look_up(other: int) -> Experiment | None:
        seen = other < before and arm_of(lab.config, other) == arm
        return lab.store.experiment(lab.config.past, other) if seen else None

    return Workbench(
        path=_draft(number, lab),
        check=lab.evaluator.check,
        rehearse=lambda code: lab.evaluator.rehearse(code, REHEARSAL_STEPS),
        search=None if "cognition" in lab.config.without else _search(lab),
        recall=None if "analysis" in lab.config.without else _recall(number, lab),
        experiment=look_up,
        template=template_source,
    )


def _search(lab: Lab) -> Callable[[str, int, Sequence[str], int | None], tuple[Cognition, ...]]:
    def search(
        query: str, k: int, families: Sequence[str], since: int | None
    ) -> tuple[Cognition, ...]:
        return lab.cognition.search(query, k, families=families, since=since)

    return search


def _recall(number: int, lab: Lab) -> Callable[[str, int], tuple[Lesson, ...]]:
    before, lessons = lab.visible_before(number), lab.notes(number).lessons
    return lambda query, k: lessons.search(query, before, k)


def _draft(number: int, lab: Lab) -> Path:
    folder = lab.path(number)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "draft.py"


def _research_brief(state: State, lab: Lab) -> ResearchBrief:
    number, selection = state["number"], state["selection"]
    history = lab.history(number)
    refused = state.get("refused", [])
    query, out = _query(history, selection.parent), lab.config.without
    before, own = lab.visible_before(number), lab.notes(number).lessons
    shown = (selection.parent, *selection.references)
    origin = origin_of(lab.config, lab.baseline)
    belief = believe(history, lab.root, lab.baseline.noise["text"], lab.tier.text.tau)
    return ResearchBrief(
        seed=lab.config.seed,
        number=number,
        attempt=len(refused),
        selection=selection,
        cognition=() if "cognition" in out else lab.cognition.search(query),
        payoffs=mechanism_payoffs(history, lab.root, ROOT_MECHANISMS.get(lab.config.root, ())),
        lessons=() if "analysis" in out else own.search(query, before, RECENT),
        failures=tuple(_failures(history)),
        refused=tuple(refused),
        accounts=accounts(history, shown, lab.root, origin),
        plateau=find_plateau(belief, history, origin, lab.config.batch),
        tier=show_tier(lab.tier),
        noise=lab.baseline.noise,
    )


def _brief_outside(state: State, lab: Lab) -> Told:
    """Return the brief as an agent would read it, for a researcher who is none of ours."""
    brief, uses = summarised(_research_brief(state, lab), lab.models["summarizer"])
    return told(brief, uses, lab.settings.context, lab.config.prompts.get("researcher"))


def _query(history: list[Experiment], parent: Candidate) -> str:
    """What the analyst of the parent wanted to look up, or the weakness of the root."""
    for experiment in history:
        if experiment.number == parent.number and experiment.analysis and experiment.analysis.query:
            return experiment.analysis.query
    return QUERY


def _failures(history: list[Experiment]) -> list[str]:
    return [
        f"{e.proposal.name if e.proposal else e.number}: {e.reason}"
        for e in history
        if e.status in ("failed", "refused")
    ][-RECENT:]


def _experiment(state: State, lab: Lab) -> Experiment:
    number, selection = state["number"], state["selection"]
    status, reason = _status(state)
    return Experiment(
        id=experiment_id(lab.config, number),
        campaign=lab.config.name,
        number=number,
        status=status,
        reason=reason,
        parent=selection.parent.number,
        arm=arm_of(lab.config, number),
        references=tuple(r.number for r in selection.references),
        selection_reason=selection.reason,
        proposal=state.get("proposal"),
        novelty=state.get("novelty"),
        forecast=state.get("forecast"),
        outcome=state.get("outcome"),
        judgement=state.get("judgement"),
        analysis=state.get("analysis"),
        revisions=tuple(state.get("revisions", [])),
        usage=tuple(state.get("usage", [])),
        seconds=time.time() - state["started"],
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(state["started"])),
    )


def _status(state: State) -> tuple[Status, str]:
    outcome, problem = state.get("outcome"), state.get("problem", "")
    match outcome:
        case Failed(stage=stage, reason=reason):
            return "failed", f"{stage}: {reason}"
        case Measured() if "judgement" in state:
            return "scored", problem
        case Measured():
            return "unjudged", problem
        case _:
            refused = state.get("refused", [])
            return "refused", problem or (refused[-1] if refused else "no proposal")
