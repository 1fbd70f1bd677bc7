"""`move37 verify` and `move37 reproduce`: what people and programs see, and wrong input."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from move37.arch_templates.catalog import template_source
from move37.certificate_page import render_page, write_page
from move37.certificates import certificate_view, factor_told
from move37.evaluation.verification.certificate import seal
from move37.records import Failed
from tests.evaluation.verification import sample
from tests.move37_package.test_report import FLAGS, Page
from tests.test_cli import is_one_clear_line, move37


def told(view: object) -> str:
    terminal = Console(width=120, record=True, file=io.StringIO())
    terminal.print(view)
    return terminal.export_text()


# --- views -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "size", "verdict"),
    [
        (0.1, 0.0, "discovery"),
        (0.0, 0.1, "size or tuning only"),
        (0.0, 0.0, "not better"),
        (0.034, 0.0, "promising"),
    ],
)
def test_every_verdict_has_its_view_and_its_page(gain: float, size: float, verdict: str) -> None:
    certificate = sample.certificate(sample.comparison(gain=gain, size=size))
    assert certificate.verdict == verdict
    shown, page = told(certificate_view(certificate)), Page(render_page(certificate))
    for text in (shown, page.words):
        assert verdict in text
        assert certificate.reason in text
        assert "adds the value residual" in text
        assert "needed" in text
        assert ("more seeds would" in text) == (verdict == "promising")
    assert certificate.hash in page.words


def test_a_failure_has_a_view_and_a_page_without_figures() -> None:
    certificate = sample.certificate(Failed(stage="audit", reason="it peeked", log="\x1b[2J"))
    assert "\x1b" not in told(certificate_view(certificate))
    page = Page(render_page(certificate))
    assert "Failed at audit" in page.words
    assert not [tag for tag, of in page.tags if "figure" in str(of.get("class"))]


def test_hostile_text_stays_text_on_the_page() -> None:
    text = render_page(sample.certificate(name=sample.HOSTILE[:80]))
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    assert text.count("<script") == 3
    assert "default-src &#39;none&#39;" in text


def test_factors_are_told_as_people_write_them() -> None:
    assert [factor_told(f) for f in (1 / 3, 1.0, 3.0)] == ["1/3x", "1x", "3x"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the PATH")
def test_a_browser_draws_both_figures(tmp_path: Path) -> None:
    path = write_page(sample.certificate(name=sample.HOSTILE[:80]), tmp_path / "c.html")
    command = ["chromium", *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    drawn = re.findall(r'id="figure-([a-z-]+)"[^>]*class="[^"]*js-plotly-plot', done.stdout)
    drawn += re.findall(r'class="[^"]*js-plotly-plot[^>]*id="figure-([a-z-]+)"', done.stdout)
    assert set(drawn) == {"gains", "curves"}
    assert "<img" not in done.stdout[: done.stdout.index('id="figures"')]


# --- commands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("verify",), "there is no campaign yet"),
        (("verify", "absent.py"), "absent.py: cannot be read"),
        (("verify", "mixer.py", "--tiers", "cloud"), "unknown tier 'cloud'"),
        (("verify", "mixer.py", "--tiers", "smoke,smoke"), "stands there twice"),
        (("reproduce", "absent.json"), "absent.json: cannot be read"),
        (("reproduce", "mixer.py"), "is not a certificate"),
        (("reproduce", "altered.json"), "its hash does not fit"),
        (("reproduce", "tier.json"), "another tier 'smoke'"),
        (("reproduce", "data.json"), r"other data \(d\)"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], pattern: str) -> None:
    (tmp_path / "mixer.py").write_text(template_source("delta_net"))
    whole = sample.certificate()
    (tmp_path / "data.json").write_text(whole.model_dump_json())
    fields = json.loads(whole.model_dump_json())
    fields["tier"]["least"] = 0.01
    (tmp_path / "altered.json").write_text(json.dumps(fields))
    (tmp_path / "tier.json").write_text(json.dumps(fields | {"hash": seal(fields)}))
    is_one_clear_line(move37(tmp_path, *arguments), pattern)


def test_fewer_than_four_seeds_are_refused(tmp_path: Path) -> None:
    result = move37(tmp_path, "verify", "mixer.py", "--seeds", "3")
    assert result.returncode == 2
    assert "--seeds" in result.stderr


def test_a_file_that_fails_a_gate_has_a_certificate_that_says_so(tmp_path: Path) -> None:
    source = template_source("delta_net").replace(
        "        return y, (last_inputs, memory)",
        "        return y + y.mean(1, keepdim=True), (last_inputs, memory)",
    )
    (tmp_path / "mixer.py").write_text(source)
    result = move37(tmp_path, "verify", "mixer.py", "--tiers", "smoke", "--json")
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)["certificates"]
    assert (found["verdict"], found["claim"]) == ("not better", None)
    assert "G1" in found["reason"]
    again = move37(tmp_path, "reproduce", found["file"])
    assert again.returncode == 0, again.stderr
    assert "agrees" in again.stdout


def patient(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line for as long as some thirty trials may take on a busy machine."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MOVE37_")}
    places = {"MOVE37_HOME": str(home), "MOVE37_CACHE": str(home / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "move37", *arguments],
        env=clean | places,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


@pytest.mark.slow
def test_a_file_is_verified_reproduced_and_taken_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "mixer.py").write_text(template_source("gated_delta_net"))
    asked = ("verify", "mixer.py", "--tiers", "smoke", "--seeds", "4")
    result = patient(tmp_path, *asked, "--json")
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)["certificates"]
    assert found["claim"]["against_twin"]["seeds"] == 4
    page = Path(found["page"])
    assert found["hash"] in page.read_text()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "trials").iterdir()}
    shown = patient(tmp_path, *asked)
    assert shown.returncode == 0, shown.stderr
    for part in (found["verdict"], "size: delta_net", "idea:", "move37 reproduce"):
        assert part in shown.stdout
    trials = {path: when for path, when in kept.items() if path.suffix == ".json"}
    assert all(path.stat().st_mtime_ns == when for path, when in trials.items())
    agreed = move37(tmp_path, "reproduce", found["file"], "--seeds", "1", "--json")
    assert agreed.returncode == 0, agreed.stderr
    figures = json.loads(agreed.stdout)["figures"]
    assert (figures["exact"], figures["differing"], figures["seeds"]) == (True, 0, 1)
    fields = json.loads(Path(found["file"]).read_text())
    fields["result"]["claim"]["against_twin"]["gain"] += 0.1
    Path(found["file"]).write_text(json.dumps(fields))
    is_one_clear_line(move37(tmp_path, "reproduce", found["file"]), "its hash does not fit")
