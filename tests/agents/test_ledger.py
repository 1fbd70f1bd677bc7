"""The ledger: caps that are not passed, whoever asks when; a journal that outlives its process."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from move37.agents.models.calls import JOURNAL, Call, Totals, dollars, read_calls
from move37.agents.models.ledger import FIRST_RATIO, OVERHEAD, ROOM, Ledger, Reservation, Spent
from move37.agents.models.prices import UNIT, Price, PriceList, Prices
from move37.records import BudgetSpent, Caps, UserError

DEAR, CHEAP, UNKNOWN = "openai:dear", "openai:cheap", "openai:unknown"
PRICES = Prices(
    (
        PriceList(
            dated=date(2026, 1, 1),
            unit=UNIT,
            models={
                "dear": Price(input=2.0, cached_input=0.5, cache_write=2.5, output=10.0),
                "cheap": Price(input=0.1, output=0.4),
            },
        ),
    )
)
SPAWN = multiprocessing.get_context("spawn")


def ledger(path: Path | None = None, **caps: Any) -> Ledger:
    return Ledger(Caps(**caps), PRICES, path)


def reserve(
    book: Ledger,
    chars: int = 4_000,
    max_output: int = 1_000,
    model: str = DEAR,
    role: str = "judge",
    experiment: int = 1,
) -> Reservation:
    return book.reserve(
        role=role, experiment=experiment, model=model, chars=chars, max_output=max_output
    )


def bound(chars: int, max_output: int) -> int:
    """The bound on the tokens of a model's first call."""
    return OVERHEAD + int(chars * FIRST_RATIO) + max_output


# --- one call ----------------------------------------------------------------------------------


def test_a_call_counts_what_the_provider_reported() -> None:
    book = ledger()
    usd = book.settle(
        reserve(book, role="researcher", experiment=3),
        Spent(input_tokens=1_000, cached_tokens=600, output_tokens=200, seconds=1.5),
    )
    assert usd == pytest.approx((400 * 2 + 600 * 0.5 + 200 * 10) / 1e6)
    totals = book.totals()
    total = totals.campaign
    assert (total.calls, total.input_tokens, total.output_tokens) == (1, 1_000, 200)
    assert (total.usd, total.seconds, total.unpriced) == (usd, 1.5, 0)
    assert totals.roles == {"researcher": total}
    assert totals.experiments == {3: total}


def test_calls_of_a_model_without_a_price_count_tokens_and_no_money() -> None:
    book = ledger()
    assert book.settle(reserve(book, model=UNKNOWN), Spent(input_tokens=9, output_tokens=1)) is None
    total = book.totals().campaign
    assert (total.tokens, total.usd, total.unpriced) == (10, 0.0, 1)


def test_money_cannot_be_capped_for_a_model_without_a_price() -> None:
    book = ledger(usd=1.0)
    with pytest.raises(UserError, match=r"cannot be counted for openai:unknown.*MOVE37_PRICES"):
        reserve(book, model=UNKNOWN)


def test_a_failed_call_that_cost_nothing_frees_what_was_held_for_it() -> None:
    book = ledger(tokens=bound(4_000, 1_000))
    for _ in range(3):
        book.settle(reserve(book), Spent(ok=False))
    total = book.totals().campaign
    assert (total.calls, total.failed, total.tokens) == (3, 3, 0)
    reserve(book)


def test_a_call_of_which_nobody_knows_the_tokens_counts_its_bound() -> None:
    book = ledger(tokens=2 * bound(4_000, 1_000) - 1)
    usd = book.settle(reserve(book), Spent(input_tokens=None, output_tokens=None, ok=False))
    total = book.totals().campaign
    assert (total.tokens, total.assumed) == (bound(4_000, 1_000), 1)
    assert usd == pytest.approx((2_800 * 2.5 + 1_000 * 10) / 1e6)
    with pytest.raises(BudgetSpent):
        reserve(book)


def test_an_answer_that_no_provider_gave_costs_nothing() -> None:
    book = ledger(calls=1)
    for _ in range(2):
        spent = Spent(input_tokens=900, output_tokens=100, source="cache")
        assert book.settle(reserve(book), spent) == 0.0
    total = book.totals().campaign
    assert (total.spared, total.calls, total.tokens, total.usd) == (2, 0, 0, 0.0)


