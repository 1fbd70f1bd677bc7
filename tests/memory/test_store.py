from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from move37.memory.schema import alembic_config, upgrade
from move37.memory.store import Store
from move37.memory.tables import Table
from move37.records import Baseline, CampaignConfig, Caps, Experiment, Noise, TokenUse, UserError
from tests.memory.examples import PROVENANCE, SIZE, failed, measured, refused, scored

CONFIG = CampaignConfig(name="trial", tier="smoke", models={"judge": "offline:grammar"})
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deep' / 'move37.sqlite'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        opened.create_campaign(CONFIG)
        yield opened


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("experiment", [scored(1), failed(1), refused(1)], ids=lambda e: e.status)
def test_what_is_archived_is_read_back_without_loss(store: Store, experiment: Experiment) -> None:
    assert store.archive(experiment)
    assert store.experiment("trial", 1) == experiment
    assert store.experiments("trial") == [experiment]


def test_an_unjudged_experiment_keeps_its_measurement(store: Store) -> None:
    unjudged = scored(1).model_copy(
        update={"status": "unjudged", "judgement": None, "analysis": None, "usage": ()}
    )
    store.archive(unjudged)
    assert store.experiment("trial", 1) == unjudged


def test_a_measurement_without_the_text_task_has_no_loss_in_its_column(
    store: Store, url: str
) -> None:
    recall = measured().scores[0].model_copy(update={"task": "recall"})
    outcome = measured().model_copy(update={"scores": (recall,)})
    store.archive(scored(1).model_copy(update={"outcome": outcome}))
    assert rows(url, "select kind, loss from evaluations") == [("measured", None)]


def test_figures_stand_in_columns_of_their_own(store: Store, url: str) -> None:
    store.archive(scored(1, fitness=0.625))
    store.archive(failed(2, parent=1))
    query = """
        select e.number, e.status, e.parent, v.stage, v.loss, v.parameters, j.fitness,
               (select sum(input_tokens) from token_use t where t.experiment = e.id)
        from experiments e left join evaluations v on v.experiment = e.id
        left join judgements j on j.experiment = e.id order by e.number
    """
    assert rows(url, query) == [
        (1, "scored", 0, None, 1.2, 12_345, 0.625, 33),
        (2, "failed", 1, "gate", None, None, None, None),
    ]


def test_the_first_record_of_an_id_stays(store: Store) -> None:
    store.archive(scored(1, fitness=0.5))
    assert not store.archive(scored(1, fitness=0.9))
    assert store.experiments("trial") == [scored(1, fitness=0.5)]


def test_experiments_come_by_number_and_only_those_before(store: Store) -> None:
    for number in (3, 1, 2):
        store.archive(scored(number))
    assert [one.number for one in store.experiments("trial")] == [1, 2, 3]
    assert [one.number for one in store.experiments("trial", before=3)] == [1, 2]
    assert store.experiment("trial", 9) is None


def test_two_experiments_cannot_share_a_number(store: Store) -> None:
    store.archive(scored(1))
    with pytest.raises(sa.exc.IntegrityError):
        store.archive(scored(1).model_copy(update={"id": "other"}))


