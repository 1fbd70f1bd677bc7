"""The hand-written templates, as text: importing this module imports no torch."""

from __future__ import annotations

from importlib import resources

TEMPLATES: tuple[str, ...] = ("delta_net", "gated_delta_net")


def template_source(name: str) -> str:
    """Return the source of a template.

    Raises:
        ValueError: there is no template of this name.
    """
    if name not in TEMPLATES:
        raise ValueError(f"template is {name!r}, expected one of {', '.join(TEMPLATES)}")
    return (resources.files("move37.arch_templates") / f"{name}.py").read_text(encoding="utf-8")
