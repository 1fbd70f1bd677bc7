"""The doctor tells the truth about this machine and changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from move37 import doctor
from move37.settings import ROLES, Settings


def by_name(settings: Settings) -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine(settings)}


def test_every_part_has_one_line(tmp_path: Path) -> None:
    found = by_name(Settings(home=tmp_path / "runs"))
    needed = {"python", "cores", "memory", "disk", "torch", "gpu", "limits", "embedding"}
    assert needed | {"cognition", "database", "tier", *ROLES} == set(found)
    assert all("\n" not in f.detail + f.advice for f in found.values())
    assert all(f.ok for name, f in found.items() if name in {"python", "torch", "embedding"})


def test_looking_makes_no_file(tmp_path: Path) -> None:
    by_name(Settings(home=tmp_path / "runs"))
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, model="openai:m", api_key=SecretStr("sk-very-secret"))
    found = by_name(settings)
    assert found["judge"].ok
    assert "sk-very-secret" not in str(found)


def test_an_unknown_provider_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    found = by_name(Settings(home=tmp_path, judge_model="nobody:m"))
    assert not found["judge"].ok
    assert found["researcher"].ok
    assert "MOVE37_MODEL" in found["judge"].advice


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
    monkeypatch.setattr(doctor, "CGROUP", tmp_path)
    assert doctor.usable_cores() == 0.5
    assert doctor.usable_memory() == 512 * 2**20
    assert not doctor.tier().ok


def test_a_gpu_tool_that_fails_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not doctor.gpu().ok
    tool.write_text("#!/bin/sh\necho 'Some Card, 100 MiB'\n")
    assert doctor.gpu().detail == "Some Card, 100 MiB"
