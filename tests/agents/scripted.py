"""A chat model that plays a script, and the values that the tests of agents share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from move37.agents.briefs import (
    AnalystBrief,
    EngineerBrief,
    ForecastBrief,
    JudgeBrief,
    ResearchBrief,
)
from move37.records import (
    Baseline,
    Candidate,
    Cognition,
    Cost,
    CurvePoint,
    Estimate,
    Experiment,
    Failed,
    GateReport,
    GateResult,
    Lesson,
    Measured,
    Noise,
    Proposal,
    Provenance,
    Selection,
    Size,
    TaskScore,
)
from move37.tools.workbench import Workbench

ROOT_CODE = "import torch\n\nclass TokenMixer(torch.nn.Module):\n    taps = 4\n"


class Scripted(BaseChatModel):
    """Says its script line by line and the last line for ever; an exception is raised."""

    script: list[Any]
    seen: list[list[BaseMessage]] = Field(default_factory=list)
    offered: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        self.offered[:] = [convert_to_openai_tool(tool)["function"]["name"] for tool in tools]
        return self.bind(**kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        line = self.script[min(len(self.seen), len(self.script) - 1)]
        self.seen.append(list(messages))
        if isinstance(line, Exception):
            raise line
        return ChatResult(generations=[ChatGeneration(message=line.model_copy())])


def says(text: str) -> AIMessage:
    """Return a turn of prose."""
    return AIMessage(content=text, response_metadata={"model_name": "scripted-1"})


def calls(name: str, /, **arguments: object) -> AIMessage:
    """Return a turn that calls one tool."""
    return AIMessage(
        content="",
        tool_calls=[{"name": name, "args": arguments, "id": f"id-{name}", "type": "tool_call"}],
        usage_metadata=UsageMetadata(input_tokens=10, output_tokens=3, total_tokens=13),
        response_metadata={"model_name": "scripted-1"},
    )


MARKS = {
    "innovation": 5,
    "complexity": 5,
    "correctness": 5,
    "convergence": 5,
    "performance": 5,
    "reason": "as the baseline",
}
ANSWER = calls(
    "Design",
    name="sharper",
    motivation="A longer filter.",
    hypothesis="Loss falls.",
    expected_gain=0.02,
    mechanisms=["short-convolution", "perpetual-motion"],
    cognition_ids=["c1", "invented"],
)


def gates(*, passed: bool = True) -> GateReport:
    """Return a report of one gate."""
    gate = GateResult(
        id="G1",
        name="suffix perturbation",
        passed=passed,
        figure=0.0 if passed else 0.4,
        threshold=1e-9,
        detail="" if passed else "position 31 sees position 32",
    )
    return GateReport(gates=(gate,), seconds=0.5)


SIZE = Size(parameters=60_000, mixer_parameters=30_000, flops_per_token=1e5, state_bytes=4096)
PROVENANCE = Provenance(
    evaluator="e", data="d", tier="smoke", torch="2.13.0", machine="m", isolation="process"
)


def curve(shift: float = 0.0) -> tuple[CurvePoint, ...]:
    """Return a training curve that runs below the baseline's by `shift`."""
    return tuple(
        CurvePoint(task="text", step=step, loss=5.5 - step / 100 - shift, seconds=step / 10)
        for step in range(0, 200, 10)
    )


def measured(loss: float = 2.30, recall: float = 1.0) -> Measured:
    """Return a result with these held-out losses."""
    return Measured(
        gates=gates(),
        audit=gates(),
        scores=(
            TaskScore(task="text", seed=0, loss=loss, tokens=1000),
            TaskScore(task="recall", seed=0, loss=recall, tokens=1000),
        ),
        curve=curve(2.31 - loss),
        size=SIZE,
        cost=Cost(),
        provenance=PROVENANCE,
    )


