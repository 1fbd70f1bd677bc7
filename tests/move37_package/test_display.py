"""The terminal: what is shown stands in the records, and hostile text stays text."""

from __future__ import annotations

import io
import re
import threading
from typing import get_args

import pytest
from rich.console import Console, RenderableType

from move37 import display
from move37.evaluation.isolation.obtain import Isolation
from move37.evaluation.isolation.walls import CLEAN_ENVIRONMENT
from move37.graph.lab import announce
from move37.live import LiveBoard
from move37.records import (
    Campaign,
    Experiment,
    Failed,
    GateReport,
    GateResult,
    Progress,
    Spared,
    Stage,
)
from tests.move37_package import sample

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e[red]name[/red]"


def shown(view: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def views(campaign: Campaign, experiments: list[Experiment]) -> list[RenderableType]:
    return [
        display.leaderboard(campaign, experiments),
        display.family_tree(campaign, experiments),
        display.status_view(campaign, experiments),
        *(display.experiment_view(campaign, e, sample.ROOT_CODE) for e in experiments),
    ]


def experiment_view(experiment: Experiment) -> RenderableType:
    return display.experiment_view(sample.campaign(), experiment, sample.ROOT_CODE)


def test_every_loss_stands_beside_the_noise() -> None:
    text = shown(display.leaderboard(sample.campaign(), sample.experiments()))
    assert "-0.0110 ± 0.0202" in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "within noise" in lines["1"]
    assert "better, not yet verified" in lines["4"]
    assert "worse" in lines["8"]
    assert "± 0.0190" in lines["0"]
    assert "8 seeds" in lines["0"]
    assert [n for n in lines if n.isdigit()] == ["0", "4", "5", "1", "2", "8"]


def test_figures_are_never_cut_in_a_narrow_terminal() -> None:
    text = shown(display.leaderboard(sample.campaign(), sample.experiments()), width=80)
    assert "-0.0110 ± 0.0202" in text
    assert "…" not in text


def test_beside_each_loss_stands_what_is_believed_and_the_best_is_corrected() -> None:
    text = shown(display.leaderboard(*sample.with_arms()))
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "2.2870" in lines["4"]
    words = " ".join(text.split())
    assert "Believed: the loss shrunk towards what its parent let expect, ± 0.0140." in words
    assert "lowest loss, #4, gained +0.0500 as measured; without the luck of the best of 5" in words


def test_the_status_shows_the_arms_side_by_side_and_the_judges_record() -> None:
    text = shown(display.status_view(*sample.with_arms()), width=80)
    assert "…" not in text
    lines = {line.split("  ")[0].strip(): line for line in text.splitlines() if line.strip()}
    assert "posterior" in lines["arm"]
    assert "best-of-n (control)" in lines["arm"]
    assert re.search(r"2 of 6 .*2 of 2", lines["scored"])
    assert re.search(r"\+0\.0250 #4 .*\+0\.0205 #5", lines["best gain"])
    assert "best of first 2" in text
    assert "retest reliability" in text
    assert "weight 0.000" in text
    plain = shown(display.status_view(sample.campaign(), sample.experiments()))
    assert "control" not in plain
    assert "reliability" not in plain


def test_one_experiment_shows_its_arm_its_prediction_and_what_is_believed() -> None:
    found, told = sample.with_arms()
    text = shown(display.experiment_view(found, told[4], sample.ROOT_CODE), width=200)
    assert "best-of-n, a control" in text
    assert "gain over its parent +0.0500 ± 0.0300, +0.0510 ± 0.0300 nats" in text
    assert "loss 2.2915 ± 0.0140 nats per token" in text


def test_the_tree_starts_at_the_root_template_and_keeps_failures() -> None:
    text = shown(display.family_tree(sample.campaign(), sample.experiments()))
    assert text.startswith("0 delta_net  2.3120 ± 0.0190")
    assert "3 prefix_leak  failed at gate" in text
    assert "    └── 7 repeat  refused: repeats experiment 4" in text


def test_a_long_line_of_descent_can_be_drawn() -> None:
    one = sample.experiments()[0]
    chain = [one.model_copy(update={"number": n, "parent": n - 1}) for n in range(1, 300)]
    assert "299" in shown(display.family_tree(sample.campaign(), chain), width=2000)


@pytest.mark.parametrize("measured", [True, False])
def test_a_campaign_without_experiments_can_be_shown(measured: bool) -> None:
    text = "".join(shown(view) for view in views(sample.campaign(measured=measured), []))
    assert "nothing scored yet" in text


def test_markup_and_control_characters_of_a_model_are_shown_as_text() -> None:
    hostile = [
        sample.experiment(1, 0, ESCAPES, sample.measured(1, 2.3), fitness=0.5, reason=ESCAPES)
    ]
    for view in views(sample.campaign(), hostile):
        text = shown(view)
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "[red]name[/red]" in shown(display.family_tree(sample.campaign(), hostile))


def test_one_experiment_shows_its_idea_gates_curve_and_diff() -> None:
    text = shown(experiment_view(sample.experiments()[3]))
    for part in ("Design 4", "G3", "passed", "training loss, text", "┤█", "-        beta = "):
        assert part in text
    assert "0.710 = loss 0.710, judge 0.550" in text
    assert "+        beta = 2 * torch.sigmoid(self.beta(x)) + 4e-3" in text


def test_a_failure_shows_its_stage_reason_and_gate() -> None:
    text = shown(experiment_view(sample.experiments()[2]))
    assert "failed at gate" in text
    assert "case  position 63 changes with the length" in text
    assert "mend  let nothing depend on the total length" in text
    assert text.count("position 63") == 1


def test_the_audit_and_the_isolation_stand_beside_the_gates() -> None:
    text = shown(experiment_view(sample.experiments()[3]))
    assert text.index("gates, before training") < text.index("audit of the trained weights")
    assert "another suffix, trained" in text
    assert re.search(r"isolation +bubblewrap\+landlock\+seccomp", text)


def test_a_failed_audit_is_explained_with_its_case_and_said_once() -> None:
    found = GateResult(
        id="G1",
        name="another suffix, trained",
        passed=False,
        figure=0.31,
        threshold=1e-3,
        detail="a probability differs by 0.31 after training",
        advice="position t may use positions <= t only",
    )
    joined = GateReport(gates=(*sample.gates().gates, found), seconds=1.0)
    failed = Failed(stage="audit", reason=f"G1 {found.name}: {found.detail}", gates=joined)
    text = shown(display.failure_view(failed))
    assert "Every gate passed before training" in text
    assert "none is recorded" in text
    assert "mend  position t may use positions <= t only" in text
    assert text.count("differs by 0.31") == 1


def test_every_stage_of_a_failure_is_explained() -> None:
    assert set(display.STAGES) == set(get_args(Stage))


def test_a_failure_before_any_gate_can_be_shown() -> None:
    report = GateReport(gates=(), seconds=0.0)
    text = shown(display.failure_view(Failed(stage="timeout", reason="too slow", gates=report)))
    assert "timeout: too slow" in text


def test_a_run_that_was_stopped_early_is_shown_as_that_and_not_as_a_fault() -> None:
    lagged = Failed(stage="pruned", reason="loss 2.5 at step 30", curve=sample.curve(9, 2.5))
    one = sample.experiment(9, 4, "slow_starter", lagged, status="failed", reason=lagged.reason)
    text = shown(experiment_view(one))
    assert "stopped early" in text
    assert "failed at" not in text
    assert "No fault" in text
    assert "failed: stopped early" in shown(display.leaf(one))


def test_a_spared_run_says_why_it_would_have_been_stopped() -> None:
    run = sample.measured(1, 2.3).model_copy(update={"spared": Spared(reason="loss 3 at step 9")})
    text = shown(experiment_view(sample.experiment(1, 0, "lucky", run, fitness=0.5)))
    assert "by lot; else stopped early: loss 3 at step 9" in " ".join(text.split())


def test_the_status_says_what_early_stopping_saved() -> None:
    text = shown(display.status_view(sample.campaign(), sample.experiments()))
    assert "runs stopped early: 0; spared by lot: 0" in " ".join(text.split())
    off = sample.campaign()
    config = off.config.model_copy(update={"early_stopping": False})
    text = shown(display.status_view(off.model_copy(update={"config": config}), []))
    assert re.search(r"early stopping +off", text)


def test_a_verdict_names_each_gate_that_failed() -> None:
    assert shown(display.verdict_line(sample.gates())) == "passed: 2 checks in 1.4 s\n"
    text = shown(display.verdict_line(sample.gates(broken=True)))
    assert text == "failed: G3 prefix consistency (2 checks in 1.4 s)\n"


def test_without_isolation_every_view_says_so_first_and_loudly() -> None:
    experiments = sample.experiments()
    unwalled = views(sample.campaign(isolation=CLEAN_ENVIRONMENT), experiments)
    texts = {i: shown(view) for i, view in enumerate(unwalled)}
    # The tree is drawn under the leaderboard, which says it.
    assert {i for i, text in texts.items() if "WITHOUT isolation" not in text} == {1}
    assert texts[3].startswith("Candidates ran WITHOUT isolation (MOVE37_ISOLATION=off)")
    walled = views(sample.campaign(), experiments)
    assert not [view for view in walled if "WITHOUT isolation" in shown(view)]


def test_what_is_missing_is_said_in_the_line_of_the_isolation() -> None:
    text = shown(display.isolation_line("landlock+seccomp", "no bubblewrap (not installed)"))
    assert text == "isolation landlock+seccomp; no bubblewrap (not installed)\n"
    assert "MOVE37_ISOLATION=off" in shown(display.isolation_line(CLEAN_ENVIRONMENT))


def test_one_evaluation_stands_beside_the_baseline() -> None:
    baseline = sample.campaign().baseline
    assert baseline is not None
    text = shown(display.measured_view(sample.measured(1, 2.25), baseline))
    assert "2.3120 ± 0.0190" in text
    assert "better, not yet verified" in text
    assert "within noise" in text


def test_the_form_in_which_each_op_trained_stands_beside_size_and_cost() -> None:
    baseline = sample.campaign().baseline
    assert baseline is not None
    measured = sample.measured(1, 2.25)
    for view in (
        experiment_view(sample.experiments()[3]),
        display.measured_view(measured, baseline),
    ):
        text = shown(view)
        assert "state       8,192 bytes" in text
        assert "ops         chunk_delta_rule chunked (told by the box)" in text
    unknown = measured.model_copy(update={"forms": {}})
    assert "told by the box" not in shown(display.measured_view(unknown, baseline))


def test_a_chart_runs_from_its_least_to_its_largest_value() -> None:
    top, bottom = display.chart([4.0, 3.0, 2.0], height=2).plain.splitlines()
    assert top == "   4.000 ┤█▁ "
    assert bottom == "   2.000 ┤██▁"


def test_a_flat_chart_of_many_points_keeps_its_width() -> None:
    assert {len(row) for row in display.chart([1.0] * 500, width=30).plain.split("\n")} == {40}


# --- the live board ----------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def progress(
    experiment: int, node: str = "evaluate", step: int = 0, detail: str = "text"
) -> Progress:
    return Progress(
        experiment=experiment,
        node=node,
        event="training" if step else "started",
        step=step,
        total=200 if step else 0,
        loss=3.0 if step else None,
        detail=detail if step else "",
    )