# --- caps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caps", "cap", "said"),
    [
        ({"calls": 2}, "calls", r"2 of 2 calls are spent"),
        ({"tokens": 5_000}, "tokens", r"2,000 of 5,000 tokens .* the judge may take 3,"),
        ({"usd": 0.02}, "usd", r"\$0.0056 of \$0.02 are spent, and the next .* may take \$0.01"),
    ],
)
def test_a_call_that_could_pass_a_cap_is_refused_and_the_cap_is_named(
    caps: dict[str, Any], cap: str, said: str
) -> None:
    book = ledger(**caps)
    for _ in range(2):
        book.settle(reserve(book), Spent(input_tokens=900, output_tokens=100))
    chars = 20_000 if cap == "usd" else 4_000
    with pytest.raises(BudgetSpent, match=said) as met:
        reserve(book, chars=chars, max_output=200 if cap == "usd" else 2_000)
    assert met.value.cap == cap


def test_the_bound_follows_the_densest_text_of_each_model() -> None:
    book = ledger()
    for read in (OVERHEAD + 1_000, OVERHEAD + 1_200, OVERHEAD + 800):
        book.settle(reserve(book), Spent(input_tokens=read))
    assert reserve(book).call.input_tokens == OVERHEAD + 1_200 * ROOM
    assert reserve(book, model=CHEAP).call.input_tokens == OVERHEAD + 4_000 * FIRST_RATIO


def test_the_bound_learns_nothing_from_short_failed_or_uncounted_calls() -> None:
    book = ledger()
    book.settle(reserve(book, chars=10), Spent(input_tokens=700))
    book.settle(reserve(book), Spent(input_tokens=1, ok=False))
    book.settle(reserve(book), Spent(input_tokens=None))
    assert reserve(book).call.input_tokens == OVERHEAD + 4_000 * FIRST_RATIO


def test_a_call_waits_for_those_under_way_where_they_alone_stand_against_it() -> None:
    book = ledger(tokens=bound(4_000, 1_000) + 100)
    first = reserve(book)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(reserve, book)
        time.sleep(0.1)
        assert not second.done()
        book.settle(first, Spent(input_tokens=60, output_tokens=40))
        book.settle(second.result(timeout=60), Spent())
    assert book.totals().campaign.tokens == 100


def test_a_call_that_waited_in_vain_is_refused() -> None:
    book = ledger(calls=1)
    first = reserve(book)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(reserve, book)
        book.settle(first, Spent())
        with pytest.raises(BudgetSpent):
            second.result(timeout=60)


shares = st.floats(min_value=0, max_value=1)
models = st.sampled_from((DEAR, CHEAP))
requests = st.tuples(
    models,
    st.integers(1, 60_000),
    st.integers(1, 5_000),
    shares,
    shares,
    st.sampled_from((True, True, False)),
)


def within(held: Reservation, into: float, out: float, ok: bool) -> Spent:
    """What a call may report that keeps to its bound."""
    read = int(held.call.input_tokens * into)
    written = int(held.call.output_tokens * out)
    cached = read // 3
    return Spent(input_tokens=read, cached_tokens=cached, output_tokens=written, ok=ok)


class Impatient(Ledger):
    """Where a call would wait for others, the oldest of them fails, as a provider might."""

    def __init__(self, caps: Caps) -> None:
        super().__init__(caps, PRICES)
        self.held: list[Reservation] = []

    def _wait(self) -> None:
        self.settle(self.held.pop(0), Spent(ok=False))


