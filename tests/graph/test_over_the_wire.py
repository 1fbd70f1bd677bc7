"""Whole campaigns through the real client and a socket, undisturbed and with faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from move37.agents.models.calls import JOURNAL, read_calls, totals_of
from move37.agents.models.choosing import Means
from move37.agents.models.wire import Patience
from move37.graph.campaign import run_campaign
from move37.records import CampaignConfig, Experiment, Status, UserError
from move37.settings import Settings
from tests.agents import faults
from tests.agents.openai_server import Ledger, Offline, Plan, Provider, serving
from tests.graph.records import lasting

pytestmark = pytest.mark.timeout(1200)
# One experiment at a time, so that the same requests meet the same faults.
CONFIG = CampaignConfig(name="wire", tier="smoke", experiments=3, batch=1, seed=3)
PATIENCE = Patience(attempts=3, first=0.001, longest=0.05)


@dataclass(frozen=True)
class Line:
    """A server that the built-in model speaks through, and a folder for each campaign."""

    provider: Provider
    folder: Path
    cache: Path

    def settings(self, home: str) -> Settings:
        """Return settings of a campaign's own."""
        return self.provider.settings(
            home=self.folder / home, cache=self.cache, slots=1, protocol="tools", model_timeout=30.0
        )

    def run(
        self, home: str, plan: Plan | None = None, config: CampaignConfig = CONFIG
    ) -> list[Experiment]:
        """Run or go on with a campaign under a plan; the server's books begin anew."""
        self.provider.ledger = Ledger()
        self.provider.plan = plan or (lambda _body, _words: None)
        return run_campaign(config, self.settings(home))


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Line]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("move37.graph.lab.Means", partial(Means, patience=PATIENCE))
        with serving(Offline(patch)) as provider:
            yield Line(provider, tmp_path_factory.mktemp("wire"), cache)


@pytest.fixture(scope="module")
def undisturbed(line: Line) -> list[Experiment]:
    experiments = line.run("undisturbed")
    assert tokens(experiments) == line.provider.ledger.tokens
    return experiments


def tokens(experiments: list[Experiment]) -> tuple[int, int]:
    """Return the tokens read and written that the experiments' records hold."""
    uses = [use for one in experiments for use in one.usage]
    return sum(use.input_tokens for use in uses), sum(use.output_tokens for use in uses)


@pytest.mark.slow
def test_over_the_wire_the_built_in_model_designs_what_it_designs_in_process(
    undisturbed: list[Experiment], tmp_path: Path, cache: Path
) -> None:
    one = CONFIG.model_copy(update={"experiments": 1})
    (here,) = run_campaign(one, Settings(_env_file=None, home=tmp_path, cache=cache))
    assert (undisturbed[0].proposal, undisturbed[0].fitness) == (here.proposal, here.fitness)


@pytest.mark.slow
def test_faults_that_pass_leave_the_record_as_it_would_have_been(
    undisturbed: list[Experiment], line: Line
) -> None:
    experiments = line.run("passing", faults.now_and_then(faults.of("passes"), 0.5, seed=5))
    assert line.provider.ledger.faults.total() >= 20
    assert lasting(experiments) == lasting(undisturbed)
    assert tokens(experiments) == line.provider.ledger.tokens


@pytest.mark.parametrize(
    "seed", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.long)]
)
def test_whatever_a_provider_does_every_experiment_is_archived_with_what_became_of_it(
    seed: int, line: Line
) -> None:
    names = faults.of("passes", "words")
    home = f"all-{seed}"
    experiments = line.run(home, faults.now_and_then(names, 0.4, seed, in_a_row=4))
    assert [one.number for one in experiments] == [1, 2, 3]
    assert line.provider.ledger.faults.total() >= 10
    for one in experiments:
        assert one.status in get_args(Status)
        assert one.status == "scored" or one.reason or one.outcome is not None
        assert one.usage
    assert tokens(experiments) == line.provider.ledger.tokens
    again = line.run(home, faults.always("500", 0))
    assert again == experiments
    assert line.provider.ledger.asked == []


@pytest.mark.long
def test_a_campaign_that_was_refused_goes_on_when_the_user_has_mended_the_cause(
    undisturbed: list[Experiment], line: Line
) -> None:
    for requests in ([9], [4], [0]):
        with pytest.raises(UserError, match="check MOVE37_MODEL"):
            line.run("refused", faults.at(requests, "401", seed=0))
    experiments = line.run("refused")
    # What a turn cost that was refused is in the journal; its node was run again.
    assert without_cost(experiments) == without_cost(undisturbed)


@pytest.mark.slow
def test_the_journal_holds_every_answer_and_the_cap_on_calls_counts_each_try(
    line: Line,
) -> None:
    experiments = line.run("journal", faults.now_and_then(["429", "5xx"], 0.3, seed=9))
    ledger = line.provider.ledger
    total = totals_of(read_calls(line.folder / "journal" / CONFIG.name / JOURNAL)).campaign
    assert (total.input_tokens, total.output_tokens) == ledger.tokens == tokens(experiments)
    assert total.calls == len(ledger.asked)
    assert total.failed == ledger.faults.total()
    assert total.assumed == 0


def without_cost(experiments: list[Experiment]) -> list[object]:
    """Return what lasts of the records but for the calls."""
    return [lasting(one.model_copy(update={"usage": ()})) for one in experiments]
