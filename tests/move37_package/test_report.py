"""The report: one file, true to the records, safe with hostile text, whole or not there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from move37.evaluation.isolation.walls import CLEAN_ENVIRONMENT
from move37.records import CurvePoint, Failed, UserError
from move37.report import (
    content_policy,
    curve_figures,
    render_report,
    spent_on,
    tree_places,
    write_report,
)
from tests.move37_package import sample

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--virtual-time-budget=20000", "--dump-dom"]


class Page(HTMLParser):
    """Collects the tags, the scripts and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)
        else:
            self.words += data

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = ""


def page(experiments: list[Any] | None = None) -> Page:
    records = sample.experiments() if experiments is None else experiments
    return Page(render_report(sample.campaign(), records, sample.root()))


def figures(found: Page) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(next(s for s in found.scripts if s.startswith("{")))
    return loaded


def test_the_headline_has_the_gain_its_noise_and_its_limits() -> None:
    words = page().words
    assert "gated_delta_short" in words
    assert "-0.0500 ± 0.0202 against delta_net" in words
    assert "not yet verified: one seed" in words


def test_the_head_says_by_which_policy_parents_were_chosen() -> None:
    assert "policy posterior · fitness calibrated" in page().words


def test_what_was_stopped_early_is_told_as_that_with_what_it_saved() -> None:
    lagged = Failed(stage="pruned", reason="loss 2.5 at step 30", curve=sample.curve(9, 2.5))
    one = sample.experiment(9, 4, "slow_starter", lagged, status="failed", reason=lagged.reason)
    found = page([*sample.experiments(), one])
    assert "stopped early" in found.words
    assert "failed at pruned" not in found.words
    assert "runs stopped early: 1; spared by lot: 0" in found.words


def test_arms_the_judges_record_and_the_corrected_gain_have_their_place() -> None:
    campaign, told = sample.with_arms()
    words = Page(render_report(campaign, told, sample.root())).words
    for fact in ("arm best-of-n 25 %", "best-of-n (control)", "2 of 6", "best of first 2"):
        assert fact in words
    for fact in ("The judge", "retest reliability", "outcomes of 7 predictions", "2.2870 ± 0.0140"):
        assert fact in words
    assert "without the luck of the best of 5" in words
    assert "Before the training the judge expected a gain of +0.0405 nats" in words
    assert "The judge" not in page().words
    assert "(control)" not in page().words


def test_every_section_is_there() -> None:
    words = page().words
    for title in ("Family tree", "Over experiments", "Training", "Leaderboard", "Cost"):
        assert title in words
    for fact in ("step time 4.1 times", "repeats experiment 4", "Doubling beta", "within noise"):
        assert fact in words


def test_the_best_design_shows_its_gates_audit_and_isolation() -> None:
    words = page().words
    for fact in ("2 gates before training", "2 audits of the trained weights", "4e-07", "0.002"):
        assert fact in words
    assert "Isolation: bubblewrap+landlock+seccomp" in words
    assert "Ops as it trained, told by its own process: chunk_delta_rule chunked." in words


def test_without_isolation_the_page_says_so_at_the_top() -> None:
    campaign = sample.campaign(isolation=CLEAN_ENVIRONMENT)
    found = Page(render_report(campaign, sample.experiments(), sample.root()))
    told = found.words.index("Candidates ran WITHOUT isolation (MOVE37_ISOLATION=off)")
    assert told < found.words.index("Best design by fitness")
    assert [attrs for _, attrs in found.tags if attrs.get("role") == "alert"]
    assert "WITHOUT isolation" not in page().words


def test_hostile_text_stays_text() -> None:
    found = page()
    assert [tag for tag, _ in found.tags].count("script") == 3
    assert not [tag for tag, _ in found.tags if tag in ("img", "link", "iframe", "a")]
    assert not [attrs for _, attrs in found.tags if any(name.startswith("on") for name in attrs)]
    assert sample.HOSTILE in found.words
    hovers = [
        text for trace in figures(found)["tree"]["data"] for text in trace.get("hovertext", [])
    ]
    assert all("<img" not in text and "<script" not in text for text in hovers)


