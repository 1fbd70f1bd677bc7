"""The contract of a token mixer as text, read from the code that enforces it."""

from __future__ import annotations

import ast
from importlib import resources

from move37 import syntax
from move37.arch_templates.adapter import style
from move37.evaluation import policy
from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import ROOT
from move37.evaluation.gates.ladder import LADDER
from move37.evaluation.policy.names import IMPORTS


def signature() -> str:
    """Return the class that a candidate defines, as the programs construct and call it.

    `__init__` takes what `build_mixer` passes on, `forward` what the protocol of a mixer says.
    """
    source = resources.files("move37.arch_templates").joinpath("contract.py").read_text("utf-8")
    return class_of(source)


def class_of(contract: str) -> str:
    """Return the same of the source of a contract module."""
    functions = {
        n.name: n for n in ast.walk(syntax.parse(contract)) if isinstance(n, ast.FunctionDef)
    }
    build, call = functions["build_mixer"], functions["__call__"]
    build.args.args[0] = ast.arg("self")
    result = ast.unparse(call.returns) if call.returns else "None"
    return (
        f"class {style.CONTRACT}(nn.Module):\n"
        f"    def __init__({ast.unparse(build.args)}): ...\n"
        f"    def forward({ast.unparse(call.args)}) -> {result}: ..."
    )


def imports() -> str:
    """Return what a candidate may import."""
    return ", ".join(name for name in IMPORTS if not name.startswith("__"))


def sizes() -> str:
    """Return what a candidate may cost, in the baseline's measure, and how long its file may be."""
    return (
        f"at most {limits.PARAMETERS:g} times the parameters, {limits.WORK:g} times the operations "
        f"and {limits.SAVED:g} times the bytes saved for the backward pass of {ROOT} at the same "
        f"size; a file of at most {policy.SOURCE_LIMIT} bytes, no table of more than "
        f"{policy.ELEMENTS} constants, all checks within {limits.GATE_SECONDS:g} s"
    )


def baseline() -> str:
    """Return the template at which the checks measure cost and state."""
    return ROOT


def checks() -> str:
    """Return the gates in their order, with what each asks for."""
    return "\n".join(f"- {gate.id} {gate.name}: {gate.advice}" for gate in LADDER)
