"""What models have cost, as people see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from move37 import display
from move37.agents.models.calls import Total, Totals
from move37.records import Caps, Experiment, TokenUse
from move37.report import render_report
from move37.spending_view import spending, spent_line
from tests.move37_package import sample
from tests.move37_package.test_display import shown


def using(*uses: TokenUse) -> list[Experiment]:
    first, *_ = sample.experiments()
    return [first.model_copy(update={"usage": uses})]


def use(role: str, **more: Any) -> TokenUse:
    told = {"model": "m", "calls": 2, "input_tokens": 1_000, "output_tokens": 50, "seconds": 3.0}
    return TokenUse(role=role, **(told | more))


BOOKS = Totals(
    campaign=Total(calls=5),
    roles={
        "judge": Total(calls=1, input_tokens=70, output_tokens=7, usd=0.5),
        "researcher": Total(
            calls=4, failed=1, assumed=1, input_tokens=9_000, output_tokens=900, usd=1.75, spared=2
        ),
    },
)


def test_the_books_count_before_what_experiments_say() -> None:
    lines = spending(using(use("researcher", usd=0.1, machine_seconds=7.5)), BOOKS)
    assert [(one.role, one.total.usd, one.worked) for one in lines] == [
        ("researcher", 1.75, 7.5),
        ("judge", 0.5, None),
    ]


def test_without_books_the_turns_of_the_experiments_add_up_by_role() -> None:
    first, second = spending(
        using(
            use("judge", usd=0.25),
            use("forecaster", usd=0.5, machine_seconds=0.0),
            use("analyst", usd=None, machine_seconds=1.0),
        )
    )
    assert (first.role, first.total.calls, first.total.usd, first.worked) == ("judge", 4, 0.75, 0.0)
    assert (second.role, second.total.unpriced, second.worked) == ("analyst", 2, 1.0)


def test_the_line_names_the_caps_and_what_was_not_plain() -> None:
    line = spent_line(spending([], BOOKS), Caps(usd=2.5, tokens=20_000, calls=9))
    assert line == (
        "5 of 9 calls, 9,977 of 20,000 tokens, $2.25 of $2.50, 1 failed, "
        "1 counted at their bound, 2 answered from a cache"
    )


def test_money_without_a_price_is_not_shown_as_none() -> None:
    unknown = spending(using(use("judge")))
    assert "no price known" in spent_line(unknown, Caps())
    both = spending(using(use("judge"), use("analyst", usd=0.5)))
    assert "$0.50 and 2 calls without a price" in spent_line(both, Caps())


def test_the_status_and_the_report_show_what_each_role_has_cost() -> None:
    campaign = sample.campaign()
    status = shown(display.status_view(campaign, sample.experiments(), None, BOOKS))
    report = render_report(campaign, sample.experiments(), sample.root(), None, BOOKS)
    for text in (status, report):
        assert "5 calls, 9,977 tokens, $2.25" in text
        assert "$1.75" in text


def test_a_role_cannot_write_into_the_report() -> None:
    page = render_report(sample.campaign(), using(use(sample.HOSTILE)), sample.root())
    assert "<img src=x" not in page


def test_a_campaign_without_calls_shows_no_table_of_them(tmp_path: Path) -> None:
    text = shown(display.status_view(sample.campaign(), using()))
    assert "spent" not in text
