"""lm-evaluation-harness: which tasks can be run here, and one trained model on all of them.

Every import of `lm_eval` is inside a function, because it is an extra and takes seconds.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from move37.evaluation.zero_shot.local import CHANCE
from move37.evaluation.zero_shot.results import BITS, Metric, TaskItems, TaskRun
from move37.records import UserError

INSTALL = 'pip install "move37[benchmarks]"'
OURS = tuple(CHANCE)
# Where data sets were put, and whether to look for them elsewhere; no token of anybody.
HUB = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
)
QUIET = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
Sample = dict[str, Any]


def require() -> None:
    """Raise a UserError that names the way out when the harness is not installed."""
    if find_spec("lm_eval") is None:
        raise UserError(f"benchmarks need lm-evaluation-harness, which is not here: {INSTALL}")


def hub_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that says where data sets lie."""
    return {**QUIET, **{name: source[name] for name in HUB if name in source}}


def version() -> str:
    """Return the harness's version; the same task may ask otherwise in another one."""
    return metadata.version("lm_eval")


class Harness:
    """The tasks of the harness and ours; `held_out` and `room` are what ours are made of.

    Safe to use from several threads.
    """

    def __init__(self, held_out: str, room: int) -> None:
        require()
        self._given = {"held_out": held_out, "room": room}
        self._managers: dict[bool, Any] = {}
        self._lock = threading.Lock()

    def prepare(self, names: Sequence[str], limit: int) -> list[TaskItems]:
        """Load tasks and their data, ask nothing, and say what would be asked.

        Raises:
            UserError: a task does not exist, or its data is not to be had.
        """
        with self._lock:
            tasks = self._load(names)
        for task in tasks:
            task.build_all_requests(limit=limit, rank=0, world_size=1)
        return [_asked(task) for task in tasks]

    def run(self, model: Any, names: Sequence[str], limit: int) -> list[TaskRun]:  # noqa: ANN401 - an LM of the harness
        """Ask a model all tasks, the first `limit` items of each.

        Raises:
            UserError: a task does not exist, its data is not to be had, or it cannot be scored.
            BoxFailure: from the model.
        """
        from lm_eval.evaluator import evaluate

        with self._lock:
            tasks = self._load(names)
        told = evaluate(
            model,
            {"tasks": {task.task_name: task for task in tasks}},
            limit=limit,
            bootstrap_iters=0,
        )
        samples = told["samples"]
        return [_run(task, samples[task.task_name], model) for task in tasks]

    def _load(self, names: Sequence[str]) -> list[Any]:
        tasks: dict[str, Any] = {}
        for name in names:
            manager = self._manager(ours=name in OURS)
            if name not in manager.all_tasks:
                raise UserError(
                    f"there is no task {name!r}; ours are {', '.join(OURS)}, "
                    "those of the harness: lm-eval ls tasks"
                )
            with _named(name, manager):
                tasks |= manager.load([name])["tasks"]
        for task in tasks.values():
            # As the harness does where nobody asks for another number.
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=1234)
        return list(tasks.values())

    def _manager(self, *, ours: bool) -> Any:  # noqa: ANN401 - a TaskManager of the harness
        if ours not in self._managers:
            from lm_eval.tasks import TaskManager

            logging.getLogger("lm_eval").setLevel(logging.ERROR)
            folder = Path(str(resources.files("move37.evaluation"))) / "zero_shot" / "tasks"
            # Its own ten thousand files take it a quarter of a minute to look through.
            self._managers[ours] = TaskManager(
                include_path=str(folder) if ours else None,
                include_defaults=not ours,
                metadata=self._given if ours else None,
            )
        return self._managers[ours]


@contextmanager
def _named(name: str, manager: Any) -> Iterator[None]:  # noqa: ANN401 - a TaskManager of the harness
    """Say which data is missing, and how to get it, when a task cannot be loaded."""
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        # What `datasets` cannot find or reach is an OSError or a ValueError of it.
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{name}: {_what_is_missing(name, manager)} ({why})") from None


def _what_is_missing(name: str, manager: Any) -> str:  # noqa: ANN401 - a TaskManager of the harness
    from lm_eval.tasks._yaml_loader import load_yaml

    path = manager.task_index[name].yaml_path
    config = load_yaml(path, resolve_func=False) if path else {}
    if "dataset_path" not in config:
        return "its data cannot be loaded; try a task of one dataset"
    data = [config["dataset_path"], config.get("dataset_name")]
    call = ", ".join(repr(part) for part in data if part)
    return (
        f"its data {data[0]} is not on this machine and cannot be fetched; where there is a "
        f'network, run python -c "import datasets; datasets.load_dataset({call})" and take the '
        "cache along in HF_HOME"
    )