NOISE = {
    "text": Noise(mean=2.31, sd=0.02, seeds=5),
    "recall": Noise(mean=1.0, sd=0.3, seeds=5),
}
BASELINE = Baseline(
    name="delta_net",
    code="class TokenMixer: ...",
    tier="smoke",
    noise=NOISE,
    size=SIZE,
    step_seconds={"text": 0.1},
    curve=curve(),
    scores=(),
    provenance=PROVENANCE,
)
PARENT = Candidate(
    number=0, name="delta_net", motivation="The root.", code=ROOT_CODE, fitness=0.5, loss=2.31
)
LESSON = Cognition(
    id="c1",
    paper_id="2412.06464",
    title="Gated Delta Networks",
    year=2024,
    family="delta",
    scenario="the memory must forget at once when the topic changes",
    algorithm="decay the state by a gate before the delta update",
    context="language modelling and recall",
    mechanisms=("gated-delta-rule", "learned-decay"),
)
LEARNED = Lesson(id="lesson-1.1", text="Decay helps.", experiment=1, changed=("+learned-decay",))
PROPOSAL = Proposal(
    name="try",
    motivation="Why not.",
    hypothesis="It helps.",
    expected_gain=0.01,
    mechanisms=("delta-rule",),
    code=ROOT_CODE,
)
FAILED = Failed(stage="gate", reason="G1 suffix perturbation: position 31 sees 32", log="a log")


def experiment(number: int) -> Experiment | None:
    """Return experiment 1 or 2; there are no others."""
    if number not in (1, 2):
        return None
    return Experiment(
        id=f"e{number}",
        campaign="c",
        number=number,
        status="unjudged",
        parent=0,
        proposal=PROPOSAL.model_copy(update={"code": f"{ROOT_CODE}    number = {number}\n"}),
        outcome=measured(2.30 + number / 100),
    )


def template(name: str) -> str:
    """Return the root template; there is no other."""
    if name != "delta_net":
        raise ValueError(name)
    return ROOT_CODE


def bench(
    folder: Path,
    check: Callable[[str], GateReport | Failed] = lambda _: gates(),
    rehearse: Callable[[str], Measured | Failed] = lambda _: measured(),
) -> Workbench:
    """Return a workbench whose evaluation answers at once."""
    return Workbench(
        path=folder / "candidate.py",
        check=check,
        rehearse=rehearse,
        search=lambda _query, k, _families, _since: (LESSON,)[:k],
        recall=lambda _, k: (LEARNED,)[:k],
        experiment=experiment,
        template=template,
    )


def research_brief(attempt: int = 0, parent: Candidate = PARENT, number: int = 3) -> ResearchBrief:
    """Return the brief of a researcher."""
    return ResearchBrief(
        seed=7,
        number=number,
        attempt=attempt,
        selection=Selection(parent=parent, reason="the best so far"),
        tier="smoke",
        noise=NOISE,
    )


def engineer_brief(proposal: Proposal = PROPOSAL, failed: Failed = FAILED) -> EngineerBrief:
    """Return the brief of an engineer."""
    return EngineerBrief(
        seed=7,
        number=3,
        round=1,
        proposal=proposal,
        failed=failed,
        parent=PARENT.code,
        idea=proposal.code,
    )


def forecast_brief(
    gains: dict[str, tuple[float, ...]] | None = None, believed: float = 2.31
) -> ForecastBrief:
    """Return the brief of a judge before the training; descent promises nothing."""
    return ForecastBrief(
        seed=7,
        number=3,
        scoring=0,
        proposal=PROPOSAL,
        parent=PARENT,
        believed=Estimate(mean=believed, sd=0.01),
        prior=Estimate(mean=2.31, sd=0.04),
        changed=("+learned-decay", "-short-convolution"),
        gains=gains or {},
        tier="smoke",
        noise=NOISE["text"],
    )


def judge_brief(result: Measured) -> JudgeBrief:
    """Return the brief of a judge."""
    return JudgeBrief(
        seed=7, number=3, proposal=PROPOSAL, measured=result, baseline=BASELINE, parent=PARENT
    )


def analyst_brief(outcome: Measured | Failed) -> AnalystBrief:
    """Return the brief of an analyst."""
    return AnalystBrief(
        proposal=PROPOSAL, outcome=outcome, judgement=None, parent=PARENT, noise=NOISE
    )
