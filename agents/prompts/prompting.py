"""The prompts: one document a role, filled from a brief by one function."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from langchain_core.messages import HumanMessage

from move37.agents.briefs import Brief, slot_of
from move37.agents.prompts import contract
from move37.agents.prompts.evidence import evidence
from move37.agents.prompts.packing import PROMPT_TOKENS, TOOL_TOKENS, pack, tokens
from move37.records import UserError

CONTEXT_KEY = "move37"
_SPLIT = "<!-- message -->"


def _document(name: str) -> str:
    """Return the text of a prompt document."""
    return files("move37.agents.prompts").joinpath(f"{name}.md").read_text("utf-8").strip()


def _halves(role: str, own: str | None = None) -> tuple[str, str]:
    """Return the templates of a role's system prompt and of its message.

    Raises:
        ValueError: the document is not of two parts.
    """
    system, message = (own or _document(role)).split(_SPLIT)
    return system.strip(), message.strip()


def own_document(role: str, path: Path) -> str:
    """Return the document that a user gives a role, once it names all that the role's own names.

    Raises:
        UserError: the file cannot be read, or names other values.
    """
    try:
        text = path.read_text("utf-8")
        told = [set(Template(half).get_identifiers()) for half in _halves(role, text)]
    except OSError as error:
        raise UserError(f"prompt {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"prompt {path} is not text in UTF-8") from None
    except ValueError:
        raise UserError(f"prompt {path} has no line {_SPLIT} between its two parts") from None
    wanted = set(Template(_halves(role)[1]).get_identifiers())
    if told[1] != wanted:
        raise UserError(
            f"prompt {path}: its message must name {', '.join(sorted(wanted))}; "
            f"missing or unknown: {', '.join(sorted(told[1] ^ wanted))}"
        )
    if unknown := told[0] - set(_SHARED):
        raise UserError(f"prompt {path}: there is no ${sorted(unknown)[0]} in a system prompt")
    return text


def render(template: str, values: Mapping[str, str], where: str) -> str:
    """Put values into a template; `where` names it.

    Raises:
        KeyError: the template names a value that is not given, or is given one it never names.
    """
    parsed = Template(template)
    differing = set(parsed.get_identifiers()) ^ set(values)
    if differing:
        raise KeyError(f"prompt {where}.md and its values differ in: {sorted(differing)}")
    return parsed.substitute(values)


def _contract() -> str:
    """Return what every candidate has to keep to."""
    values = {
        "signature": contract.signature(),
        "imports": contract.imports(),
        "sizes": contract.sizes(),
        "baseline": contract.baseline(),
        "checks": contract.checks(),
    }
    return render(_document("_contract"), values, "_contract")


# What the system prompts share; each names what it needs.
_SHARED: Mapping[str, Callable[[], str]] = {
    "contract": _contract,
    "untrusted": lambda: _document("_untrusted"),
}


def system_prompt(role: str, own: str | None = None) -> str:
    """Return the system prompt of a role; `own` is a document in the place of its own.

    Raises:
        KeyError: its document names something that the roles do not share.
    """
    template = _halves(role, own)[0]
    named = Template(template).get_identifiers()
    values = {name: text() for name, text in _SHARED.items() if name in named}
    return render(template, values, role)


def fill(role: str, values: Mapping[str, str], own: str | None = None) -> str:
    """Return the message of a role.

    Raises:
        KeyError: see `render`.
    """
    return render(_halves(role, own)[1], values, role)


def message(brief: Brief, budget: int = PROMPT_TOKENS, own: str | None = None) -> HumanMessage:
    """Return the message for the role that this brief is for; the brief rides along as data.

    With the system prompt and the descriptions of the role's tools it keeps to a budget of tokens,
    unless what must be told is longer (`move37.agents.prompts.packing`). Chat models of providers
    read the text alone: LangChain does not send `additional_kwargs`.
    """
    role = slot_of(brief).role
    parts = evidence(brief)
    room = budget - TOOL_TOKENS - tokens(system_prompt(role, own)) - tokens(_halves(role, own)[1])
    packed = iter(pack([section for sections in parts.values() for section in sections], room))
    values = {name: "\n\n".join(next(packed) for _ in sections) for name, sections in parts.items()}
    context = {"role": role, "brief": json.loads(brief.model_dump_json())}
    return HumanMessage(fill(role, values, own), additional_kwargs={CONTEXT_KEY: context})
