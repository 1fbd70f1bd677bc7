"""The trusted side of the boxes: start them, talk to them, bound them, end them.

`Nursery` owns the warm parent process; `Box` is one job. Every read and write has a deadline, and
whatever goes wrong inside a box reaches the caller as a `BoxFailure` that says at which stage.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil

from move37.evaluation.isolation import protocol, view, walls
from move37.evaluation.isolation.box import LIMITS, PID, READY
from move37.evaluation.isolation.walls import Wall
from move37.records import Stage, Value

LOG_LIMIT = 1 << 20
LOG_TAIL = 8000
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
POLL_SECONDS = 0.2
# The wall clock comes first; this one is for a box whose threads burn more than one core.
CPU_GRACE_SECONDS = 5
GRACE_SECONDS = 2.0


class Limits(Value):
    """What one box may use. Wall-clock and CPU in seconds, memory in bytes of address space.

    `cuda` opens the GPU's devices, and what its libraries need besides.
    """

    seconds: float
    memory_bytes: int = 6 << 30
    cuda: bool = False


class Usage(Value):
    """What one box used, as the operating system accounts for it."""

    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class BoxFailure(Exception):
    """A box did not do its job; the reason and the log tail are untrusted text."""

    def __init__(self, stage: Stage, reason: str, log: str = "") -> None:
        super().__init__(reason)
        self.stage: Stage = stage
        self.reason = reason
        self.log = log


def clean_environment(source: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a box: an allow-list, so that no secret enters."""
    kept = {name: source[name] for name in ENVIRONMENT if name in source}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    # Isolated flags would hide a package found through PYTHONPATH, so the path is handed over.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**kept, **one_thread, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


class Stopped(Exception):
    """The run is being stopped: what was going on here says nothing about the candidate."""


class NurseryLost(Exception):
    """The warm parent died under its boxes; the work can be repeated."""


