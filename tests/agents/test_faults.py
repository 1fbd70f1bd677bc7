"""A researcher's turn over a real socket while the provider fails in every way that is known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from move37.agents.models.choosing import Means, chat_model
from move37.agents.models.ledger import Ledger as Books
from move37.agents.models.protocols import Way
from move37.agents.models.wire import Patience, Wired
from move37.agents.researcher import CALLS, propose
from move37.records import Proposal, TokenUse, UserError, Weather
from tests.agents import faults
from tests.agents.faults import FAULTS, always, at, now_and_then
from tests.agents.openai_server import Body, Ledger, Plan, Provider, Words, calling, serving
from tests.agents.scripted import bench, research_brief

# LangChain's client says so of a usage that holds words, and goes on.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")

CODE = "import torch\n\nclass TokenMixer(torch.nn.Module):\n    taps = 8\n"
DESIGN: dict[str, Any] = {
    "name": "longer filter",
    "motivation": "A longer filter sees more.",
    "hypothesis": "Recall falls.",
    "expected_gain": 0.02,
    "mechanisms": ["short-convolution"],
}
PATIENCE = Patience(attempts=3, first=0.001, longest=0.05)
WAYS: tuple[Way, ...] = ("tools", "schema", "text")
# An undisturbed turn: write, check, answer.
TURNS = 3


def diligent(body: Body) -> Words:
    """Write the code, have it checked, answer; whatever else happened in between."""
    results = [_result(message) for message in body["messages"]]
    if not any(text.startswith("written: ") for text in results):
        return calling("write_code", code=CODE)
    if not any("PASSED" in text for text in results):
        return calling("check_code")
    return calling("Design", **DESIGN)


def as_actions(body: Body) -> Words:
    """Say the same as JSON in the text, as a model does that cannot call tools."""
    words = diligent(body)
    ((name, arguments),) = words.calls
    action = json.dumps({"tool": name, "arguments": json.loads(arguments)})
    return replace(words, text=action, calls=())


def _result(message: Body) -> str:
    """Return what a tool gave, whether it is told as a tool's message or as a user's."""
    text = str(message["content"])
    told = text.partition("\n")[2] if text.startswith("Result of ") else ""
    return text if message["role"] == "tool" else told


@dataclass(frozen=True)
class Ending:
    """How a turn ended: with a proposal, or with an error; what it cost by our count."""

    proposal: Proposal | None
    error: Weather | UserError | None
    use: TokenUse | None
    books: Books

    @property
    def word(self) -> str:
        """The ending in a word."""
        return "answer" if self.error is None else type(self.error).__name__


class Stage:
    """Plays turns of a researcher against the server."""

    def __init__(self, provider: Provider, folder: Path) -> None:
        self.provider = provider
        self._folder = folder

    def play(
        self,
        plan: Plan | None = None,
        way: Way = "tools",
        timeout: float = 20.0,
        patience: Patience = PATIENCE,
        *,
        streaming: bool = False,
    ) -> Ending:
        """Play one turn under a plan; the server's books begin anew."""
        provider = self.provider
        provider.ledger = Ledger()
        provider.policy = diligent if way == "tools" else as_actions
        provider.plan = plan or (lambda _body, _words: None)
        books = Books()
        settings = provider.settings(protocol=way, model_timeout=timeout)
        model = chat_model("researcher", settings, Means(ledger=books, patience=patience))
        assert isinstance(model, Wired)
        if streaming:
            (voice,) = model.line.voices
            wish = {"disable_streaming": False, "streaming": True, "stream_usage": True}
            voice.model = voice.model.model_copy(update=wish)
        try:
            proposal, use = propose(research_brief(), bench(self._folder), model)
        except Weather as weather:
            return Ending(None, weather, weather.use[-1], books)
        except UserError as error:
            return Ending(None, error, None, books)
        return Ending(proposal, None, use, books)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with serving(diligent) as provider:
        yield Stage(provider, tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def undisturbed(stage: Stage) -> Proposal:
    proposal = stage.play().proposal
    assert proposal is not None
    return proposal


def assert_counted(ending: Ending, server: Ledger) -> None:
    """The turn's tokens and those of the books are those of the answers that the server gave."""
    assert ending.use is not None
    assert (ending.use.input_tokens, ending.use.output_tokens) == server.tokens
    assert ending.use.calls == server.answers


@pytest.mark.parametrize("way", WAYS)
def test_an_undisturbed_turn_ends_in_the_design_and_its_cost(
    way: Way, stage: Stage, undisturbed: Proposal
) -> None:
    ending = stage.play(way=way)
    assert ending.proposal == undisturbed
    assert undisturbed.code == CODE
    assert len(stage.provider.ledger.asked) == TURNS
    assert_counted(ending, stage.provider.ledger)


@pytest.mark.parametrize("name", faults.of("passes"))
@pytest.mark.parametrize("way", WAYS)
def test_trouble_that_passes_leaves_no_trace_in_the_design(
    name: str, way: Way, stage: Stage, undisturbed: Proposal
) -> None:
    for seed, place in enumerate(range(TURNS)):
        ending = stage.play(at([place, place + 1], name, seed), way)
        assert ending.proposal == undisturbed, ending.error
        assert stage.provider.ledger.faults[name] == 2
        assert_counted(ending, stage.provider.ledger)


@pytest.mark.parametrize("name", ["429", "5xx", "closed at once", "dropped stream"])
def test_a_client_that_streams_comes_through_as_well(
    name: str, stage: Stage, undisturbed: Proposal
) -> None:
    for seed, place in enumerate(range(TURNS)):
        ending = stage.play(at([place, place + 1], name, seed), streaming=True)
        assert ending.proposal == undisturbed, ending.error
        assert all(body.get("stream") for body in stage.provider.ledger.asked)
        assert_counted(ending, stage.provider.ledger)


@pytest.mark.parametrize("name", faults.of("passes"))
def test_trouble_that_lasts_is_weather_after_as_many_tries_as_agreed(
    name: str, stage: Stage
) -> None:
    ending = stage.play(always(name, seed=1))
    assert ending.word == "Weather", ending
    assert "researcher" in str(ending.error)
    assert len(stage.provider.ledger.asked) == PATIENCE.attempts
    assert_counted(ending, stage.provider.ledger)


@pytest.mark.parametrize("name", faults.LASTING)
def test_a_provider_that_does_not_come_to_an_end_is_given_up_in_time(
    name: str, stage: Stage, undisturbed: Proposal
) -> None:
    ending = stage.play(at([1], name, seed=1), timeout=1.0)
    assert ending.proposal == undisturbed, ending.error
    hurried = replace(PATIENCE, attempts=1)
    ending = stage.play(always(name, seed=1), timeout=0.2, patience=hurried)
    assert ending.word == "Weather", ending
    assert ending.use is not None
    assert ending.use.seconds < 20.0
    assert len(stage.provider.ledger.asked) == 1


@pytest.mark.parametrize("name", faults.of("words"))
@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_model_says_the_turn_ends_in_order_and_no_half_word_is_recorded(
    name: str, way: Way, stage: Stage, undisturbed: Proposal
) -> None:
    for seed, places in enumerate([[0], [1], [2], [0, 2]]):
        ending = stage.play(at(places, name, seed), way)
        assert ending.word in ("answer", "Weather"), ending
        assert_counted(ending, stage.provider.ledger)
        if ending.proposal is not None:
            # What was written in other letters is what the file holds.
            code = ending.proposal.code if name == "mojibake" else undisturbed.code
            assert ending.proposal == undisturbed.model_copy(update={"code": code})


@pytest.mark.parametrize("name", faults.of("words"))
def test_a_model_that_never_makes_sense_is_stopped(name: str, stage: Stage) -> None:
    ending = stage.play(always(name, seed=3))
    assert ending.word == "Weather", ending
    assert stage.provider.ledger.answers <= CALLS
    assert_counted(ending, stage.provider.ledger)


@pytest.mark.parametrize("name", faults.of("refused"))
@pytest.mark.parametrize("place", range(TURNS))
def test_a_refusal_is_told_to_the_user_at_once(name: str, place: int, stage: Stage) -> None:
    ending = stage.play(at([place], name, seed=0))
    assert ending.word == "UserError", ending
    assert "check MOVE37_MODEL" in str(ending.error)
    assert "\n" not in str(ending.error)
    assert len(stage.provider.ledger.asked) == place + 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_faults_of_all_kinds_crash_nothing(stage: Stage, undisturbed: Proposal) -> None:
    names = faults.of("passes", "words")
    played: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    for seed in range(2_000):
        way = WAYS[seed % len(WAYS)]
        ending = stage.play(now_and_then(names, 0.4, seed), way)
        assert ending.word in ("answer", "Weather"), (seed, way, ending)
        assert_counted(ending, stage.provider.ledger)
        only_passing = all(FAULTS[n].effect == "passes" for n in stage.provider.ledger.faults)
        if only_passing:
            assert ending.proposal == undisturbed, (seed, way, ending)
        played += stage.provider.ledger.faults
        endings[ending.word] += 1
        if played.total() >= 1_000 and min(played[name] for name in names) >= 20:
            break
    assert played.total() >= 1_000
    assert set(names) == set(played)
    assert endings["answer"] > endings["Weather"]
