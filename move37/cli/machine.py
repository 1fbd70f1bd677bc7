"""`doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from move37.cli.common import EXIT_FAILED, AsJson, print_json
from move37.settings import load_settings


def doctor(
    llm: Annotated[
        bool, typer.Option("--llm", help="Make one small call to the model of every role.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what this machine has and lacks, and which tier fits, one line each.

    With --llm: exit code 1 where a model does not do what it is asked.
    """
    from move37.display import console, findings_view
    from move37.doctor import examine, greetings

    settings = load_settings()
    findings = greetings(settings) if llm else examine(settings)
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        rows = [(f.name, f.ok, f.detail, "" if f.ok else f.advice) for f in findings]
        console().print(findings_view(rows))
    if llm and not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)