def test_an_experiment_needs_its_campaign(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        store.archive(scored(1, campaign="unknown"))


def test_a_campaign_is_made_once_and_may_grow(store: Store, url: str) -> None:
    made = store.campaign("trial")
    assert made is not None
    assert store.create_campaign(CONFIG.model_copy(update={"experiments": 99})) == made
    grown = store.resize("trial", 20, 60.0, Caps(usd=2.5))
    assert (grown.config.experiments, grown.config.budget_seconds) == (20, 60.0)
    assert grown.config.caps == Caps(usd=2.5)
    assert grown.config.id == CONFIG.id
    with Store(url) as other:
        assert other.campaigns() == [grown]


def test_a_name_with_other_settings_is_refused_and_says_which(store: Store) -> None:
    with pytest.raises(UserError, match=r"'trial' exists with another tier, seed: "):
        store.create_campaign(CONFIG.model_copy(update={"tier": "laptop", "seed": 3}))
    assert store.campaign("trial") == store.campaigns()[0]


def test_unknown_campaigns_are_none_or_a_user_error(store: Store) -> None:
    assert store.campaign("nothing") is None
    assert store.experiments("nothing") == []
    with pytest.raises(UserError, match="no campaign 'nothing'"):
        store.resize("nothing", 3, None, Caps())


def test_the_baseline_is_kept_with_the_campaign(store: Store) -> None:
    baseline = Baseline(
        name="delta_net",
        code="class TokenMixer: ...",
        tier="smoke",
        noise={"text": Noise(mean=1.1, sd=0.1 + 0.2, seeds=3)},
        size=SIZE,
        step_seconds={"text": 0.1},
        curve=measured().curve,
        scores=measured().scores,
        provenance=PROVENANCE,
    )
    store.set_baseline("trial", baseline)
    found = store.campaign("trial")
    assert found is not None
    assert found.baseline == baseline


def test_records_of_another_version_are_one_clear_line(store: Store, url: str) -> None:
    name = store.campaigns()[0].config.name
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("update campaigns set baseline = '{\"of_old\": 1}'")
    database.close()
    with pytest.raises(UserError, match="another version of Move37"):
        store.campaign(name)


def test_threads_may_share_a_store(store: Store) -> None:
    def write(first: int) -> None:
        for number in range(first, 21, 4):
            store.archive(scored(number))
            store.experiments("trial", before=number)

    threads = [threading.Thread(target=write, args=(first,)) for first in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.number for one in store.experiments("trial")] == list(range(1, 21))


def open_and_write(url: str, numbers: list[int]) -> None:
    with Store(url) as store:
        store.create_campaign(CONFIG)
        for number in numbers:
            store.archive(scored(number))


def test_processes_may_open_a_new_database_at_the_same_moment(url: str) -> None:
    """Both write all numbers, so that each id is also archived twice."""
    both = [SPAWN.Process(target=open_and_write, args=(url, [1, 2, 3])) for _ in range(3)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0, 0]
    with Store(url) as store:
        assert store.experiments("trial") == [scored(1), scored(2), scored(3)]


def write_until_killed(url: str) -> None:
    with Store(url) as store:
        for number in range(1, 100_000):
            store.archive(scored(number))


def test_a_kill_leaves_whole_experiments_only(store: Store, url: str) -> None:
    process = SPAWN.Process(target=write_until_killed, args=(url,))
    process.start()
    deadline = time.monotonic() + 60
    while len(store.experiments("trial")) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    found = store.experiments("trial")
    assert len(found) >= 3
    assert found == [scored(one.number) for one in found]
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert rows(url, "pragma integrity_check") == [("ok",)]
    assert store.archive(scored(len(found) + 1))


def test_metadata_and_migrations_agree(store: Store, url: str) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_turns_from_before_money_was_counted_have_unknown_money(store: Store, url: str) -> None:
    use = TokenUse(
        role="judge",
        model="m",
        calls=1,
        input_tokens=30,
        output_tokens=4,
        usd=0.25,
        machine_seconds=1.5,
    )
    store.archive(scored(1).model_copy(update={"usage": (use,)}))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0001")
    engine.dispose()
    unknown = use.model_copy(update={"usd": None, "machine_seconds": None})
    with Store(url) as other:
        assert other.experiments("trial")[0].usage == (unknown,)


def test_the_tables_can_be_made_in_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in Table.metadata.tables.values():
        text = str(CreateTable(table).compile(dialect=dialect))
        assert text.strip().startswith(f"CREATE TABLE {table.name} (")


def test_the_database_is_in_wal_mode(store: Store, url: str) -> None:
    assert rows(url, "pragma journal_mode") == [("wal",)]


def test_a_database_of_a_newer_version_is_refused_untouched(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("create table alembic_version (version_num varchar(32) primary key)")
    connection.execute("insert into alembic_version values ('9999')")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"newer version of move37 \(revision 9999\)"):
        Store(url)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_database_of_another_program_is_refused_untouched(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("create table birds (name text)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match="tables of another program"):
        Store(url)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, " * 100)
    with pytest.raises(UserError, match="not a database: name another file"):
        Store(f"sqlite:///{path}")


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        Store(f"sqlite:///{tmp_path}")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        Store(f"sqlite:///{tmp_path / 'file' / 'move37.sqlite'}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "cannot be read"),
        ("oracle9://x", "cannot be read"),
        ("postgresql+psycopg2://user@localhost/x", "no driver"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Store(url)


def test_a_full_disk_loses_nothing_and_says_so(store: Store, url: str) -> None:
    store.archive(scored(1))
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar_one()

    def allow_no_more_pages(raw: sqlite3.Connection, _entry: object) -> None:
        raw.execute(f"pragma max_page_count={pages}")

    sa.event.listen(store._engine, "connect", allow_no_more_pages)
    store.close()
    big = scored(2).model_copy(update={"reason": "x" * 200_000})
    with pytest.raises(UserError, match="the disk is full: free some space"):
        store.archive(big)
    with Store(url) as other:
        assert other.experiments("trial") == [scored(1)]
        assert other.archive(big)


def test_a_database_that_may_not_be_written_says_so(store: Store, url: str) -> None:
    path = url.removeprefix("sqlite:///")
    with (
        Store(f"sqlite:///file:{path}?mode=ro&uri=true") as reader,
        pytest.raises(UserError, match="cannot be written"),
    ):
        reader.archive(scored(1))


def test_a_migration_that_is_interrupted_leaves_nothing(url: str, tmp_path: Path) -> None:
    path = tmp_path / "half.sqlite"
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"isolation_level": None})

    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def interrupt(connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "CREATE TABLE token_use" in statement:
            raise KeyboardInterrupt

    sa.event.listen(engine, "begin", begin)
    sa.event.listen(engine, "before_cursor_execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        upgrade(engine, "half")
    engine.dispose()
    assert rows(f"sqlite:///{path}", "select name from sqlite_master") == []
    with Store(f"sqlite:///{path}") as store:
        assert store.campaigns() == []
