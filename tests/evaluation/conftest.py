"""One warm nursery for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.isolation.obtain import open_nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with open_nursery("auto") as (warm, _):
        yield warm
