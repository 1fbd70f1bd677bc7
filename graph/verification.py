"""From designs of a campaign to certificates: the part that needs a store and agents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import structlog
from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from move37 import __version__
from move37.agents.ablation import take_out
from move37.agents.briefs import AblationBrief
from move37.agents.models.choosing import chat_model
from move37.agents.offline import grammar
from move37.arch_templates.catalog import template_source
from move37.evaluation.client import EvaluatorProcess, open_evaluator
from move37.evaluation.statistics.fidelity import fidelity
from move37.evaluation.tiers import Tier, load_tier
from move37.evaluation.verification.cause import Cause, NotHad, Variant, find_cause
from move37.evaluation.verification.certificate import (
    Ancestor,
    Certificate,
    Origin,
    Subject,
    file_name,
    this_machine,
)
from move37.evaluation.verification.claim import keep_true
from move37.evaluation.verification.compare import Comparison, compare
from move37.evaluation.verification.runs import Bench, Step, code_hash
from move37.evaluation.verification.seeds import Seeds
from move37.files import write_atomically
from move37.graph.lab import ROOT_MECHANISMS, slots
from move37.memory.programs import fingerprint
from move37.records import (
    Campaign,
    Experiment,
    Failed,
    Finite,
    GateReport,
    Measured,
    Proposal,
    UserError,
    Value,
    Weather,
    experiment_id,
    lot,
)
from move37.settings import OFFLINE, Settings
from move37.tools.workbench import Workbench

Tell = Callable[[str, Step], None]
# A rank correlation of two designs says nothing.
LEAST_DESIGNS = 3


@dataclass(frozen=True)
class Design:
    """What is to be verified: a design, and the root template with its code and tags."""

    subject: Subject
    proposal: Proposal
    root_name: str
    root: str
    root_mechanisms: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name under which its progress is told."""
        origin = self.subject.origin
        return f"{origin.number} {self.subject.name}" if origin else self.subject.name


@dataclass(frozen=True)
class Plan:
    """At which tier, on which text and seeds, and where the certificates go."""

    tier: Tier
    text: str | None
    seeds: Seeds
    settings: Settings
    folder: Path
    with_cause: bool = True


def chosen(
    campaign: Campaign, experiments: Sequence[Experiment], wanted: Sequence[str]
) -> list[Experiment]:
    """Return the experiments of these numbers or ids.

    Raises:
        UserError: one does not exist, or has no loss to verify.
    """
    name, found = campaign.config.name, []
    for number in wanted:
        one = next((e for e in experiments if number in (str(e.number), e.id)), None)
        if one is None:
            raise UserError(f"campaign {name} has no experiment {number}; see: move37 status")
        if not isinstance(one.outcome, Measured) or one.proposal is None:
            raise UserError(f"experiment {number} was not measured ({one.status}): nothing to do")
        found.append(one)
    return found


def designs_of(
    campaign: Campaign, experiments: Sequence[Experiment], picked: Sequence[Experiment]
) -> list[Design]:
    """Return experiments of a campaign as designs with their lineage."""
    config, known = campaign.config, {e.number: e for e in experiments}
    return [
        Design(
            subject=_subject(one.proposal, _origin(campaign, one, known)),
            proposal=one.proposal,
            root_name=config.root,
            root=campaign.baseline.code if campaign.baseline else template_source(config.root),
            root_mechanisms=ROOT_MECHANISMS.get(config.root, ()),
        )
        for one in picked
        if one.proposal
    ]


def design_of_file(proposal: Proposal, root: str) -> Design:
    """Return a file outside any campaign as a design."""
    return Design(_subject(proposal, None), proposal, root, template_source(root), ())


def _subject(proposal: Proposal, origin: Origin | None) -> Subject:
    return Subject(
        name=proposal.name,
        motivation=proposal.motivation,
        code=proposal.code,
        program=code_hash(proposal.code),
        origin=origin,
    )


def _origin(campaign: Campaign, one: Experiment, known: dict[int, Experiment]) -> Origin:
    lineage, number = [], one.number
    while number in known:
        proposal = known[number].proposal
        lineage.append(Ancestor(number=number, name=proposal.name if proposal else "-"))
        number = known[number].parent
    lineage.append(Ancestor(number=0, name=campaign.config.root))
    return Origin(
        campaign=campaign.config.name,
        number=one.number,
        experiment=experiment_id(campaign.config, one.number),
        lineage=tuple(lineage),
    )


# --- one verification --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """What was measured of one design, before all claims are looked at together."""

    design: Design
    gates: GateReport
    result: Comparison | Failed
    cause: Cause


