"""One warm nursery for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from move37.evaluation.isolation.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as warm:
        yield warm