def test_the_board_tells_node_step_loss_and_time_left() -> None:
    clock = Clock()
    board = LiveBoard(sample.campaign().config, clock=clock)
    board.update(progress(2, step=10))
    clock.now = 8.0
    board.update(progress(2, step=50))
    text = shown(board.view())
    for part in ("experiment 2", "evaluate", "step 50/200", "loss 3.000", "30s left"):
        assert part in text


def test_the_seeds_of_the_baseline_stand_apart_and_leave_when_experiments_start() -> None:
    board = LiveBoard(sample.campaign().config)
    for seed in (0, 1):
        board.update(progress(0, node="baseline", step=20, detail=f"seed {seed} text"))
    assert shown(board.view()).count("step 20/200") == 2
    board.update(progress(1, node="select"))
    assert "baseline" not in shown(board.view())


def isolation(event: str, detail: str) -> Progress:
    return Progress(experiment=0, node="isolation", event=event, detail=detail)


def test_the_header_announces_what_is_missing_and_keeps_doing_so() -> None:
    board = LiveBoard(sample.campaign().config)
    board.update(isolation("incomplete", "landlock+seccomp; no bubblewrap (not installed)"))
    board.update(progress(1, step=20))
    lines = shown(board.view()).splitlines()
    assert lines[1] == "isolation landlock+seccomp; no bubblewrap (not installed)"
    assert "experiment 1" in lines[2]


