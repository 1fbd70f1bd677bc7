"""The static policy."""

from __future__ import annotations

import pytest

from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.evaluation.policy import inspect

CLASS = "class TokenMixer:\n    pass\n"


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_passes(name: str) -> None:
    assert inspect(template_source(name)) is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\n" + CLASS, "line 1, column 0: import of 'os'"),
        ("from subprocess import run\n" + CLASS, "import from 'subprocess'"),
        ("from . import x\n" + CLASS, "import from None"),
        ("import torchvision\n" + CLASS, "import of 'torchvision'"),
        (CLASS + "x = eval('1')\n", "line 3"),
        ("class Mixer:\n    pass\n", "no class TokenMixer"),
        ("class TokenMixer(:\n", "line 1: the file is not valid Python"),
        ("#" * 70_000 + "\n" + CLASS, "larger than"),
    ],
)
def test_what_is_refused_has_a_place_and_a_reason(source: str, reason: str) -> None:
    failed = inspect(source)
    assert failed is not None
    assert failed.stage == "policy"
    assert reason in failed.reason
