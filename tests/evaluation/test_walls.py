"""The walls around a box: all of them hold, and each holds something that no other one does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from move37.evaluation.isolation import landlock, seccomp, view, walls
from move37.evaluation.isolation.canaries import ATTACKS, traps
from move37.evaluation.isolation.nursery import Limits, Nursery
from move37.evaluation.isolation.obtain import attack, choose, open_nursery
from move37.evaluation.isolation.walls import OPTIONAL, WALLS, Wall
from move37.records import UserError

EVERY = frozenset(WALLS)
WITHOUT_VIEW = EVERY - {"bubblewrap"}
ABSENT = walls.missing(dict(os.environ))
needs = {wall: pytest.mark.skipif(wall in ABSENT, reason=ABSENT.get(wall, "")) for wall in OPTIONAL}

# The wall that is left out, the walls there are otherwise, and what then gets through. Landlock
# is the second wall before the files where there is a view, and the first one where there is none.
BREACHES: list[tuple[Wall, frozenset[Wall], str]] = [
    ("bubblewrap", EVERY, "sees a file"),
    ("landlock", WITHOUT_VIEW, "reads a file"),
    ("landlock", WITHOUT_VIEW, "reads the standard library"),
    ("landlock", WITHOUT_VIEW, "writes a file"),
    ("seccomp", EVERY, "makes a file in memory"),
    ("seccomp", EVERY, "starts a thread"),
    ("seccomp", WITHOUT_VIEW, "sends a datagram"),
    ("capabilities", EVERY, "keeps a right of root"),
    ("environment", EVERY, "finds a secret in its environment"),
    ("memory", EVERY, "takes 64 GiB of memory"),
    ("cpu", EVERY, "burns CPU without end"),
    ("output", EVERY, "writes 2 MiB of output"),
    ("descriptors", EVERY, "opens 1,000 files"),
]


def got_through(raised: frozenset[Wall]) -> dict[str, str]:
    with Nursery(raised - ABSENT.keys()) as nursery:
        return attack(nursery)


@needs["bubblewrap"]
@needs["landlock"]
@needs["seccomp"]
def test_behind_all_walls_no_attack_gets_anything() -> None:
    assert got_through(EVERY) == {}
    assert len(ATTACKS) >= 12


@needs["landlock"]
@needs["seccomp"]
def test_without_a_view_only_the_names_of_files_are_open() -> None:
    assert set(got_through(WITHOUT_VIEW)) == {"sees a file"}


@pytest.mark.slow
@needs["bubblewrap"]
@needs["landlock"]
@needs["seccomp"]
@pytest.mark.parametrize(("wall", "others", "breach"), BREACHES)
def test_each_wall_holds_what_no_other_wall_holds(
    wall: Wall, others: frozenset[Wall], breach: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_API_KEY", "secret")
    assert breach not in got_through(others)
    assert breach in got_through(others - {wall})


def test_every_wall_has_a_breach_of_its_own() -> None:
    assert {wall for wall, _, _ in BREACHES} == EVERY
    assert {breach for _, _, breach in BREACHES} <= ATTACKS.keys()


@needs["landlock"]
@needs["seccomp"]
def test_with_cuda_libraries_are_readable_and_the_secret_is_not() -> None:
    limits = Limits(seconds=20, cuda=True)
    with (
        Nursery(EVERY - ABSENT.keys()) as nursery,
        traps() as laid,
        nursery.open_box(limits) as box,
    ):
        box.send({"op": "attack", "traps": laid.model_dump()})
        got = box.receive_json()
    assert "starts a thread" in got
    assert {"reads a file", "writes a file", "connects by TCP", "starts a process"}.isdisjoint(got)
    assert {"reads the judge's environment", "signals the judge"}.isdisjoint(got)


def test_strict_refuses_where_a_wall_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "missing", lambda _: {"bubblewrap": "not installed"})
    with pytest.raises(UserError, match="bubblewrap: not installed"):
        choose("strict", {})
    raised, missing = choose("auto", {})
    assert "bubblewrap" not in raised
    assert missing == {"bubblewrap": "not installed"}


def test_auto_refuses_where_nothing_stands_before_the_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking = dict.fromkeys(("bubblewrap", "landlock"), "not here")
    monkeypatch.setattr(walls, "missing", lambda _: lacking)
    with pytest.raises(UserError, match="MOVE37_ISOLATION=off"):
        choose("auto", {})


def test_off_leaves_limits_and_a_clean_environment_and_says_so() -> None:
    with open_nursery("off") as (_, isolation):
        assert isolation.tier == "clean-environment"
        assert not isolation.complete
        assert {"memory", "environment"} <= set(isolation.raised)
        assert "reads a file" in isolation.open
        assert "finds a secret in its environment" not in isolation.open


def test_a_view_that_cannot_be_had_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert view.missing({"NEW": "environment"}) == "bubblewrap is not installed"


def test_the_view_shows_code_and_neither_the_checkout_nor_its_secrets() -> None:
    shown = view.readable()
    root = Path(__file__).parents[2]
    assert root not in shown
    assert not any((root / ".env").is_relative_to(path) for path in shown)
    assert root / "evaluation" in shown


def test_a_program_with_a_foreign_architecture_is_killed() -> None:
    program = seccomp.assemble("x86_64", 1, threads=False)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096
    assert seccomp.assemble("aarch64", 1, threads=False) != program


@needs["landlock"]
def test_landlock_forbids_reading_but_what_is_named(tmp_path: Path) -> None:
    allowed, denied = tmp_path / "allowed", tmp_path / "denied"
    for folder in (allowed, denied):
        folder.mkdir()
        (folder / "file").write_text("text")
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from move37.evaluation.isolation import landlock\n"
        "landlock.restrict((sys.argv[1],))\n"
        "assert Path(sys.argv[1], 'file').read_text() == 'text'\n"
        "for attempt in (lambda: Path(sys.argv[2], 'file').read_text(),\n"
        "                lambda: Path(sys.argv[1], 'new').write_text('x')):\n"
        "    try:\n"
        "        attempt()\n"
        "    except PermissionError:\n"
        "        continue\n"
        "    raise SystemExit('not denied')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(allowed), str(denied)], check=True)
    assert landlock.version() > 0
