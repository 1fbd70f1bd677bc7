"""What the graph asks of people: a design where the researcher is outside, and a yes.

Each waits in an interrupt of its node. What stands before an interrupt runs again when it is
answered, so it is either without effect or a task, whose result is kept with the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Literal

from langgraph.func import task
from langgraph.types import interrupt
from pydantic import ValidationError

from move37.agents.briefs import ResearchBrief
from move37.agents.prompts.prompting import message, system_prompt
from move37.agents.researcher import Submission, settled, told_ids
from move37.records import Candidate, Finite, Forecast, Proposal, TokenUse, UserError, Value

YES, NO = frozenset({"yes", "y", "true"}), frozenset({"no", "n", "false"})


class DesignWanted(Value):
    """A brief that waits for a design; `problem` says what was wrong with the last answer.

    `shown` are the ids of what the brief shows.
    """

    wanted: Literal["a design"] = "a design"
    experiment: int
    attempt: int
    brief: str
    shown: tuple[str, ...] = ()
    problem: str = ""


class Told(Value):
    """A brief as it goes out, and what it cost."""

    request: DesignWanted
    usage: tuple[TokenUse, ...] = ()


class ApprovalWanted(Value):
    """A design that waits for a yes before it is trained; gains in nats per token.

    `expected_gain` is what its author expects, `predicted_gain` what the judge does.
    """

    wanted: Literal["approval"] = "approval"
    experiment: int
    name: str
    motivation: str
    expected_gain: Finite
    predicted_gain: Finite | None = None
    lines: int
    problem: str = ""


Approve = Callable[[ApprovalWanted], bool]


def told(
    brief: ResearchBrief, usage: Sequence[TokenUse], budget: int, document: str | None
) -> Told:
    """Return a brief as it goes out: the words that an agent of ours would read.

    `budget` are the tokens of the longest prompt, `document` one in the place of the role's own.
    """
    system, asked = system_prompt("researcher", document), message(brief, budget, document)
    request = DesignWanted(
        experiment=brief.number,
        attempt=brief.attempt,
        brief=f"{system}\n\n{asked.text}",
        shown=told_ids(brief),
    )
    return Told(request=request, usage=tuple(usage))


def design_from_outside(
    parent: Candidate, build: Callable[[], Told]
) -> tuple[Proposal, list[TokenUse]]:
    """Show a brief to whoever is outside, wait for a design, and return it and the brief's cost."""
    kept = Told.model_validate(_kept(build).result())
    request = kept.request
    while True:
        answer = interrupt(
            request.model_dump(mode="json"), response_schema=Submission.model_json_schema()
        )
        try:
            proposal = received(answer, request, parent)
        except UserError as error:
            request = request.model_copy(update={"problem": str(error)})
        else:
            return proposal, list(kept.usage)


@task
def _kept(build: Callable[[], Told]) -> dict[str, Any]:
    """Build the brief once for each attempt: its summaries cost calls of a model."""
    # Plain data: the checkpoints of a server know none of our types.
    return build().model_dump(mode="json")


def received(answer: object, request: DesignWanted, parent: Candidate) -> Proposal:
    """Return a design from outside as a proposal.

    Raises:
        UserError: something of it is missing, or the parent's code is unchanged.
    """
    try:
        design = Submission.model_validate(answer)
        design.code.encode()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise UserError(f"{place}: {first['msg']}") from None
    except UnicodeEncodeError as error:
        raise UserError(f"code: not valid text at character {error.start}") from None
    if design.code.strip() == parent.code.strip():
        raise UserError("code: it is still the parent's; change it as the motivation says")
    return settled(design, design.code, (*request.shown, *design.shown))


def approved(number: int, proposal: Proposal, forecast: Forecast | None) -> bool:
    """Ask whether a design is to be trained, until the answer is yes or no."""
    request = ApprovalWanted(
        experiment=number,
        name=proposal.name,
        motivation=proposal.motivation,
        expected_gain=proposal.expected_gain,
        predicted_gain=forecast.gain if forecast else None,
        lines=len(proposal.code.splitlines()),
    )
    while True:
        answer = interrupt(request.model_dump(mode="json"), response_schema={"type": "boolean"})
        said = str(answer).strip().lower()
        if said in YES | NO:
            return said in YES
        request = request.model_copy(update={"problem": "answer yes or no"})


class Questions:
    """What experiments ask in their threads, answered one by one in the thread that waits for all.

    Without somebody to ask, the answer is yes.
    """

    def __init__(self, approve: Approve | None) -> None:
        self.approve = approve
        self._asked: SimpleQueue[tuple[ApprovalWanted, Future[bool]]] = SimpleQueue()
        self._closed = False

    def ask(self, question: ApprovalWanted) -> bool:
        """Wait for the answer; CancelledError when nobody answers any more."""
        if self.approve is None:
            return True
        answer: Future[bool] = Future()
        self._asked.put((question, answer))
        if self._closed:
            answer.cancel()
        return answer.result()

    def answer(self) -> None:
        """Answer what was asked since the last time."""
        while not self._asked.empty() and self.approve is not None:
            question, answer = self._asked.get()
            try:
                answer.set_result(self.approve(question))
            except BaseException:
                answer.cancel()
                raise

    def close(self) -> None:
        """Let go of all who wait."""
        self._closed = True
        while True:
            try:
                self._asked.get_nowait()[1].cancel()
            except Empty:
                return
