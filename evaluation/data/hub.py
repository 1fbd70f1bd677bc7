"""Documents of a Hugging Face dataset, streamed: by its name on the hub, or from local files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from move37.evaluation.data.tokens import library
from move37.evaluation.tiers import Dataset
from move37.records import UserError


def documents(data: Dataset) -> Iterator[str]:
    """Stream the texts of a dataset in its own order; empty ones are left out.

    Raises:
        UserError: it is missing, cannot be reached or read, or has no such column.
    """
    datasets = library("datasets")
    refusals = (OSError, ValueError, datasets.exceptions.DatasetsError, *_arrow(datasets))
    try:
        rows = datasets.load_dataset(
            data.path,
            data.config or None,
            data_files=list(data.files) or None,
            split=data.split,
            revision=data.revision or None,
            streaming=True,
        )
        yield from _texts(rows, data)
    except refusals as error:
        told = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"dataset {data.path} cannot be read: {told}") from None


def _arrow(datasets: Any) -> tuple[type[Exception], ...]:  # noqa: ANN401 - of an optional package
    """Errors of the formats below it, and of the client that fetches."""
    del datasets
    return (library("pyarrow").ArrowException, library("httpx").HTTPError)


def _texts(rows: Any, data: Dataset) -> Iterator[str]:  # noqa: ANN401 - of an optional package
    for row in rows:
        if data.field not in row:
            there = ", ".join(sorted(row))
            raise UserError(f"dataset {data.path} has no column {data.field!r}; it has {there}")
        text = row[data.field]
        if not isinstance(text, str) and text is not None:
            raise UserError(f"dataset {data.path}: the column {data.field!r} holds no text")
        if text:
            yield text
