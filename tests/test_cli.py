"""The command line as a user meets it, above all with wrong input."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from move37.arch_templates.catalog import template_source
from move37.cli.capping import parse_caps
from move37.cli.running import parse_budget, tell_costs
from move37.records import CampaignConfig, Caps, UserError
from move37.settings import Settings


def move37(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with its runs and cache under `home`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MOVE37_", "OPENAI_"))}
    return subprocess.run(
        [sys.executable, "-m", "move37", *arguments],
        env={**clean, "MOVE37_HOME": str(home), "MOVE37_CACHE": str(home / "cache"), **environment},
        cwd=home if home.is_dir() else None,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def is_one_clear_line(result: subprocess.CompletedProcess[str], pattern: str) -> None:
    """Assert exit code 2, one line that says what to do, no traceback."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert re.search(pattern, result.stderr), result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5m", 90)]
)
def test_a_budget_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["30", "30 m", "m", "30x", "1h30", "-5m", ""])
def test_a_budget_without_a_proper_unit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="90s, 30m, 2h"):
        parse_budget(text)


def test_help_answers_without_loading_anything_heavy() -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from move37.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'langchain_core', 'langgraph', 'chromadb', 'sqlalchemy', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_doctor_fails_where_a_model_cannot_be_had(tmp_path: Path) -> None:
    assert move37(tmp_path, "doctor", "--llm").returncode == 0
    away = {"MOVE37_MODEL": "openai:m", "MOVE37_API_KEY": "word"}
    found = move37(tmp_path, "doctor", "--llm", MOVE37_BASE_URL="http://127.0.0.1:9/v1", **away)
    assert found.returncode == 1
    assert found.stdout.count("the model of the") == 5


@pytest.mark.parametrize(
    ("arguments", "environment", "pattern"),
    [
        (["run", "--budget", "30"], {}, "--budget 30: write a number with a unit"),
        (["run", "--max-usd", "much"], {}, "--max-usd much: write dollars"),
        (["run", "--max-usd", "0.00"], {}, "--max-usd 0.00: write dollars above zero"),
        (["run", "--max-tokens", "2G"], {}, "--max-tokens 2G: write a number"),
        (["run", "--max-tokens", "0k"], {}, "--max-tokens 0k: write a number above zero"),
        (
            ["run", "--max-usd", "1"],
            {"MOVE37_JUDGE_MODEL": "openai:my-own", "MOVE37_JUDGE_API_KEY": "none"},
            "cannot be counted for openai:my-own: .*MOVE37_PRICES.*--max-tokens",
        ),
        (["run"], {"MOVE37_PRICES": "absent.toml"}, "price file absent.toml cannot be read"),
        (["run", "--tier", "cluster"], {}, "unknown tier 'cluster'"),
        (["run", "--tier", "absent.toml"], {}, "tier file .*cannot be read"),
        (["run", "--campaign", "a/b"], {}, "--name"),
        (["run", "--text", "absent"], {}, "no such file or folder"),
        (["run", "--fitness", "best"], {}, "--fitness"),
        (["run"], {"MOVE37_MODEL": "nobody:x"}, "nobody"),
        (["run"], {"MOVE37_MODEL": "openai:gpt-5-mini"}, "has no key"),
        (
            ["run"],
            {"MOVE37_MODEL": "openai:m", "MOVE37_BASE_URL": "127.0.0.1:8000/v1"},
            "MOVE37_BASE_URL: '127.0.0.1:8000/v1' is no address: write it as http://HOST:PORT/v1",
        ),
        (
            ["run"],
            {
                "MOVE37_MODEL": "openai:m",
                "MOVE37_API_KEY": "word",
                "MOVE37_BASE_URL": "http://127.0.0.1:9/v1",
            },
            "no server at http://127.0.0.1:9/v1 .*: start it, or correct MOVE37_BASE_URL",
        ),
        (["run"], {"MOVE37_MODLE": "x"}, "unknown variable MOVE37_MODLE"),
        (["run"], {"MOVE37_SLOTS": "two"}, "MOVE37_SLOTS"),
        (["run", "--resume"], {}, "there is no campaign yet"),
        (["show", "3"], {}, "there is no campaign yet"),
        (["check", "absent.py"], {}, "absent.py: cannot be read"),
        (["evaluate", "absent.py"], {}, "absent.py: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], pattern: str
) -> None:
    result = move37(tmp_path, *arguments, **environment)
    is_one_clear_line(result, pattern)
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith("c20")]


def test_prices_in_another_unit_are_refused_with_the_unit_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('dated = 2026-01-01\nunit = "USD per token"\n[models]\n')
    result = move37(tmp_path, "run", MOVE37_PRICES="own.toml")
    is_one_clear_line(result, "own.toml has unit = 'USD per token'.*'USD per million tokens'")


@pytest.mark.parametrize(
    ("given", "caps"),
    [
        ((None, None, None), Caps()),
        (("2.50", "500k", 200), Caps(usd=2.5, tokens=500_000, calls=200)),
        (("$.5", "1.5M", None), Caps(usd=0.5, tokens=1_500_000)),
        (("3", "4000", None), Caps(usd=3.0, tokens=4_000)),
    ],
)
def test_caps_are_read_as_people_write_them(
    given: tuple[str | None, str | None, int | None], caps: Caps
) -> None:
    assert parse_caps(*given) == caps


@pytest.mark.parametrize(
    ("usd", "tokens"),
    [("", None), ("-1", None), ("1e9", None), ("2,50", None), ("9" * 400, None)]
    + [(None, text) for text in ("", "k", "-5", "5 k", "1e6", "0.1", "9" * 400)],
)
def test_a_cap_that_is_no_amount_is_refused(usd: str | None, tokens: str | None) -> None:
    with pytest.raises(UserError, match="above zero"):
        parse_caps(usd, tokens, None)


def test_what_a_campaign_will_cost_is_told_where_a_provider_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(home=tmp_path)
    config = CampaignConfig(name="c", models={"judge": "openai:gpt-5"}, caps=Caps(calls=9))
    tell_costs(config, settings)
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"estimate   8 experiments: about \d+ calls, [\d,]+ tokens in and [\d,]+ out, "
        r"about \$[\d.]+, by typical turns, without thinking; the caps allow about \d\n",
        said,
    )
    tell_costs(config.model_copy(update={"models": {"judge": "offline:grammar"}}), settings)
    assert capsys.readouterr().out == ""