class Nursery:
    """The warm parent of all boxes of this process; started at the first use.

    `raised` are the walls around each box. Those that the machine cannot raise must be left out.
    """

    def __init__(self, raised: frozenset[Wall]) -> None:
        self.raised = raised
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_box(self, limits: Limits) -> Box:
        """Fork a box with these limits.

        Raises:
            Stopped: the nursery was closed.
            NurseryLost: a new one died at once.
        """
        with self._lock:
            if self._closed.is_set():
                raise Stopped
            if self._connection is not None:
                try:
                    return self._fork(self._connection, limits)
                except NurseryLost:
                    # It died since the last box; another one is as good.
                    self._forget()
            return self._fork(self._start(), limits)

    def _fork(self, connection: socket.socket, limits: Limits) -> Box:
        request_r, request_w = os.pipe()
        result_r, result_w = os.pipe()
        status_r, status_w = os.pipe()
        log = os.memfd_create("box-log") if hasattr(os, "memfd_create") else _unlinked_file()
        ours = (request_w, result_r, status_r, log)
        theirs = [request_r, result_w, log, status_w]
        try:
            socket.send_fds(connection, [self._packed(limits)], theirs)
            handle = _receive_handle(connection)
        except (ConnectionError, EOFError):
            for fd in ours:
                os.close(fd)
            raise NurseryLost from None
        finally:
            for fd in (request_r, result_w, status_w):
                os.close(fd)
        return Box(ours, handle, limits, self._closed)

    def close(self) -> None:
        """End the nursery and every box that it still has; whoever waits for one is stopped."""
        self._closed.set()
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._connection:
            self._connection.close()
        if self._process:
            _end(self._process)
        self._process = self._connection = None

    def _packed(self, limits: Limits) -> bytes:
        seconds = int(limits.seconds) + CPU_GRACE_SECONDS
        bits = walls.pack(self.raised)
        return LIMITS.pack(limits.memory_bytes, seconds, LOG_LIMIT, bits, limits.cuda)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            module = ["-s", "-P", "-m", "move37.evaluation.isolation.box", str(theirs.fileno())]
            command = [sys.executable, *module]
            clean = "environment" in self.raised
            self._process = subprocess.Popen(
                view.command(command) if "bubblewrap" in self.raised else command,
                pass_fds=[theirs.fileno()],
                env=clean_environment(os.environ) if clean else None,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._connection = ours
        return ours


def _unlinked_file() -> int:
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _receive_handle(connection: socket.socket) -> Handle:
    data, fds, _, _ = socket.recv_fds(connection, PID.size, 1)
    if len(data) < PID.size:
        raise EOFError
    if fds:
        return Handle(_process_of(fds[0]), fds[0])
    return Handle(PID.unpack(data)[0], None)


def _process_of(handle: int) -> int:
    """Return the number that a process has for this one; its own view knows it by another."""
    lines = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pid:")).split()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a warm parent whose socket is closed: it ends its boxes, then itself."""
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Handle:
    """A box's process: its number, and a descriptor that no other process can take over."""

    pid: int
    descriptor: int | None

    def kill(self) -> None:
        """End it at once."""
        try:
            if self.descriptor is None:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        except ProcessLookupError:
            # It ended by itself in the meantime.
            return

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class Box:
    """One isolated process. Use as a context manager: at the end the whole group is killed."""

    def __init__(
        self,
        fds: tuple[int, int, int, int],
        handle: Handle,
        limits: Limits,
        closed: threading.Event,
    ) -> None:
        self._closed = closed
        self._handle = handle
        self._request, self._result, self._status, self._log = fds
        self._deadline = time.monotonic() + limits.seconds
        self._limits = limits
        self._status_text = b""
        self._pending = bytearray()
        os.set_blocking(self._request, False)
        self.pid = handle.pid
        self.usage = Usage()
        self._await_walls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            # A closed nursery has killed the group already.
            if not self._closed.is_set():
                self._end()
        finally:
            self._handle.close()
            for fd in (self._request, self._result, self._status, self._log):
                os.close(fd)

    def _await_walls(self) -> None:
        """A box that cannot raise its walls has not seen a candidate: the fault is ours."""
        try:
            if self._read(len(READY)) == READY:
                return
            raise RuntimeError(f"a box did not start:\n{self.log_tail()}")
        except BoxFailure as failure:
            self.__exit__()
            raise RuntimeError(f"a box did not start: {failure.reason}\n{failure.log}") from None
        except BaseException:
            self.__exit__()
            raise

    def send(self, message: dict[str, object], arrays: Sequence[np.ndarray] = ()) -> None:
        """Send one request with its arrays."""
        self._send(protocol.pack_request(message, arrays))

    def send_array(self, array: np.ndarray) -> None:
        """Send one array whose shape the other side knows."""
        self._send(protocol.pack(protocol.ARRAY, np.ascontiguousarray(array).tobytes()))

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._request, select.POLLOUT)
            try:
                view = view[os.write(self._request, view[: 1 << 16]) :]
            except BrokenPipeError:
                # The box ended; what it said last is the better explanation.
                self.receive(limit=protocol.JSON_LIMIT)
                raise self._failure("train", "the process closed its input") from None

    def receive(self, limit: int = protocol.JSON_LIMIT) -> tuple[bytes, bytes]:
        """Return the kind and payload of the next frame.

        Raises:
            BoxFailure: the candidate raised, ran out of time or memory, or broke the protocol.
        """
        try:
            kind, payload = protocol.read_frame(self._read, limit)
        except protocol.ProtocolError as error:
            raise self._failure("train", str(error)) from None
        if kind == protocol.ERROR:
            raise self._told(payload)
        return kind, payload

    def receive_json(self) -> dict[str, Any]:
        """Return the next frame, which must be a JSON object."""
        kind, payload = self.receive()
        if kind != protocol.JSON:
            raise self._failure("train", f"expected an object, the process sent {kind!r}")
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            raise self._failure("train", "the process sent malformed JSON") from None
        if not isinstance(value, dict):
            raise self._failure("train", "the process sent JSON that is no object")
        return value

    def receive_array(
        self, shape: tuple[int, ...], dtype: str, *, finite: bool = True
    ) -> np.ndarray:
        """Return the next frame as an array of exactly this shape and dtype, all finite."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        kind, payload = self.receive(limit=max(size, protocol.JSON_LIMIT))
        if kind != protocol.ARRAY or len(payload) != size:
            raise self._failure("train", f"expected {size} bytes of output, got {len(payload)}")
        array = np.frombuffer(payload, dtype=dtype).reshape(shape)
        if finite and not np.isfinite(array).all():
            raise self._failure("train", "the output holds NaN or infinity")
        return array

    def cpu_seconds(self) -> float:
        """CPU time that the box has used so far."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.NoSuchProcess:
            return self.usage.cpu_seconds
        return float(times.user + times.system)

    def log_tail(self) -> str:
        """The end of what the candidate printed: untrusted text."""
        size = os.fstat(self._log).st_size
        raw = os.pread(self._log, LOG_TAIL, max(0, size - LOG_TAIL))
        return raw.decode("utf-8", "replace")

    def _read(self, size: int) -> bytes:
        while len(self._pending) < size:
            self._wait(self._result, select.POLLIN)
            part = os.read(self._result, 1 << 20)
            if not part:
                raise self._ended()
            self._pending += part
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken

    def _wait(self, fd: int, event: int) -> None:
        poll = select.poll()
        poll.register(fd, event)
        while not poll.poll(POLL_SECONDS * 1000):
            if time.monotonic() > self._deadline:
                reason = f"no answer within {self._limits.seconds:.0f} s"
                raise self._failure("timeout", reason)

    def _next_status(self) -> dict[str, Any]:
        while b"\n" not in self._status_text:
            part = os.read(self._status, 4096)
            if not part:
                raise Stopped if self._closed.is_set() else NurseryLost
            self._status_text += part
        line, self._status_text = self._status_text.split(b"\n", 1)
        status: dict[str, Any] = json.loads(line)
        return status

    def _end(self, grace: float = 0.0) -> int:
        """Kill the group, if it still runs after `grace` seconds; return the leader's exit code."""
        if self.usage.peak_bytes:
            return 0
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if not poll.poll(grace * 1000):
            self._handle.kill()
        status = self._next_status()
        self.usage = Usage(cpu_seconds=status["cpu"], peak_bytes=max(1, status["peak"]))
        return int(status["code"])

    def _ended(self) -> BoxFailure:
        if self._closed.is_set():
            raise Stopped
        code = self._end(grace=GRACE_SECONDS)
        if code == -signal.SIGXCPU:
            return self._failure("timeout", f"used more than {self._limits.seconds:.0f} CPU s")
        if code == -signal.SIGKILL:
            return self._failure("memory", "killed by the system, most likely out of memory")
        return self._failure("train", f"the process ended early with status {code}")

    def _told(self, payload: bytes) -> BoxFailure:
        try:
            told = json.loads(payload)
            reason, log, memory = str(told["reason"]), str(told["log"]), bool(told["memory"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return self._failure("train", "the process sent a malformed error")
        stage: Stage = "memory" if memory else "train"
        return BoxFailure(stage, reason[:2000], log[-LOG_TAIL:])

    def _failure(self, stage: Stage, reason: str) -> BoxFailure:
        return BoxFailure(stage, reason, self.log_tail())
