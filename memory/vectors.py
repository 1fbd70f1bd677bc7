"""Chroma collections of short texts with our own embeddings, and exact cosines of neighbours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import chromadb
import httpx
import numpy as np
from chromadb.api import ClientAPI
from chromadb.api.client import Client
from chromadb.api.collection_configuration import (
    CreateCollectionConfiguration,
    CreateHNSWConfiguration,
)
from chromadb.config import Settings
from chromadb.errors import ChromaError
from filelock import FileLock
from numpy.typing import NDArray

from move37.memory.embedding import Embedder, WordLlama
from move37.records import UserError, content_id

# Wide enough that the approximate index returns the true neighbours of some thousand texts.
INDEX = CreateHNSWConfiguration(
    space="cosine", ef_construction=200, ef_search=200, max_neighbors=32
)
# Neighbours asked of the index for each one wanted; the order is then settled by exact cosines.
SPARE = 2
DIGITS = 6
# Chroma takes a few thousand at once, how many depends on its SQLite.
BATCH = 1000

# Chroma keeps one engine for a path in a process, and makes it without a lock of its own.
_opening = threading.Lock()


class Neighbour(NamedTuple):
    """One text near to a query; `cosine` is exact and rounded to 6 digits."""

    id: str
    metadata: Mapping[str, Any]
    cosine: float


class Texts:
    """One collection, embedded on a path or on a Chroma server by URL; threads may share it."""

    def __init__(
        self, where: Path | str, name: str, embedder: Embedder | None = None, *, replace: bool
    ) -> None:
        """Open the collection, made when it does not exist.

        A collection of another embedding model is dropped and begun anew with `replace`, which is
        for what can be made again.

        Raises:
            UserError: the path or the server cannot be used, or the collection was filled by
                another embedding model and is not to be replaced.
        """
        self._where = str(where)
        self._embedder = embedder or WordLlama()
        with _opening, chroma_errors(self._where), _between_processes(where):
            self._client = _client(where)
            try:
                self._collection = _collection(
                    self._client, f"move37-{name}", self._embedder.name, replace
                )
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Let go of the engine or the connection."""
        with _opening:
            self._close()

    def _close(self) -> None:
        if isinstance(self._client, Client):
            # Chroma's client of a server has two connections, and leaves both open.
            for api in (self._client, self._client._admin_client):
                session = getattr(getattr(api, "_server", None), "_session", None)
                if isinstance(session, httpx.Client):
                    session.close()
            self._client.close()

    def known(self) -> dict[str, Mapping[str, Any]]:
        """Return the metadata of all texts by id."""
        with chroma_errors(self._where):
            found = self._collection.get(include=["metadatas"])
        return dict(zip(found["ids"], found["metadatas"] or [], strict=True))

    def put(
        self, ids: Sequence[str], texts: Sequence[str], metadatas: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add texts, or replace those of the same ids."""
        with chroma_errors(self._where):
            for part in _batches(len(ids)):
                self._collection.upsert(
                    ids=list(ids[part]),
                    embeddings=self._embedder.embed(texts[part]),
                    documents=list(texts[part]),
                    metadatas=[dict(metadata) for metadata in metadatas[part]],
                )

    def drop(self, ids: Sequence[str]) -> None:
        """Remove texts by id."""
        with chroma_errors(self._where):
            for part in _batches(len(ids)):
                self._collection.delete(ids=list(ids[part]))

    def nearest(
        self,
        query: str,
        k: int,
        where: Mapping[str, Any] | None = None,
        passes: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> list[Neighbour]:
        """Return up to `k` neighbours, the nearest first.

        `where` is a filter of Chroma's, which looks at every text, so it is for small collections;
        `passes` is asked of the metadata of neighbours, and further ones are fetched while too few
        pass.
        """
        vector = self._embedder.embed([query])
        asked = SPARE * k
        while True:
            found = self._neighbours(vector, asked, where)
            passed = [one for one in found if passes(one.metadata)]
            if len(passed) >= k or len(found) < asked:
                return sorted(passed, key=lambda one: (-one.cosine, one.id))[:k]
            asked *= 4

    def _neighbours(
        self, vector: NDArray[np.float32], count: int, where: Mapping[str, Any] | None
    ) -> list[Neighbour]:
        with chroma_errors(self._where):
            found = self._collection.query(
                query_embeddings=vector,
                n_results=count,
                where=dict(where) if where else None,
                include=["embeddings", "metadatas"],
            )
        vectors, metadatas = found["embeddings"], found["metadatas"]
        if vectors is None or metadatas is None or not found["ids"][0]:
            return []
        # The index adds up in another order before and after it is saved; a record must not.
        cosines = np.asarray(vectors[0], dtype=np.float64) @ vector[0].astype(np.float64)
        return [
            Neighbour(identity, metadata, round(float(cosine), DIGITS))
            for identity, metadata, cosine in zip(
                found["ids"][0], metadatas[0], cosines, strict=True
            )
        ]


def _batches(count: int) -> Iterator[slice]:
    return (slice(first, first + BATCH) for first in range(0, count, BATCH))


def own_name(campaign: str, kind: str) -> str:
    """Return the name of a campaign's collection: Chroma refuses some names that campaigns have."""
    return f"{content_id(campaign)}-{kind}"


@contextmanager
def chroma_errors(where: str) -> Iterator[None]:
    """Turn what a user can mend (path, disk, server) into a `UserError`."""
    try:
        yield
    except (ChromaError, OSError, httpx.HTTPError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the Chroma collection at {where} cannot be used ({reason}): "
            "check the path, the disk or the server"
        ) from error


def _client(where: Path | str) -> ClientAPI:
    settings = Settings(anonymized_telemetry=False)
    if not _is_url(where):
        return chromadb.PersistentClient(path=Path(where).resolve(), settings=settings)
    parts = urlsplit(str(where))
    secure = parts.scheme == "https"
    try:
        return chromadb.HttpClient(
            host=parts.hostname or "localhost",
            port=parts.port or (443 if secure else 8000),
            ssl=secure,
            settings=settings,
        )
    except ValueError as error:
        raise UserError(
            f"no Chroma server answers at {where}: start it, or unset its URL"
        ) from error


def _collection(client: ClientAPI, name: str, embedding: str, replace: bool) -> chromadb.Collection:
    for _ in range(2):
        collection = client.get_or_create_collection(
            name,
            embedding_function=None,
            metadata={"embedding": embedding},
            configuration=CreateCollectionConfiguration(hnsw=INDEX),
        )
        found = (collection.metadata or {}).get("embedding")
        if found == embedding:
            return collection
        if not replace:
            raise UserError(
                f"{name} was built with the embedding model {found}, not with {embedding}: "
                "build it again with `move37 cognition build --rebuild`, or set MOVE37_EMBEDDING"
            )
        client.delete_collection(name)
    raise UserError(f"the Chroma collection {name} keeps changing: another version writes it")


def _between_processes(where: Path | str) -> FileLock | nullcontext[None]:
    if _is_url(where):
        return nullcontext()
    Path(where).mkdir(parents=True, exist_ok=True)
    return FileLock(Path(where) / "open.lock", timeout=60)


def _is_url(where: Path | str) -> bool:
    return str(where).startswith(("http://", "https://"))
