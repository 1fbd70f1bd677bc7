"""The tree, what is packed of it, and the files that must agree with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest

from move37.settings import ROLES, RoleSettings, Settings, variables

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("agents", "arch_templates", "evaluation", "graph", "memory", "tools")
# Folders of one machine; a test that looks for them may not hold one itself.
PRIVATE_PATH = re.compile(r"(?<![\w.~$}])/(?:home|root|Users|w[o]rk)/\w")
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)$")


def tracked() -> list[Path]:
    """Files that git knows, and new ones that it does not ignore."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.splitlines() if (path := ROOT / name).is_file()]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_link_of_the_package_leads_to_its_folder(folder: str) -> None:
    link = ROOT / "move37" / folder
    assert link.is_dir(), (
        f"move37/{folder} is a text file and no link: this checkout has no symbolic links. On "
        "Windows use WSL, or switch developer mode on and run: "
        "git config core.symlinks true && git checkout -- move37"
    )
    assert link.resolve() == ROOT / folder
    assert link.readlink() == Path("..") / folder


def test_no_folder_of_code_is_left_out_of_the_package_list() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    there = {
        ".".join(("move37", *init.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert listed == there | {"move37", "move37.cli"}


def test_source_is_parsed_in_one_place_only() -> None:
    ours = [path.relative_to(ROOT) for path in tracked() if path.suffix == ".py"]
    ours = [path for path in ours if path.parts[0] in (*FOLDERS, "move37")]
    parsing = [path.as_posix() for path in ours if "ast.parse(" in (ROOT / path).read_text()]
    assert parsing == ["move37/syntax.py"]


def test_each_folder_with_code_is_a_package() -> None:
    holders = {code.parent for folder in FOLDERS for code in (ROOT / folder).rglob("*.py")}
    assert [holder for holder in holders if not (holder / "__init__.py").exists()] == []


OWN = tuple(RoleSettings.model_fields)


def test_the_example_of_the_environment_names_every_setting_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text()
    named = re.findall(r"^#? ?(MOVE37_[A-Z0-9_]+)=", text, re.MULTILINE)
    # What a role may have of its own is told in a sentence, and its model by name.
    own = {f"MOVE37_{role.upper()}_{name.upper()}" for role in ROLES for name in OWN}
    models = {f"MOVE37_{role.upper()}_MODEL" for role in ROLES}
    assert set(named) == (variables() - own) | models
    assert len(named) == len(set(named))
    assert all(name.upper() in text for name in (*ROLES, *OWN))
    described = re.findall(r"^# .+\n(?:#.*\n)*(?:MOVE37_\w+=.*\n)+", text, re.MULTILINE)
    assert sum(block.count("MOVE37_") for block in described) >= len(named)


def test_the_example_of_the_environment_says_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    assert Settings(_env_file=ROOT / ".env.example") == Settings(_env_file=None)


def test_no_file_names_a_folder_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if PRIVATE_PATH.search(line)
    ]
    assert found == []


def test_every_dependency_is_pinned_to_one_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {match[1]: match[2] for line in lines if (match := PIN.match(line))}
    assert len(pins) == len([line for line in lines if line and not line.startswith("#")])
    assert pins["torch"] == "2.13.0"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=!~ ;]", line)[0].lower() for line in wanted} - {project["name"]}
    assert names <= {name.lower().replace("_", "-") for name in pins}


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    files = tracked()
    source = tmp_path / "source"
    shutil.copytree(
        ROOT,
        source,
        symlinks=True,
        ignore=lambda folder, names: [n for n in names if not _wanted(Path(folder) / n, files)],
    )
    command = [sys.executable, "-m", "build", "--quiet", "--outdir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert any(name.endswith("LICENSE") for name in archive.namelist())
    names = (path.relative_to(ROOT) for path in files)
    package = {n if n.parts[0] == "move37" else "move37" / n for n in names if _packed(n)}
    assert packed == {name.as_posix() for name in package}


def _packed(name: Path) -> bool:
    return name.parts[0] in {"move37", *FOLDERS}


def _wanted(path: Path, files: list[Path]) -> bool:
    return path.is_symlink() or any(path == file or path in file.parents for file in files)
