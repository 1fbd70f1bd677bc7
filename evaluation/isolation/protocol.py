"""Frames on the pipes between the trusted process and a box.

A frame is one byte of kind, eight bytes of length, and the payload. Towards the box a JSON frame
announces the arrays that follow. From the box only three things come back: JSON objects of a
bounded size, float buffers whose size the trusted side already knows, and opaque weight bytes;
nothing that a box sends is ever unpickled or executed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Protocol

import numpy as np

HEADER = struct.Struct("!cQ")
JSON, ARRAY, WEIGHTS, ERROR = b"J", b"A", b"W", b"X"
JSON_LIMIT = 1 << 20


class Reader(Protocol):
    """Reads exactly `size` bytes or raises."""

    def __call__(self, size: int) -> bytes:
        """Return exactly `size` bytes."""


class ProtocolError(Exception):
    """The other side sent what it may not send."""


def pack(kind: bytes, payload: bytes | memoryview) -> bytes:
    """Return one frame."""
    return HEADER.pack(kind, len(payload)) + bytes(payload)


def pack_request(message: dict[str, object], arrays: Sequence[np.ndarray] = ()) -> bytes:
    """Return a JSON frame that names the shapes and dtypes of the array frames behind it."""
    described = {**message, "arrays": [[a.dtype.str, list(a.shape)] for a in arrays]}
    frames = [pack(JSON, json.dumps(described).encode())]
    frames += [pack(ARRAY, np.ascontiguousarray(a).tobytes()) for a in arrays]
    return b"".join(frames)


def read_frame(read: Reader, limit: int = JSON_LIMIT) -> tuple[bytes, bytes]:
    """Read one frame of at most `limit` bytes.

    Raises:
        ProtocolError: the kind is unknown or the payload is longer than `limit`.
    """
    kind, size = HEADER.unpack(read(HEADER.size))
    if kind not in (JSON, ARRAY, WEIGHTS, ERROR):
        raise ProtocolError(f"unknown frame {kind!r}")
    if size > limit:
        raise ProtocolError(f"frame {kind!r} of {size} bytes, at most {limit} are allowed")
    return kind, read(size)


def read_request(read: Reader) -> tuple[dict[str, object], list[np.ndarray]]:
    """Read a request and its arrays; used inside the box, where the sender is trusted."""
    _, payload = read_frame(read, limit=1 << 40)
    message: dict[str, object] = json.loads(payload)
    arrays = []
    described = message.pop("arrays")
    for dtype, shape in described if isinstance(described, list) else []:
        _, raw = read_frame(read, limit=1 << 40)
        arrays.append(np.frombuffer(raw, dtype=dtype).reshape(shape).copy())
    return message, arrays