def test_the_header_is_loud_without_isolation_and_silent_with_all_walls() -> None:
    board = LiveBoard(sample.campaign().config)
    board.update(isolation("complete", "bubblewrap+landlock+seccomp"))
    assert "isolation" not in shown(board.view())
    board.update(isolation("off", "clean-environment"))
    assert "Candidates run WITHOUT isolation (MOVE37_ISOLATION=off)" in shown(board.view())


def test_what_the_judge_obtained_reaches_the_header_before_any_experiment() -> None:
    board = LiveBoard(sample.campaign().config)
    obtained = Isolation(
        mode="auto",
        raised=("landlock", "seccomp"),
        missing={"bubblewrap": "bubblewrap is not installed"},
        open={"sees a file": "13 bytes"},
    )
    announce(obtained, board.update)
    wanted = "isolation landlock+seccomp; no bubblewrap (bubblewrap is not installed)"
    assert f"{wanted}; a candidate sees a file" in shown(board.view())
    announce(obtained.model_copy(update={"missing": {}, "open": {}}), board.update)
    assert "isolation" not in shown(board.view())
    announce(obtained.model_copy(update={"mode": "off", "raised": ()}), board.update)
    assert "WITHOUT isolation" in shown(board.view())


def test_a_finished_experiment_shows_its_fitness_in_place_of_its_line() -> None:
    board = LiveBoard(sample.campaign().config)
    board.update(progress(1, node="select"))
    board.update(Progress(experiment=1, node="archive", event="ended"))
    assert "1 archived" in shown(board.view())
    board.finish(sample.experiments()[0])
    text = shown(board.view())
    assert "double_beta_delta  2.3010  fitness 0.560" in text
    assert "archived" not in text
    assert "1 ended here, 8 planned" in text