def require_tiers(names: Sequence[str]) -> list[Tier]:
    """Return the tiers of these names, all of them before anything is run.

    Raises:
        UserError: one does not exist, or stands there twice.
    """
    if len(set(names)) < len(names):
        raise UserError(f"--tiers {','.join(names)}: a tier stands there twice")
    return [load_tier(name) for name in names]


def promote(
    designs: Sequence[Design], plans: Sequence[Plan], tell: Tell
) -> list[tuple[Certificate, Path]]:
    """Verify at the first tier, and what is a discovery there at the next, and so on.

    A share of the others goes on too, drawn by lot, or the ledger would know of no design that a
    small tier was wrong to drop.
    """
    written, left = [], list(designs)
    for plan in plans:
        if not left:
            break
        ended = verify(left, plan, tell)
        note(plan, [certificate for certificate, _ in ended])
        pairs = zip(left, ended, strict=True)
        left = [
            design
            for design, (told, _) in pairs
            if told.verdict == "discovery" or _is_drawn(told, plan.tier)
        ]
        written += ended
    return written


def _is_drawn(told: Certificate, tier: Tier) -> bool:
    """The lot of a design depends on its program alone; what failed does not go on."""
    drawn = lot("promotion", tier.name, told.subject.program) < tier.promotion.random_share
    return drawn and isinstance(told.result, Comparison)


def verify(designs: Sequence[Design], plan: Plan, tell: Tell) -> list[tuple[Certificate, Path]]:
    """Measure each design against its twin, decide over all, and write their certificates.

    What is interrupted goes on where it was: every trial that ended is kept.
    """
    with open_evaluator(
        plan.settings.isolation, plan.tier, plan.text, plan.settings.cache
    ) as evaluator:
        found = [_measure(design, plan, evaluator, tell) for design in designs]
        provenance = evaluator.provenance
    compared = [one.result for one in found if isinstance(one.result, Comparison)]
    claims = iter(keep_true([result.claim for result in compared]))
    written = []
    for one in found:
        result = one.result
        if isinstance(result, Comparison):
            result = result.model_copy(update={"claim": next(claims)})
            verdict, reason = result.claim.verdict, result.claim.reason
        else:
            verdict, reason = "not better", f"failed at {result.stage}: {result.reason}"
        certificate = Certificate(
            version=__version__,
            made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            subject=one.design.subject,
            verdict=verdict,
            reason=reason,
            claims=len(compared),
            tier=plan.tier,
            seeds=plan.seeds,
            provenance=provenance,
            machine=this_machine(),
            gates=one.gates,
            root_name=one.design.root_name,
            root=one.design.root,
            result=result,
            cause=one.cause,
        ).sealed()
        path = plan.folder / f"{file_name(certificate.subject, plan.tier)}.json"
        write_atomically(path, certificate.model_dump_json(indent=1))
        written.append((certificate, path))
    return written


def bench_of(
    evaluator: EvaluatorProcess, settings: Settings, folder: Path, tell: Callable[[Step], None]
) -> Bench:
    """Return a bench with as many boxes side by side as the settings allow."""
    return Bench(evaluator=evaluator, slots=slots(settings), folder=folder, tell=tell)


def _measure(design: Design, plan: Plan, evaluator: EvaluatorProcess, tell: Tell) -> _Found:
    folder = plan.settings.cache.expanduser() / "trials"
    bench = bench_of(evaluator, plan.settings, folder, lambda step: tell(design.label, step))
    code, root = design.subject.code, design.root
    tell(design.label, Step(phase="gates", done=0, total=2))
    admitted, base = evaluator.admit(code), evaluator.admit(root)
    if isinstance(base, Failed):
        raise RuntimeError(f"{design.root_name} failed at {base.stage}: {base.reason}")
    if isinstance(admitted, Failed):
        gates = admitted.gates or GateReport(gates=(), seconds=0.0)
        return _Found(design, gates, admitted, Cause())
    state = (admitted.state_bytes, base.state_bytes)
    result = compare(bench, code, root, state, plan.seeds)
    if isinstance(result, Failed) or not plan.with_cause:
        return _Found(design, admitted.gates, result, Cause())
    variants = list(variants_of(design, plan, evaluator))
    cause = find_cause(bench, code, result.candidate.setup, variants, plan.seeds)
    return _Found(design, admitted.gates, result, cause)


# --- how well a tier predicts the next ----------------------------------------------------------


class Note(Value):
    """A line of the home's ledger: what a design gained over the baseline at a tier."""

    program: str
    tier: str
    digest: str
    loss: Finite