def test_the_page_fetches_nothing_and_runs_only_its_own_scripts() -> None:
    found = page()
    assert not [attrs for _, attrs in found.tags if {"src", "href"} & set(attrs)]
    policy = next(a["content"] for _, a in found.tags if "http-equiv" in a)
    library, script = found.scripts[-2:]
    assert policy == content_policy(library, script)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_each_figure_is_one_that_plotly_accepts_and_has_its_place() -> None:
    found = page()
    places = {attrs.get("id") for _, attrs in found.tags}
    drawn = figures(found)
    assert set(drawn) == {"tree", "fitness", "loss", "curve-text", "curve-recall", "cost"}
    for name, figure in drawn.items():
        assert f"figure-{name}" in places
        go.Figure(figure)


def test_the_noise_band_is_two_standard_deviations_wide() -> None:
    band = figures(page())["loss"]["layout"]["shapes"][0]
    assert band["y0"] == pytest.approx(2.312 - 0.038)
    assert band["y1"] == pytest.approx(2.312 + 0.038)


def test_the_diff_is_against_the_parent() -> None:
    found = render_report(sample.campaign(), sample.experiments(), sample.root())
    assert '<span class="removed">-        beta = 2 * torch.sigmoid(self.beta(x)) + 1e-3' in found
    assert '<span class="added">+        beta = 2 * torch.sigmoid(self.beta(x)) + 4e-3' in found


def test_the_seconds_of_an_experiment_add_up() -> None:
    spent = spent_on(sample.experiments()[0])
    assert (spent.gates, spent.training, spent.scoring) == (1.4, 58.0, 4.1)
    assert spent.gates + spent.training + spent.scoring + spent.other == pytest.approx(69.0)


def test_a_failed_campaign_has_a_report_too() -> None:
    failures = [e for e in sample.experiments() if e.fitness is None]
    found = page(failures)
    assert "Nothing scored yet" in found.words
    assert "failed at timeout" in found.words


def test_a_campaign_without_experiments_or_baseline_has_a_report_too() -> None:
    text = render_report(sample.campaign(measured=False), [], sample.root())
    assert set(figures(Page(text))) == {"tree"}


def test_places_of_a_tree_never_meet_and_parents_stand_above() -> None:
    parents = {n: (n - 1) // 3 for n in range(1, 400)} | {400: 9999}
    places = tree_places(parents)
    assert len(set(places.values())) == len(parents) + 1
    assert all(places[n][1] == places[p][1] + 1 for n, p in parents.items() if p in places)


def test_a_long_line_of_descent_has_places() -> None:
    assert tree_places({n: n - 1 for n in range(1, 5000)})[4999] == (0.0, 4999)


def test_an_old_report_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "campaign" / "report.html"
    for experiments in ([], sample.experiments()):
        assert write_report(sample.campaign(), experiments, sample.root(), path) == path
    assert "gated_delta_short" in path.read_text()
    assert path.read_text().rstrip().endswith("</html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="cannot write the report"):
        write_report(sample.campaign(), [], sample.root(), tmp_path / "file" / "report.html")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match="cannot write the report"):
        write_report(sample.campaign(), [], sample.root(), tmp_path / "report.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "report.html"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on the PATH")
def test_a_browser_draws_every_figure_and_no_hostile_script(tmp_path: Path) -> None:
    path = write_report(
        sample.campaign(), sample.experiments(), sample.root(), tmp_path / "report.html"
    )
    command = ["chromium", *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    drawn = re.findall(r'id="figure-([a-z-]+)"[^>]*class="[^"]*js-plotly-plot', done.stdout)
    drawn += re.findall(r'class="[^"]*js-plotly-plot[^>]*id="figure-([a-z-]+)"', done.stdout)
    assert set(drawn) == {"tree", "fitness", "loss", "curve-text", "curve-recall", "cost"}
    assert done.stdout.count('class="scatterlayer') >= 5
    assert "<img" not in done.stdout[: done.stdout.index('id="figures"')]


def test_training_losses_are_drawn_smoothed() -> None:
    campaign = sample.campaign()
    assert campaign.baseline
    jagged = [2.0 + step % 2 for step in range(400)]
    curve = tuple(
        CurvePoint(task="text", step=step, loss=loss, seconds=0.0)
        for step, loss in enumerate(jagged, 1)
    )
    changed = campaign.model_copy(
        update={"baseline": campaign.baseline.model_copy(update={"curve": curve})}
    )
    (drawn,) = curve_figures(changed, None)["curve-text"]["data"]
    assert drawn["x"] == list(range(1, 401))
    assert drawn["y"][0] == 2.0
    assert max(abs(loss - 2.5) for loss in drawn["y"][100:]) < 0.1
