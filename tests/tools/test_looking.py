"""The tools that read: training, logs, papers, earlier experiments."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.tools import BaseTool, ToolException

from move37.records import Failed, Measured
from move37.tools.code import put_code
from move37.tools.knowledge import knowledge_tools
from move37.tools.showing import code_block
from move37.tools.training import training_tools
from tests.agents.scripted import LESSON, bench, measured

DIVERGED = Failed(stage="train", reason="loss is not finite", log="step 12: \x1b[31mnan\x1b[0m")


def tools(folder: Path, outcome: Measured | Failed | None = None) -> dict[str, BaseTool]:
    """Return all tools that read, over a file that is written."""
    put_code(folder / "candidate.py", "a = 1\n")
    board = bench(folder, rehearse=lambda _: outcome or measured())
    return {t.name: t for t in (*training_tools(board), *knowledge_tools(board))}


def test_read_log_shows_the_failure_of_the_last_short_run(tmp_path: Path) -> None:
    offered = tools(tmp_path, DIVERGED)
    assert "FAILED at stage train" in offered["try_training"].invoke({})
    log = offered["read_log"].invoke({})
    assert log == 'Failure at stage train.\n<untrusted source="log">\nstep 12: nan\n</untrusted>'


def test_read_log_shows_the_failure_that_called_for_the_repair(tmp_path: Path) -> None:
    offered = {tool.name: tool for tool in training_tools(bench(tmp_path), DIVERGED)}
    assert "step 12" in offered["read_log"].invoke({})


def test_read_log_says_that_nothing_has_failed(tmp_path: Path) -> None:
    with pytest.raises(ToolException, match="nothing has failed"):
        tools(tmp_path)["read_log"].invoke({})


def test_a_short_run_is_told_with_losses_curve_and_size(tmp_path: Path) -> None:
    told = tools(tmp_path)["try_training"].invoke({})
    assert "not comparable" in told
    assert "- text: held-out loss 2.3000" in told
    assert "training loss at step 0: 5.4900" in told
    assert "60000 parameters" in told


def test_search_shows_lessons_with_ids_and_mechanisms(tmp_path: Path) -> None:
    told = tools(tmp_path)["search_cognition"].invoke({"query": "forgetting", "k": 99})
    assert told.startswith("[c1] a paper of 2024; mechanisms: gated-delta-rule")
    assert told.index("<untrusted") < told.index("Gated Delta Networks")
    assert LESSON.scenario in told


def test_an_empty_query_is_sent_back(tmp_path: Path) -> None:
    with pytest.raises(ToolException, match="query is empty"):
        tools(tmp_path)["search_cognition"].invoke({"query": " "})


def test_experiments_are_read_and_compared(tmp_path: Path) -> None:
    offered = tools(tmp_path)
    assert "held-out loss 2.3100" in offered["read_experiment"].invoke({"number": 1})
    told = offered["compare_experiments"].invoke({"first": 1, "second": 2})
    assert "| held-out loss, text | 2.3100 | 2.3200 |" in told
    assert "| fitness | not measured | not measured |" in told
    assert "-    number = 1\n+    number = 2" in told


@pytest.mark.parametrize(("number", "hint"), [(0, "root template"), (9, "no experiment 9")])
def test_an_experiment_that_is_not_there_is_explained(
    tmp_path: Path, number: int, hint: str
) -> None:
    with pytest.raises(ToolException, match=hint):
        tools(tmp_path)["read_experiment"].invoke({"number": number})


def test_templates_are_shown_and_unknown_ones_explained(tmp_path: Path) -> None:
    offered = tools(tmp_path)
    assert "class TokenMixer" in offered["read_template"].invoke({"name": "delta_net"})
    with pytest.raises(ToolException, match=r"no template '\.\./secret'"):
        offered["read_template"].invoke({"name": "../secret"})


def test_code_cannot_close_its_own_block() -> None:
    block = code_block('x = "```"\n# ````\n')
    assert block.startswith("`````python\n")
    assert block.endswith("\n`````")