class Interleaved(RuleBasedStateMachine):
    """Calls begin and end in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Impatient(Caps(usd=0.2, tokens=60_000, calls=12))

    @property
    def held(self) -> list[Reservation]:
        return self.book.held

    @rule(model=models, chars=st.integers(1, 60_000), longest=st.integers(1, 5_000))
    def begin(self, model: str, chars: int, longest: int) -> None:
        with contextlib.suppress(BudgetSpent):
            self.held.append(reserve(self.book, chars, longest, model))

    @precondition(lambda self: self.held)
    @rule(place=st.integers(0, 11), into=shares, out=shares, ok=st.booleans())
    def end(self, place: int, into: float, out: float, ok: bool) -> None:
        held = self.held.pop(place % len(self.held))
        self.book.settle(held, within(held, into, out, ok))

    @precondition(lambda self: self.held)
    @rule()
    def lose(self) -> None:
        self.book.settle(self.held.pop(), Spent(input_tokens=None, output_tokens=None, ok=False))

    @invariant()
    def no_cap_is_passed(self) -> None:
        total = self.book.totals().campaign
        for one in self.held:
            total = total.plus(one.call)
        assert total.usd <= 0.2 + 1e-12
        assert total.tokens <= 60_000
        assert total.calls <= 12


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(requests, min_size=1, max_size=8), min_size=2, max_size=5),
    st.integers(1, 200_000),
    st.floats(min_value=1e-4, max_value=1.0),
)
def test_threads_together_pass_no_cap(
    threads: list[list[tuple[str, int, int, float, float, bool]]], tokens: int, usd: float
) -> None:
    book = ledger(tokens=tokens, usd=usd, calls=20)

    def work(calls: list[tuple[str, int, int, float, float, bool]]) -> int:
        for done, (model, chars, longest, into, out, ok) in enumerate(calls):
            try:
                held = reserve(book, chars, longest, model)
            except BudgetSpent:
                return done
            book.settle(held, within(held, into, out, ok))
        return len(calls)

    with ThreadPoolExecutor(len(threads)) as pool:
        made = sum(pool.map(work, threads, timeout=60))
    total = book.totals().campaign
    assert total.calls == made
    assert total.tokens <= tokens
    assert total.usd <= usd + 1e-12
    assert total.calls <= 20


# --- the journal -------------------------------------------------------------------------------


def test_a_ledger_goes_on_where_the_journal_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / JOURNAL
    book = ledger(path)
    book.settle(reserve(book), Spent(input_tokens=OVERHEAD + 1_000, output_tokens=7, seconds=2.0))
    book.settle(reserve(book, role="analyst", experiment=2, model=UNKNOWN), Spent(ok=False))
    book.settle(reserve(book), Spent(input_tokens=5, output_tokens=5, source="cache"))
    other = ledger(path, calls=2)
    assert other.totals() == book.totals()
    assert other.totals().campaign.calls == 2
    with pytest.raises(BudgetSpent):
        reserve(other)
    assert ledger(path).reserve(
        role="judge", experiment=1, model=DEAR, chars=4_000, max_output=1
    ).call.input_tokens == OVERHEAD + int(1_000 * ROOM)


def test_without_a_journal_there_are_no_calls(tmp_path: Path) -> None:
    assert read_calls(tmp_path / JOURNAL) == []
    assert ledger(tmp_path / JOURNAL).totals() == Totals()


def test_a_call_that_was_under_way_when_its_process_died_counts_its_bound(tmp_path: Path) -> None:
    reserve(ledger(tmp_path / JOURNAL))
    total = ledger(tmp_path / JOURNAL).totals().campaign
    assert (total.calls, total.failed, total.assumed) == (1, 1, 1)
    assert total.tokens == bound(4_000, 1_000)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_half_a_line_spoils_no_other(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / JOURNAL
    book = ledger(path)
    for _ in range(3):
        book.settle(reserve(book), Spent(input_tokens=100, output_tokens=10))
    whole = path.read_bytes()
    # Anywhere in the last line, up to all of it but its end.
    start = whole[:-1].rindex(b"\n") + 1
    path.write_bytes(whole[: data.draw(st.integers(start, len(whole) - 1))])
    after = ledger(path)
    before = after.totals().campaign
    assert before.calls == 3
    after.settle(reserve(after), Spent(input_tokens=50, output_tokens=5))
    again = ledger(path).totals().campaign
    assert (again.calls, again.tokens) == (4, before.tokens + 55)


def test_lines_that_are_no_calls_are_told_with_their_number(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    reserve(ledger(path))
    with path.open("a") as file:
        file.write('{"call":"x","of":"tomorrow"}\n')
    with pytest.raises(UserError, match=r"calls.jsonl, line 2: .*another version"):
        ledger(path)


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    book = ledger(tmp_path / JOURNAL)

    def work(_: int) -> None:
        for _ in range(25):
            book.settle(reserve(book), Spent(input_tokens=1, output_tokens=1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    lines = (tmp_path / JOURNAL).read_text().splitlines()
    assert len(lines) == 2 * 200
    assert all(Call.model_validate_json(line) for line in lines)
    assert ledger(tmp_path / JOURNAL).totals() == book.totals()


def write_until_killed(path: Path) -> None:
    book = ledger(path)
    while True:
        book.settle(reserve(book), Spent(input_tokens=100, output_tokens=10))


def test_a_kill_loses_no_call_that_had_ended(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    process = SPAWN.Process(target=write_until_killed, args=(path,))
    process.start()
    deadline = time.monotonic() + 60
    while len(read_calls(path)) < 50 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    calls = read_calls(path)
    ended = [call for call in calls if call.ok]
    assert len(ended) >= 50
    assert {(call.input_tokens, call.output_tokens) for call in ended} == {(100, 10)}
    # At most the call that was under way is not known to its end.
    assert len(calls) - len(ended) in (0, 1)


@pytest.mark.parametrize(
    ("usd", "said"),
    [(0, "$0.00"), (0.00123456, "$0.00123"), (0.5, "$0.50"), (1234.5, "$1,234.50")],
)
def test_money_is_told_with_the_digits_that_matter(usd: float, said: str) -> None:
    assert dollars(usd) == said