def note(plan: Plan, certificates: Sequence[Certificate]) -> None:
    """Append what was measured of each design to the ledger of this home."""
    lines = [
        Note(
            program=one.subject.program,
            tier=plan.tier.name,
            digest=plan.tier.digest,
            # The gain turned round: of designs on other seeds and texts the gains compare.
            loss=-one.result.claim.against_baseline.gain,
        ).model_dump_json()
        for one in certificates
        if isinstance(one.result, Comparison)
    ]
    with _ledger(plan.settings).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def ledger_lines(settings: Settings) -> list[str]:
    """Say how well each tier predicts another, over the designs that were verified at both."""
    losses: dict[str, dict[str, float]] = {}
    try:
        told = _ledger(settings).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in told:
        # A kill may have cut a line short.
        with suppress(ValidationError):
            one = Note.model_validate_json(line)
            losses.setdefault(one.tier, {})[one.program] = one.loss
    return [line for pair in combinations(losses.items(), 2) for line in _fidelity_line(*pair)]


def _fidelity_line(
    small: tuple[str, dict[str, float]], large: tuple[str, dict[str, float]]
) -> Iterator[str]:
    both = [program for program in small[1] if program in large[1]]
    if len(both) < LEAST_DESIGNS:
        return
    rows = [np.array([tier[1][program] for program in both]) for tier in (small, large)]
    found = fidelity(rows[0], rows[1], kept=max(1, len(both) // 3))
    accuracy = found.accuracy
    low, high = accuracy.interval.low, accuracy.interval.high
    yield (
        f"{small[0]} orders {accuracy.value:.0%} ({low:.0%} to {high:.0%}) of the pairs of "
        f"{len(both)} designs as {large[0]} does; Kendall's tau {found.kendall.value:.2f}"
    )


def _ledger(settings: Settings) -> Path:
    settings.home.mkdir(parents=True, exist_ok=True)
    return settings.home / "fidelity.jsonl"


# --- variants without one mechanism ------------------------------------------------------------


def variants_of(
    design: Design, plan: Plan, evaluator: EvaluatorProcess
) -> Iterator[Variant | NotHad]:
    """Yield the design without each mechanism that it added, or why that cannot be had."""
    code = design.subject.code
    genome = grammar.parse(code)
    # Another author may have edited the code and left the line that names its genome.
    if genome is not None and fingerprint(grammar.render(genome, "", "")) == fingerprint(code):
        for undone, reduced in grammar.reductions(genome):
            told = grammar.told(undone)
            yield Variant(mechanism=told, code=grammar.render(reduced, "Variant", f"Not: {told}."))
        return
    added = [tag for tag in design.proposal.mechanisms if tag not in design.root_mechanisms]
    if not added:
        yield NotHad(mechanism="all", reason="nothing says which mechanisms the design added")
        return
    if plan.settings.model_of("engineer").partition(":")[0] == OFFLINE.partition(":")[0]:
        reason = "the code is not of the grammar, and the offline engineer edits no other"
        yield from (NotHad(mechanism=tag, reason=reason) for tag in added)
        return
    model = chat_model("engineer", plan.settings)
    for tag in added:
        yield asked_variant(design, tag, model, _workbench(plan, evaluator))


def asked_variant(
    design: Design, tag: str, model: BaseChatModel, bench: Workbench
) -> Variant | NotHad:
    """Ask the engineer's model for the design without one mechanism; take no more than that.

    The answer has to be another program than the design and to pass the gates.
    """
    brief = AblationBrief(proposal=design.proposal, mechanism=tag, root=design.root)
    try:
        code, change, _ = take_out(brief, bench, model)
    except Weather as weather:
        structlog.get_logger().warning("ablation_not_had", mechanism=tag, reason=str(weather))
        return NotHad(mechanism=tag, reason=f"the engineer gave no answer: {weather}")
    if fingerprint(code) == fingerprint(design.subject.code):
        return NotHad(mechanism=tag, reason=f"the engineer left the program as it is: {change}")
    checked = bench.check(code)
    if isinstance(checked, Failed):
        reason = f"the variant failed at {checked.stage}: {checked.reason}"
        return NotHad(mechanism=tag, reason=reason)
    if not checked.passed:
        bad = ", ".join(f"{g.id} {g.name}" for g in checked.gates if not g.passed)
        return NotHad(mechanism=tag, reason=f"the variant failed the gates: {bad}")
    return Variant(mechanism=tag, code=code)


def _workbench(plan: Plan, evaluator: EvaluatorProcess) -> Workbench:
    plan.folder.mkdir(parents=True, exist_ok=True)
    return Workbench(
        path=plan.folder / "variant.py",
        check=evaluator.check,
        rehearse=lambda code: evaluator.rehearse(code, 10),
        search=None,
        recall=None,
        experiment=lambda _: None,
        template=template_source,
    )
