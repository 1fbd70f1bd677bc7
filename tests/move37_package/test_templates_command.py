"""`move37 templates`: what a program reads, and what people see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from move37 import display
from move37.arch_templates.catalog import BOUNDS, TEMPLATES
from move37.evaluation.sheet import Sheet
from tests.move37_package.test_display import shown
from tests.test_cli import move37

KEYS = {*Sheet.model_fields, "decodes"}
RECURRENCE = Sheet(
    name="ada_multi_path_gate_net",
    quadratic=False,
    parameters=12_216,
    operations=53_721.4,
    state_bytes=6_336,
    cost_exponent=1.0,
    state_exponent=0.0,
    decoding_gap=1e-15,
)
BOUND = Sheet(
    name="softmax_attention",
    quadratic=True,
    parameters=9_216,
    operations=117_628,
    state_bytes=786_048,
    cost_exponent=1.99,
    state_exponent=1.0,
    decoding_gap=0.5,
)


@pytest.mark.slow
def test_every_template_and_bound_is_measured_for_a_program(tmp_path: Path) -> None:
    result = move37(tmp_path, "templates", "--json")
    assert result.returncode == 0, result.stderr
    sheets = json.loads(result.stdout)
    assert [sheet["name"] for sheet in sheets] == [*TEMPLATES, *BOUNDS]
    for sheet in sheets:
        assert set(sheet) == KEYS
        assert sheet["decodes"]
        assert sheet["quadratic"] == (sheet["name"] in BOUNDS)
        assert (sheet["cost_exponent"] > 1.15) == sheet["quadratic"]
        assert (sheet["state_exponent"] > 0) == sheet["quadratic"]


def test_the_table_shows_each_figure_on_a_narrow_terminal_and_marks_the_bound() -> None:
    text = shown(display.templates_view([RECURRENCE, BOUND]), width=80)
    lines = text.splitlines()
    usual = next(line for line in lines if RECURRENCE.name in line)
    assert usual.split()[1:] == ["12,216", "53,721", "6,336", "T^1.00", "T^0.00", "yes"]
    bound = lines.index(next(line for line in lines if BOUND.name in line))
    assert lines[bound].split()[1:] == ["9,216", "117,628", "786,048", "T^1.99", "T^1.00", "no"]
    assert lines[bound + 1].strip() == "(quadratic)"