def _asked(task: Any) -> TaskItems:  # noqa: ANN401 - a task of the harness
    """Return how many items are asked, and a hash of every text that is, once they are built."""
    digest, items = hashlib.sha256(), set()
    for instance in task.instances:
        digest.update(repr((instance.doc_id, instance.idx, instance.args)).encode())
        items.add(instance.doc_id)
    if len(items) < 2:
        raise UserError(f"{task.task_name}: two items at least are needed; raise --limit")
    return TaskItems(task=task.task_name, items=len(items), digest=digest.hexdigest()[:16])


def _run(task: Any, samples: list[Sample], model: Any) -> TaskRun:  # noqa: ANN401
    """Turn the harness's samples of one task into figures item by item."""
    asked = _asked(task)
    filters = dict.fromkeys(sample["filter"] for sample in samples)
    metrics: list[Metric] = []
    for name in filters:
        chosen = [sample for sample in samples if sample["filter"] == name]
        suffix = f",{name}" if len(filters) > 1 else ""
        metrics += _means(task, chosen, suffix)
    one_each = [sample for sample in samples if sample["filter"] == next(iter(filters))]
    bits = _bits(task, one_each, model)
    if bits is not None:
        metrics.append(bits)
    if not metrics:
        raise UserError(f"{asked.task}: it has no figure that is a mean over items")
    return TaskRun(asked=asked, metrics=tuple(metrics))


def _means(task: Any, samples: list[Sample], suffix: str) -> Iterator[Metric]:  # noqa: ANN401
    """Yield the metrics that are means over items; others have no standard error over them."""
    from lm_eval.api.metrics import mean

    for name, together in task.aggregation().items():
        if together is not mean or any(name not in sample for sample in samples):
            continue
        values = tuple(float(sample[name]) for sample in samples)
        yield Metric(
            name=f"{name}{suffix}",
            higher_is_better=bool(task.higher_is_better()[name]),
            values=values,
            weights=(1.0,) * len(values),
            chance=_chance(task, samples),
        )


def _chance(task: Any, samples: list[Sample]) -> float | None:  # noqa: ANN401
    if task.OUTPUT_TYPE != "multiple_choice":
        return None
    return float(np.mean([1 / len(task.doc_to_choice(sample["doc"])) for sample in samples]))


def _bits(task: Any, samples: list[Sample], model: Any) -> Metric | None:  # noqa: ANN401
    """Return bits per byte of the gold continuation; None where an item has several, or none."""
    told = _GOLD[task.OUTPUT_TYPE](task, samples, model)
    if told is None:
        return None
    return Metric(
        name=BITS,
        higher_is_better=False,
        values=tuple(-nats / math.log(2) for nats, _ in told),
        weights=tuple(float(len(text.encode())) for _, text in told),
        chance=None,
    )


Told = list[tuple[float, str]]


def _chosen(task: Any, samples: list[Sample], _: Any) -> Told | None:  # noqa: ANN401
    told = []
    for sample in samples:
        doc = sample["doc"]
        gold = task.doc_to_text(doc) if task.multiple_input else sample["target"]
        choices = task.doc_to_choice(doc)
        if isinstance(gold, str) and gold in choices:
            gold = choices.index(gold)
        if not isinstance(gold, int) or not 0 <= gold < len(choices):
            return None
        told.append((sample["resps"][gold][0][0], sample["arguments"][gold][1]))
    return told


def _only(_: Any, samples: list[Sample], __: Any) -> Told:  # noqa: ANN401
    return [(sample["resps"][0][0][0], sample["arguments"][0][1]) for sample in samples]


def _whole(_: Any, samples: list[Sample], __: Any) -> Told:  # noqa: ANN401
    return [(sample["resps"][0][0], sample["arguments"][0][0]) for sample in samples]


def _scored(task: Any, samples: list[Sample], model: Any) -> Told | None:  # noqa: ANN401
    """Ask for the likelihood of the text that should have been generated."""
    from lm_eval.api.instance import Instance

    requests = []
    for sample in samples:
        target = sample["target"]
        text = target[0] if isinstance(target, list) and target else target
        if not isinstance(text, str) or not text:
            return None
        prompt = sample["arguments"][0][0]
        text = f"{task.config.target_delimiter}{text}"
        about = (task.task_name, sample["doc_id"], 1)
        requests.append(Instance("loglikelihood", sample["doc"], (prompt, text), 0, about))
    found = model.loglikelihood(requests)
    return [(nats, request.args[1]) for (nats, _), request in zip(found, requests, strict=True)]


_GOLD: dict[str, Callable[[Any, list[Sample], Any], Told | None]] = {
    "multiple_choice": _chosen,
    "loglikelihood": _only,
    "loglikelihood_rolling": _whole,
    "generate_until": _scored,
}
