"""The hostile cases need the walls: without any one of them, a case that was contained gets out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from move37.evaluation.isolation import walls
from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.isolation.walls import WALLS, Wall
from tests.hostile.cases import corpus
from tests.hostile.judging import climb

ROOT = Path(__file__).parents[2]
WITNESSES: dict[Wall, str] = {
    "bubblewrap": "stats_host_paths",
    "landlock": "opens_the_root_directory",
    "seccomp": "makes_memory_files",
    "capabilities": "holds_capabilities",
    "environment": "finds_secrets_in_its_environment",
    "memory": "maps_anonymous_memory",
    "cpu": "finds_a_missing_limit",
    "output": "floods_its_output",
    "descriptors": "opens_too_many_files",
}
NOBODY = 65534
# Modules that the tests of an ordinary user need from the environment that runs these.
PROBE = "import torch, pytest, move37.evaluation"

needs_walls = pytest.mark.skipif(
    bool(walls.missing(dict(os.environ))), reason="this machine lacks a wall"
)


def test_every_wall_has_a_witness() -> None:
    assert set(WITNESSES) == set(WALLS)


@pytest.mark.slow
@needs_walls
@pytest.mark.parametrize("wall", WALLS)
def test_without_a_wall_a_contained_case_gets_out(
    wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVE37_API_KEY", "a-secret")
    witness = next(c for c in corpus() if c.id == f"hostile/{WITNESSES[wall]}")
    with Nursery(frozenset(WALLS)) as nursery:
        assert not climb(witness, nursery).shouted
    with Nursery(frozenset(WALLS) - {wall}) as nursery:
        assert climb(witness, nursery).shouted


def interpreter_of_nobody(environment: dict[str, str]) -> str | None:
    """Return an interpreter of this version that an ordinary user can start with our packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for found in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        if found and may_start(found, environment):
            return found
    return None


def may_start(python: str, environment: dict[str, str]) -> bool:
    try:
        return run_as_nobody([python, "-c", PROBE], environment).returncode == 0
    except PermissionError:
        # It lies in a folder that only root may enter.
        return False


def run_as_nobody(
    command: list[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
    )


@pytest.mark.long
@needs_walls
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as an ordinary user already")
def test_the_hostile_cases_are_contained_for_an_ordinary_user_too(tmp_path: Path) -> None:
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), *packages]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(tmp_path),
    }
    tmp_path.chmod(0o777)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    python = interpreter_of_nobody(environment)
    if python is None:
        pytest.skip("no interpreter that an ordinary user may start has the packages")
    chosen = ["-m", "slow or not slow", "-k", "verdict and hostile/", "-p", "no:cacheprovider"]
    folder = str(ROOT / "tests" / "hostile" / "test_corpus.py")
    done = run_as_nobody([python, "-m", "pytest", "-q", *chosen, folder], environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