def test_nothing_is_printed_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with LiveBoard(sample.campaign().config, console) as board:
        board.update(progress(1, step=10))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_many_threads_may_tell_the_board_while_it_is_drawn() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)

    def tell(number: int) -> None:
        for step in range(1, 100):
            board.update(progress(number, step=step))
        board.update(Progress(experiment=number, node="archive", event="ended"))

    with LiveBoard(sample.campaign().config, console) as board:
        threads = [threading.Thread(target=tell, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            shown(board.view())
        for thread in threads:
            thread.join()
    assert "4 ended here" in shown(board.view())


def test_a_detail_of_a_candidate_cannot_give_orders_to_the_terminal() -> None:
    board = LiveBoard(sample.campaign().config)
    board.update(progress(1, step=5, detail=ESCAPES))
    board.update(Progress(experiment=2, node="archive", event="ended", detail=ESCAPES))
    assert "\x1b" not in shown(board.view())


def test_the_nearest_ideas_and_programs_are_shown() -> None:
    told = {"nearest": ((2, 0.875),), "nearest_code": ((1, 0.96875), (2, 0.5))}
    known = sample.experiments()[2]
    assert known.novelty is not None
    novelty = known.novelty.model_copy(update={"reason": "not tried", **told})
    text = shown(experiment_view(known.model_copy(update={"novelty": novelty})))
    assert "new: not tried" in text
    assert "2 (cosine 0.875)" in text
    assert "1 (similarity 0.969), 2 (similarity 0.500)" in text
