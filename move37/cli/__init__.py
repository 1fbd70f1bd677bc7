"""The command line. Imports inside the commands are lazy, so that `--help` answers at once."""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

import typer

from move37.cli import (
    benchmarking,
    calibrating,
    cognition,
    forking,
    judging,
    looking,
    machine,
    outside,
    running,
    skills,
    tiers,
    verifying,
)
from move37.cli.common import EXIT_USER
from move37.records import UserError

app = typer.Typer(
    name="move37",
    help="Discover token mixers: invent, train, judge, learn. Every claim survives an audit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    running.run,
    forking.fork,
    outside.brief,
    outside.submit,
    outside.mcp,
    looking.status,
    looking.show,
    looking.tree,
    looking.report,
    judging.check,
    judging.evaluate,
    judging.templates,
    skills.skills,
    calibrating.calibrate,
    verifying.verify,
    verifying.reproduce,
    benchmarking.benchmark,
    machine.doctor,
    tiers.tiers,
):
    app.command()(command)
app.add_typer(cognition.app, name="cognition")

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def main() -> None:
    """Run the command line; what a user can mend becomes one line and exit code 2."""
    try:
        app()
    except UserError as error:
        _end(str(error))
    except OSError as error:
        # Full or read-only disks and missing rights can meet any write; the rest is a bug of ours.
        if error.errno not in DISK_ERRORS:
            raise
        _end(f"{error.strerror}: {error.filename or 'a file'}; free space or choose MOVE37_HOME")


def _end(message: str) -> NoReturn:
    typer.echo(f"move37: {' '.join(message.split())}", err=True)
    sys.exit(EXIT_USER)
