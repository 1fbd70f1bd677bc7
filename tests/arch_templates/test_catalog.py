"""The catalog has the text of every template without torch, and tells the legal from the bounds."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import move37.arch_templates
from move37.arch_templates import catalog, ops
from move37.arch_templates.catalog import BOUNDS, TEMPLATES, template_source
from move37.arch_templates.contract import build_mixer
from move37.graph.lab import check_request
from move37.records import CampaignConfig, UserError
from move37.settings import Settings

HIDDEN = 32


def test_template_text_is_had_without_importing_torch() -> None:
    program = (
        "import sys; from move37.arch_templates.catalog import BOUNDS, TEMPLATES, template_source; "
        "names = TEMPLATES + BOUNDS; "
        "assert all('class TokenMixer' in template_source(name) for name in names); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_ops_are_told_as_they_are_without_importing_torch() -> None:
    program = (
        "import sys; from move37.arch_templates.catalog import ops; "
        "assert len(ops()) > 30; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert [op.name for op in catalog.ops()] == sorted(ops.__all__)
    for op in catalog.ops():
        found = getattr(ops, op.name)
        arguments = list(inspect.signature(found).parameters)
        told = ast.parse(re.sub(r"=\.\.\.", "=0", op.call.split(" -> ")[0]), mode="eval").body
        assert isinstance(told, ast.Call)
        made = told.func if isinstance(told.func, ast.Call) else told
        names = [ast.unparse(a) for a in made.args] + [str(k.arg) for k in made.keywords]
        assert names == arguments
        assert op.summary == str(inspect.getdoc(found)).splitlines()[0]
        assert "Result" not in op.call


def test_every_file_with_a_token_mixer_is_in_the_catalog_once() -> None:
    folder = Path(str(move37.arch_templates.__file__)).parent
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    mixers = [name for name, text in texts.items() if "\nclass TokenMixer(" in text]
    assert sorted(mixers) == sorted(TEMPLATES + BOUNDS)


@pytest.mark.parametrize("name", TEMPLATES + BOUNDS)
def test_a_template_tells_its_equation_paper_state_and_cost(name: str) -> None:
    text = ast.get_docstring(ast.parse(template_source(name))) or ""
    assert "_t = " in text
    assert "arXiv 2" in text.split("Source: ")[1] or "arXiv 1" in text.split("Source: ")[1]
    assert "\nState for a layer: " in text
    assert "\nCost " in text


@pytest.mark.parametrize("name", BOUNDS)
def test_no_campaign_starts_from_a_bound(name: str) -> None:
    config = CampaignConfig(name="bound", tier="smoke", root=name, experiments=1)
    with pytest.raises(UserError, match=f"unknown template '{name}'; there are delta_net, "):
        check_request(config, Settings())


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(ValueError, match="template is 'mamba', expected one of delta_net, gated"):
        template_source("mamba")


@pytest.mark.parametrize("source", ["x = 1", "TokenMixer = 3", "class TokenMixer: pass"])
def test_a_source_without_the_class_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"no class TokenMixer\(nn.Module\)"):
        build_mixer(source, HIDDEN, 2)


def test_an_error_in_a_candidate_shows_its_own_line() -> None:
    source = "from torch import nn\nclass TokenMixer(nn.Module):\n    width = 1 // 0\n"
    with pytest.raises(ZeroDivisionError) as caught:
        build_mixer(source, HIDDEN, 2)
    assert "width = 1 // 0" in "".join(traceback.format_exception(caught.value))


def test_two_candidates_share_no_names() -> None:
    build_mixer(template_source("delta_net") + "\nLEAK = 1\n", HIDDEN, 2)
    with pytest.raises(NameError):
        build_mixer(template_source("delta_net") + "\nLEAK += 1\n", HIDDEN, 2)