@pytest.mark.long
def test_a_campaign_stops_at_its_cap_says_so_and_goes_on_with_a_higher_one(tmp_path: Path) -> None:
    run = ("run", "--tier", "smoke", "-n", "1", "-c", "thrifty")
    stopped = move37(tmp_path, *run, "--max-calls", "3", "--max-tokens", "9M")
    assert stopped.returncode == 0, stopped.stderr
    last = stopped.stdout.splitlines()[-1]
    assert "3 of 3 calls are spent" in last
    assert last.endswith("go on with: move37 run --resume -c thrifty --max-calls 6")
    assert "Traceback" not in stopped.stderr
    status = json.loads(move37(tmp_path, "status", "--json").stdout)
    assert status["campaign"]["caps"] == {"usd": None, "tokens": 9_000_000, "calls": 3}
    assert status["spent"]["campaign"]["calls"] == 3
    again = move37(tmp_path, "run", "--resume")
    assert "3 of 3 calls are spent" in again.stdout
    ended = move37(tmp_path, "run", "--resume", "--max-calls", "100")
    assert ended.returncode == 0, ended.stderr
    assert "spent; go on" not in ended.stdout
    shown = json.loads(move37(tmp_path, "status", "--json").stdout)
    assert [one["number"] for one in shown["experiments"]] == [1]
    assert shown["campaign"]["caps"] == {"usd": None, "tokens": 9_000_000, "calls": 100}


def test_a_file_with_a_syntax_error_fails_the_check_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("class TokenMixer(:\n")
    result = move37(tmp_path, "check", "broken.py")
    assert result.returncode == 1
    assert "line 1" in result.stdout


def test_a_good_file_passes_the_check(tmp_path: Path) -> None:
    (tmp_path / "mixer.py").write_text(template_source("delta_net"))
    result = move37(tmp_path, "check", "mixer.py")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "G10" in result.stdout


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    assert move37(tmp_path, "run", "--resume").returncode == 2
    path = tmp_path / "move37.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    before = path.read_bytes()
    is_one_clear_line(move37(tmp_path, "status"), "newer")
    assert path.read_bytes() == before


