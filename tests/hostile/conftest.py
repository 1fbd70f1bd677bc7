"""One warm nursery and one court for the whole corpus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.isolation.obtain import open_nursery
from tests.hostile.cases import Case
from tests.hostile.judging import Court


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with open_nursery("auto") as (warm, _):
        yield warm


@pytest.fixture(scope="session")
def court(request: pytest.FixtureRequest, nursery: Nursery) -> Iterator[Court]:
    sitting = Court(nursery)
    sitting.summon(_selected(request.session.items))
    yield sitting
    sitting.close()


def _selected(items: list[pytest.Item]) -> list[Case]:
    """Return the cases of the tests that will run, in their order."""
    parameters = [getattr(item, "callspec", None) for item in items]
    cases = [spec.params.get("judged") for spec in parameters if spec]
    return [case for case in cases if isinstance(case, Case)]
