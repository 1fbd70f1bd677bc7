"""Everything that the nodes of a campaign work with, opened once and handed in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from filelock import FileLock, Timeout
from langchain_core.language_models import BaseChatModel

from move37.agents.models.calls import JOURNAL
from move37.agents.models.choosing import Means, chat_models, check_models, embedder
from move37.agents.models.expenses import require_prices
from move37.agents.models.ledger import Ledger
from move37.agents.models.prices import load_prices
from move37.agents.models.tape import Tape
from move37.agents.offline import grammar
from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.evaluation.baseline import load_or_measure
from move37.evaluation.client import EvaluatorProcess, open_evaluator
from move37.evaluation.data import find_text
from move37.evaluation.estimate import require
from move37.evaluation.isolation.obtain import Isolation
from move37.evaluation.tiers import Tier, load_tier
from move37.memory.arms import arm_of
from move37.memory.cognition import CognitionBase
from move37.memory.embedding import Embedder
from move37.memory.lessons import LessonBase, Origin
from move37.memory.library import PAPERS
from move37.memory.novelty import Motivations
from move37.memory.store import Store
from move37.records import (
    Baseline,
    CampaignConfig,
    Candidate,
    CurvePoint,
    Experiment,
    Policy,
    Progress,
    UserError,
    experiment_id,
)
from move37.settings import ROLES, Settings

Watch = Callable[[Progress], None]
# What the templates are made of, in the words of the designer, who cannot read it off their code.
ROOT_MECHANISMS = {"delta_net": grammar.mechanisms(grammar.ROOT)}
# By construction every term of the baseline stands at its middle.
ROOT_FITNESS = 0.5


@dataclass(frozen=True)
class Notes:
    """What one arm of a campaign has written down: its ideas and its lessons."""

    motivations: Motivations
    lessons: LessonBase


@dataclass(frozen=True)
class Lab:
    """One campaign's collaborators and its measured baseline."""

    config: CampaignConfig
    settings: Settings
    tier: Tier
    evaluator: EvaluatorProcess
    baseline: Baseline
    store: Store
    cognition: CognitionBase
    arms: dict[Policy | None, Notes]
    models: dict[str, BaseChatModel]
    folder: Path
    watch: Watch

    @property
    def root(self) -> Candidate:
        """The template that the campaign starts from, as experiment number 0."""
        return root_candidate(self.baseline)

    def path(self, number: int) -> Path:
        """The folder of one experiment's artefacts."""
        return self.folder / experiment_id(self.config, number)

    def notes(self, number: int) -> Notes:
        """The notes of the arm that one experiment belongs to."""
        return self.arms[arm_of(self.config, number)]

    def history(self, number: int) -> list[Experiment]:
        """What one experiment may see: those of its arm before its batch."""
        arm = arm_of(self.config, number)
        return [one for one in self.archived_before(number) if one.arm == arm]

    def archived_before(self, number: int) -> list[Experiment]:
        """All experiments before the batch of one, whichever arm they belong to."""
        return self.store.experiments(self.config.past, before=self.visible_before(number))

    def visible_before(self, number: int) -> int:
        """The first experiment that this one may not see: those of its own batch."""
        batch = self.config.batch
        return (number - 1) // batch * batch + 1

    def next_number(self) -> int:
        """The number behind the last archived experiment."""
        known = self.store.experiments(self.config.name)
        return known[-1].number + 1 if known else 1

    def tell(self, number: int, node: str, event: str, detail: str = "") -> None:
        """Tell the watcher that a node of an experiment did something."""
        self.watch(Progress(experiment=number, node=node, event=event, detail=detail))


def root_candidate(baseline: Baseline) -> Candidate:
    """Return the root template as a candidate; its fitness is the middle of the scale."""
    return Candidate(
        number=0,
        name=baseline.name,
        motivation="The template that candidates are compared with.",
        code=baseline.code,
        fitness=ROOT_FITNESS,
        loss=baseline.noise["text"].mean,
    )


def slots(settings: Settings) -> int:
    """How many boxes may train side by side: one thread each, so one for each core."""
    return settings.slots or len(os.sched_getaffinity(0))


def database_url(settings: Settings) -> str:
    """The store's address: an SQLite file in the runs folder unless the environment names one."""
    return settings.database_url or f"sqlite:///{settings.home.resolve() / 'move37.sqlite'}"


def open_store(settings: Settings) -> Store:
    """Open the store, and make the runs folder where it is missing."""
    make_folder(settings.home)
    return Store(database_url(settings))


