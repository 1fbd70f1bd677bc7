"""The hand-written templates, as text: importing this module imports no torch.

`TEMPLATES` keep the contract and may root a campaign. `BOUNDS` are quadratic: they fail the gates
of cost, and only those, and stand beside the others as what memory without a limit is worth.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import resources

TEMPLATES: tuple[str, ...] = (
    "delta_net",
    "gated_delta_net",
    "kda",
    "delta_product",
    "linear_attention",
    "ret_net",
    "gla",
    "mamba2",
    "rwkv7",
    "hybrid",
    "path_gate_fusion_net",
    "content_sharp_router",
    "fusion_gated_fir_net",
    "hier_gate_net",
    "ada_multi_path_gate_net",
)
BOUNDS: tuple[str, ...] = ("softmax_attention",)


def template_source(name: str) -> str:
    """Return the source of a template or a bound.

    Raises:
        ValueError: there is no template of this name.
    """
    known = TEMPLATES + BOUNDS
    if name not in known:
        raise ValueError(f"template is {name!r}, expected one of {', '.join(known)}")
    return (resources.files("move37.arch_templates") / f"{name}.py").read_text(encoding="utf-8")


@cache
def op_names() -> frozenset[str]:
    """Return the names that `move37.arch_templates.ops` offers."""
    text = (resources.files("move37.arch_templates") / "ops" / "__init__.py").read_text("utf-8")
    lists = [node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    return frozenset(ast.literal_eval(lists[0]))