@pytest.mark.slow
def test_when_the_disk_takes_no_more_nothing_is_lost(tmp_path: Path) -> None:
    # A limit on the size of files stops writes in the middle, as a full disk does.
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    command = f"{limited}import sys; sys.argv = ['move37', 'run', '--tier', 'smoke', '-n', '1']; "
    result = subprocess.run(
        [sys.executable, "-c", f"{command}from move37.cli import main; main()"],
        env={**os.environ, "MOVE37_HOME": str(tmp_path), "MOVE37_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    is_one_clear_line(result, "free space|full|File too large|disk")
    again = move37(tmp_path, "run", "--tier", "smoke", "-n", "1")
    assert again.returncode == 0, again.stderr


def test_the_cognition_base_is_built_searched_and_listed(tmp_path: Path) -> None:
    built = move37(tmp_path, "cognition", "build")
    assert re.fullmatch(r"(\d+) lessons: \1 embedded, 0 removed\n", built.stdout), built.stderr
    assert ": 0 embedded, 0 removed" in move37(tmp_path, "cognition", "build").stdout
    found = move37(
        tmp_path,
        "cognition",
        "search",
        "parity stays at chance",
        "-f",
        "expressivity-theory",
        "--json",
    )
    assert {one["family"] for one in json.loads(found.stdout)} == {"expressivity-theory"}
    assert "papers" in move37(tmp_path, "cognition", "papers", "-f", "ssm").stdout
    assert "delta-rule" in move37(tmp_path, "cognition", "tags").stdout


def test_without_a_model_a_note_becomes_a_form_and_the_form_a_paper(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("Heads forget too fast when rows are long.")
    asked = move37(tmp_path, "cognition", "add", "note.md")
    assert asked.returncode == 0, asked.stderr
    form = tmp_path / "papers" / "forms" / "note.toml"
    is_one_clear_line(move37(tmp_path, "cognition", "add", str(form)), "title: ")
    facts = {"title": "My note", "first_author": "Me", "venue": "note", "family": "ssm"}
    filled = form.read_text().replace("year = 0", "year = 2031")
    for field, value in facts.items():
        filled = filled.replace(f'{field} = ""', f'{field} = "{value}"')
    for field in ("scenario", "algorithm", "context"):
        filled = filled.replace(f'{field} = """\n', f'{field} = """\n{"zebra word " * 20}\n')
    form.write_text(filled.replace("mechanisms = []", 'mechanisms = ["scalar-decay"]'))
    added = move37(tmp_path, "cognition", "add", str(form))
    assert ": 1 embedded" in added.stdout or "lessons:" in added.stdout, added.stderr
    found = move37(tmp_path, "cognition", "search", "zebra", "-k", "1", "--json")
    assert [one["paper_id"] for one in json.loads(found.stdout)] == ["note"]
    is_one_clear_line(move37(tmp_path, "cognition", "add", str(form)), "already, as note")


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("search", "x", "-f", "magic"), {}, "no family 'magic'"),
        (("add", "nothing.pdf"), {}, "neither a file"),
        (("add", "2412.06464"), {}, "holds 2412.06464 already, as gated-delta-net"),
        (("build",), {"MOVE37_CHROMA_URL": "http://127.0.0.1:9"}, "no Chroma server answers"),
        (("build",), {"MOVE37_EMBEDDING": "magic:vectors"}, "MOVE37_EMBEDDING"),
        (("build",), {"MOVE37_EMBEDDING": "openai:some"}, "has no key"),
        (("use",), {}, "there is no campaign"),
    ],
)
def test_wrong_requests_to_the_cognition_base(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    is_one_clear_line(move37(tmp_path, "cognition", *arguments, **environment), said)


def test_a_broken_paper_of_the_user_leaves_the_base_as_it_was(tmp_path: Path) -> None:
    move37(tmp_path, "cognition", "build")
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "bad.toml").write_text('id = "bad"\nyear = ')
    is_one_clear_line(move37(tmp_path, "cognition", "build"), "bad.toml is not TOML")
    (tmp_path / "papers" / "bad.toml").unlink()
    assert ": 0 embedded, 0 removed" in move37(tmp_path, "cognition", "build").stdout


def test_a_part_that_does_not_exist_cannot_be_left_out(tmp_path: Path) -> None:
    is_one_clear_line(move37(tmp_path, "run", "--without", "judge"), "--without: ")


def test_a_policy_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    is_one_clear_line(move37(tmp_path, "run", "--policy", "greedy"), "--policy: ")


def test_early_stopping_can_be_left_out(tmp_path: Path) -> None:
    told = move37(tmp_path, "run", "--help", COLUMNS="200").stdout
    assert "--no-early-stopping" in told
    # Read before anything is trained: the other mistake is named, not this option.
    wrong = move37(tmp_path, "run", "--no-early-stopping", "--fitness", "best")
    is_one_clear_line(wrong, "--fitness: ")


@pytest.mark.parametrize(
    "arms", ["random", "random=0.1,random=0.2", "random=x", "greedy=0.1", "random=1.5"]
)
def test_arms_that_mean_nothing_are_one_clear_line(tmp_path: Path, arms: str) -> None:
    is_one_clear_line(move37(tmp_path, "run", "--arms", arms), "--arms")