def make_folder(path: Path) -> None:
    """Make a folder, or say in one line why it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}); set MOVE37_HOME to a folder you may write"
        ) from None


@contextmanager
def campaign_lock(folder: Path) -> Iterator[None]:
    """Hold the campaign's folder for this process; the system frees it when the process dies."""
    make_folder(folder)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"campaign {folder.name} is already running in another process; "
            "wait for it, or choose another --campaign"
        ) from None
    try:
        yield
    finally:
        lock.release()


def complete(config: CampaignConfig, settings: Settings) -> CampaignConfig:
    """Fill in the models that the environment names, so that the campaign records them.

    What names all roles but the summarizer was begun before there was one, and keeps its id.
    """
    if set(config.models) == set(ROLES) - {"summarizer"}:
        return config
    named = {role: settings.model_of(role) for role in ROLES}
    return config.model_copy(update={"models": {**named, **config.models}})


def _with_models_of(config: CampaignConfig, settings: Settings) -> Settings:
    """A campaign goes on with the models that it began with, whatever the environment says now."""
    own = {
        role: getattr(settings, role).model_copy(update={"model": name})
        for role, name in config.models.items()
    }
    return settings.model_copy(update=own)


def check_request(
    config: CampaignConfig, settings: Settings, *, outside: bool = False, played: bool = False
) -> Tier:
    """Look at everything that can be wrong with a request before anything is written.

    With `outside` the researcher may be somebody else's; what is `played` asks no model.

    Raises:
        UserError: the tier, the template, the text or a model does not exist, the tier cannot run
            on this machine, or money is capped and cannot be counted.
    """
    tier = load_tier(config.tier)
    require(tier)
    if config.root not in TEMPLATES:
        raise UserError(f"unknown template {config.root!r}; there are {', '.join(TEMPLATES)}")
    find_text(config.text)
    if not played:
        check_models(_with_models_of(config, settings), outside=outside)
        require_prices(config, settings)
    embedder(settings)
    return tier


@contextmanager
def open_lab(
    config: CampaignConfig,
    settings: Settings,
    watch: Watch,
    tape: Tape | None = None,
    *,
    outside: bool = False,
) -> Iterator[Lab]:
    """Open everything that a campaign needs; measure its baseline if that is not known yet.

    With `outside` the researcher may be somebody else's, for whom the graph waits.

    Raises:
        UserError: something that the user asked for does not exist or cannot be reached.
    """
    tape = tape or Tape()
    tier = check_request(config, settings, outside=outside, played=tape.player is not None)
    text = str(find_text(config.text)) if config.text else None
    ours = _with_models_of(config, settings)
    vectors = embedder(settings)
    folder = settings.home / config.name
    with campaign_lock(folder), open_store(settings) as store:
        ledger = Ledger(config.caps, load_prices(settings.prices), folder / JOURNAL)
        means = Means(ledger, tape.recorder, tape.player, prompts=config.prompts)
        models = chat_models(ours, means, outside=outside)
        # Before anything that takes a while: whoever interrupts that can go on with this campaign.
        campaign = store.create_campaign(config)
        with open_evaluator(settings.isolation, tier, text, settings.cache) as evaluator:
            announce(evaluator.isolation, watch)
            known = campaign.baseline or _baseline_of(store, config.past)
            baseline = known or measure_root(config.root, settings, evaluator, watch)
            _refuse_other_evaluator(config, baseline, evaluator)
            store.set_baseline(config.name, baseline)
            done = store.experiments(config.past)
            with open_cognition(settings, vectors) as cognition, ExitStack() as stack:
                cognition.build()
                arms: dict[Policy | None, Notes] = {}
                for arm in (None, *sorted(config.arms)):
                    notes = Notes(
                        stack.enter_context(closing(_motivations(config, settings, vectors, arm))),
                        stack.enter_context(
                            closing(_lessons(config, settings, baseline, vectors, arm))
                        ),
                    )
                    own = [one for one in done if one.arm == arm]
                    notes.motivations.sync(own)
                    notes.lessons.sync(own)
                    arms[arm] = notes
                yield Lab(
                    config=config,
                    settings=settings,
                    tier=tier,
                    evaluator=evaluator,
                    baseline=baseline,
                    store=store,
                    cognition=cognition,
                    arms=arms,
                    models=models,
                    folder=folder,
                    watch=watch,
                )


