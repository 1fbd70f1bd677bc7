"""Logs: JSON lines in the campaign's folder for programs, one readable line for people."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import structlog
from rich.console import Console
from structlog.processors import NAME_TO_LEVEL
from structlog.typing import EventDict, Processor, WrappedLogger

from move37.records import UserError

LOG_NAME = "log.jsonl"


def configure_logs(
    campaign_dir: Path | None, *, verbose: bool = False, quiet: bool = False
) -> Path | None:
    """Send our events to `<campaign_dir>/log.jsonl` and to stderr; return the file's path.

    The file holds every level; people see `info` and above, or all of it when `verbose`, or
    only errors when `quiet` (a live display owns the terminal). Loggers of others keep their
    settings. Values bound with `structlog.contextvars` (campaign, experiment, node) are merged.

    Raises:
        UserError: the file cannot be written.
    """
    path = campaign_dir / LOG_NAME if campaign_dir else None
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if path:
        chain.append(_appender(path))
    shown = "error" if quiet else "debug" if verbose else "info"
    people = Console(stderr=True)
    chain += [_at_least(shown), _readable]
    render = structlog.dev.ConsoleRenderer(
        colors=people.is_terminal and not people.no_color,
        sort_keys=False,
        pad_event_to=0,
        exception_formatter=structlog.dev.plain_traceback,
    )
    chain.append(render)
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
        logger_factory=_stderr_logger,
        cache_logger_on_first_use=False,
    )
    return path


def _appender(path: Path) -> Processor:
    """Return a processor that appends each event to a file and passes it on unchanged.

    One unbuffered write on a file opened for appending, so that lines of several threads and
    processes never mix, and a killed process leaves whole lines.
    """
    _append(path, b"")

    def append(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        _append(path, json.dumps(event, default=str).encode() + b"\n")
        return event

    return append


def _append(path: Path, line: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(line)
    except OSError as error:
        reason = f"cannot write the log {path} ({error.strerror}): free space or fix its rights"
        raise UserError(reason) from error


def _at_least(level: str) -> Processor:
    """Return a processor that drops what people do not want to see."""
    least = NAME_TO_LEVEL[level]

    def drop(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if NAME_TO_LEVEL[event["level"]] < least:
            raise structlog.DropEvent
        return event

    return drop


def _readable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Shorten the time and disarm control characters: a candidate's text may hold some."""
    shown = {key: _disarmed(value) for key, value in event.items()}
    return shown | {"timestamp": str(event["timestamp"])[11:19]}


def _stderr_logger(*_names: object) -> structlog.PrintLogger:
    """Look stderr up for each event, because a live display replaces it while it is shown."""
    return structlog.PrintLogger(sys.stderr)


def _disarmed(value: object) -> object:
    if not isinstance(value, str):
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in value)
