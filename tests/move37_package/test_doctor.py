"""The doctor tells the truth about this machine and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from move37 import doctor
from move37.evaluation import machine
from move37.evaluation.isolation.canaries import ATTACKS
from move37.settings import ROLES, RoleSettings, Settings

WALLS = {"bubblewrap", "landlock", "seccomp", "attack", "isolation"}
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="these walls are of Linux")


def test_every_part_has_one_line_and_looking_changes_nothing(tmp_path: Path) -> None:
    secret = SecretStr("sk-very-secret")
    settings = Settings(home=tmp_path / "runs", model="openai:m", api_key=secret)
    found = {finding.name: finding for finding in doctor.examine(settings)}
    needed = {"python", "cores", "memory", "disk", "torch", "gpu", "embedding"}
    assert needed | WALLS | {"cognition", "database", "tier", *ROLES} == set(found)
    assert all("\n" not in f.detail + f.advice for f in found.values())
    assert all(f.ok for name, f in found.items() if name in {"python", "torch", "embedding"})
    assert found["judge"].ok
    assert "sk-very-secret" not in str(found)
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_answers_as_a_program_reads_it_and_imports_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from move37.cli import app\n"
        "result = CliRunner().invoke(app, ['doctor', '--json'])\n"
        "assert 'torch' not in sys.modules\n"
        "print(result.stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "MOVE37_HOME": str(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert not found["bubblewrap"]["ok"]
    assert not found["isolation"]["ok"]
    assert "bubblewrap" in found["isolation"]["advice"]


def test_an_unknown_provider_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, judge=RoleSettings(model="nobody:m"))
    found = doctor.model("judge", settings)
    assert not found.ok
    assert doctor.model("researcher", settings).ok
    assert "MOVE37_MODEL" in found.advice


# --- the walls ---------------------------------------------------------------------------------


def broken_bwrap(folder: Path, said: str) -> None:
    tool = folder / "bwrap"
    tool.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    tool.chmod(0o755)


@linux_only
def test_without_bubblewrap_the_doctor_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = doctor.bubblewrap()
    assert not found.ok
    assert "apt install bubblewrap" in found.advice
    tier = doctor.isolation(Settings(isolation="auto"))
    assert not tier.ok
    assert tier.detail.startswith("landlock+seccomp; MOVE37_ISOLATION=auto")


@linux_only
@pytest.mark.parametrize(("name", "value", "advice"), doctor.NAMESPACE_SETTINGS)
def test_a_setting_that_forbids_user_namespaces_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
) -> None:
    broken_bwrap(tmp_path, "bwrap: setting up uid map: Permission denied")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "SYSTEM_SETTINGS", tmp_path)
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(f"{value}\n")
    found = doctor.bubblewrap()
    assert found.detail == "bwrap: setting up uid map: Permission denied"
    assert found.advice == advice
    (tmp_path / name).write_text("7\n")
    monkeypatch.setattr(doctor, "CONTAINER_MARKS", (tmp_path,))
    assert "container" in doctor.bubblewrap().advice


@linux_only
def test_a_bubblewrap_that_makes_root_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_bwrap(tmp_path, "no")
    (tmp_path / "bwrap").chmod(0o4755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = doctor.bubblewrap()
    assert not found.ok
    assert found.advice == f"chmod u-s {tmp_path / 'bwrap'}"


@linux_only
def test_strict_where_a_wall_is_missing_is_said_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = doctor.isolation(Settings(isolation="strict"))
    assert not found.ok
    assert "bubblewrap is not installed" in found.advice


@linux_only
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_with_every_wall_the_attack_gets_nothing() -> None:
    if not doctor.bubblewrap().ok:
        pytest.skip("user namespaces are forbidden here")
    found = doctor.attack(Settings(isolation="strict"))
    assert found.detail == f"{len(ATTACKS)} ways out of a box tried, none worked"
    assert doctor.isolation(Settings(isolation="strict")).ok


@linux_only
def test_without_isolation_the_attack_says_what_a_candidate_could_do() -> None:
    found = doctor.attack(Settings(isolation="off"))
    assert not found.ok
    assert "reads a file" in found.detail
    assert found.advice == doctor.ON_AGAIN
    assert "WITHOUT isolation" in doctor.isolation(Settings(isolation="off")).detail


def test_a_file_that_is_no_database_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "move37.sqlite"
    file.write_text("this is a text, and it is long enough to be no database at all" * 20)
    found = doctor.database(Settings(home=tmp_path))
    assert not found.ok
    assert "not a database" in found.detail


def test_an_existing_database_is_opened(tmp_path: Path) -> None:
    from move37.memory.store import Store

    Store(f"sqlite:///{tmp_path / 'move37.sqlite'}").close()
    assert doctor.database(Settings(home=tmp_path)).detail == "opens, 0 campaigns"


def test_a_folder_that_is_a_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    assert not doctor.disk(Settings(home=tmp_path / "runs")).ok


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are of Linux")
def test_the_quota_of_a_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{512 * 2**20}\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.usable_cores() == 0.5
    assert machine.usable_memory() == 512 * 2**20
    assert not doctor.tier().ok


def test_a_gpu_tool_that_fails_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not doctor.gpu().ok
    tool.write_text("#!/bin/sh\necho 'Some Card, 8192'\n")
    assert doctor.gpu().detail == "Some Card, 8 GiB"