def _baseline_of(store: Store, name: str) -> Baseline | None:
    return next((one.baseline for one in store.campaigns() if one.config.name == name), None)


def announce(isolation: Isolation, watch: Watch) -> None:
    """Say what candidates will run behind, before the first of them does."""
    state = "complete" if isolation.complete else "incomplete"
    event = "off" if isolation.mode == "off" else state
    detail = "; ".join(part for part in (isolation.tier, isolation.remark) if part)
    watch(Progress(experiment=0, node="isolation", event=event, detail=detail))
    if not isolation.complete:
        structlog.get_logger().warning("isolation_incomplete", mode=isolation.mode, walls=detail)


def open_cognition(
    settings: Settings, vectors: Embedder, *, replace: bool = False
) -> closing[CognitionBase]:
    """Open the cognition base of this home: the papers of Move37 and those that the user added.

    Raises:
        UserError: a paper breaks the schema, or the collection cannot be used.
    """
    folders = (PAPERS, own_papers(settings))
    base = CognitionBase(_chroma(settings, "cognition"), folders, vectors, replace=replace)
    return closing(base)


def own_papers(settings: Settings) -> Path:
    """The folder of the papers that the user added."""
    return settings.home / "papers"


def _motivations(
    config: CampaignConfig, settings: Settings, vectors: Embedder, arm: Policy | None
) -> Motivations:
    return Motivations(_chroma(settings, config.name), _own(config, arm), vectors)


def _lessons(
    config: CampaignConfig,
    settings: Settings,
    baseline: Baseline,
    vectors: Embedder,
    arm: Policy | None,
) -> LessonBase:
    origin = origin_of(config, baseline)
    return LessonBase(_chroma(settings, config.name), _own(config, arm), origin, vectors)


def _own(config: CampaignConfig, arm: Policy | None) -> str:
    """Name the collections of an arm; no campaign's name has a slash."""
    return f"{config.name}/{arm}" if arm else config.name


def origin_of(config: CampaignConfig, baseline: Baseline) -> Origin:
    """Return what a campaign's changes are told against."""
    text = baseline.noise["text"]
    tags = frozenset(ROOT_MECHANISMS.get(config.root, ()))
    return Origin(loss=text.mean, mechanisms=tags, sd=text.sd, curve=baseline.curve)


def _chroma(settings: Settings, part: str) -> str:
    """One folder for the papers of all campaigns, one for each campaign's own motivations."""
    if settings.chroma_url:
        return settings.chroma_url
    return str((settings.home / part / "chroma").resolve())


def measure_root(
    root: str, settings: Settings, evaluator: EvaluatorProcess, watch: Watch
) -> Baseline:
    """Return the noise floor of a template, from the cache of this machine where it is known."""

    def watch_seed(seed: int) -> Callable[[str, CurvePoint, int], None]:
        def told(event: str, point: CurvePoint, total: int) -> None:
            # The baseline shows up as experiment 0.
            watch(_progress(0, "baseline", event, point, total, f"seed {seed}"))

        return told

    folder = settings.cache.expanduser() / "baselines"
    source = template_source(root)
    return load_or_measure(evaluator, root, source, folder, slots(settings), watch_seed)


def _refuse_other_evaluator(
    config: CampaignConfig, baseline: Baseline, evaluator: EvaluatorProcess
) -> None:
    """Numbers from another evaluator, data or torch are not comparable with this baseline."""
    ours, theirs = evaluator.provenance, baseline.provenance
    changed = [n for n in type(ours).model_fields if getattr(ours, n) != getattr(theirs, n)]
    if changed:
        raise UserError(
            f"campaign {config.name} was measured with another {', '.join(changed)}; "
            "its numbers cannot be continued here: start a new --campaign"
        )


def _progress(
    number: int, node: str, event: str, point: CurvePoint, total: int, detail: str
) -> Progress:
    return Progress(
        experiment=number,
        node=node,
        event=event,
        step=point.step,
        total=total,
        loss=point.loss,
        detail=f"{detail} {point.task}".strip(),
    )


def training_watch(lab: Lab, number: int) -> Callable[[str, CurvePoint, int], None]:
    """Return a watcher that passes each training step on and appends it to the curve on disk."""
    path = lab.path(number) / "curve.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")

    def told(event: str, point: CurvePoint, total: int) -> None:
        with path.open("a") as file:
            file.write(point.model_dump_json() + "\n")
        lab.watch(_progress(number, "evaluate", event, point, total, ""))

    return told
