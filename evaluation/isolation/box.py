"""The box: a process that holds candidate code, forked from a warm parent that never does.

`python -m move37.evaluation.isolation.box FD` is the warm parent (the nursery). It imports torch
once, listens on an inherited socket, and forks one box for each job, so that a box starts in
milliseconds and shares no state with another one. The nursery itself never sees a byte that a
candidate wrote. When the trusted process dies, the socket closes, and everything here dies too.

A box raises its walls (`walls.py`) before it reads its first request, and says so.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import traceback
from typing import NoReturn

from move37.evaluation.isolation import privileges, walls

# Address space, CPU seconds, bytes of a file, walls, whether CUDA is used.
LIMITS = struct.Struct("!5Q")
PID = struct.Struct("!Q")
READY = b"ready"


def _read_exactly(fd: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(fd, min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _explain(error: BaseException) -> bytes:
    reason = "".join(traceback.format_exception_only(error)).strip()
    frames = "".join(traceback.format_exception(error))[-8000:]
    memory = isinstance(error, MemoryError) or "can't allocate memory" in reason
    return json.dumps({"reason": reason[-2000:], "log": frames, "memory": memory}).encode()


def _work(request_fd: int, result_fd: int) -> NoReturn:
    """Serve one trusted peer until it hangs up; tell it what the candidate raised."""
    from move37.evaluation.inside import jobs
    from move37.evaluation.isolation import protocol

    def send(kind: bytes, payload: bytes | memoryview) -> None:
        _write_all(result_fd, protocol.pack(kind, payload))

    try:
        jobs.serve(lambda size: _read_exactly(request_fd, size), send)
    except EOFError:
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the top of the worker: what the candidate raised is data
        send(protocol.ERROR, _explain(error))
    os._exit(1)


def _become_box(limits: bytes, fds: list[int], inherited: list[int]) -> NoReturn:
    os.setpgid(0, 0)
    privileges.die_with_parent()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A write beyond the limit of a file is an error like any other, not the end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    request_fd, result_fd, log_fd, status_fd = fds
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    for fd in {*inherited, log_fd, status_fd, null} - {0, 1, 2}:
        os.close(fd)
    memory, cpu, output, bits, cuda = LIMITS.unpack(limits)
    try:
        walls.raise_around(walls.unpack(bits), (memory, cpu, output), cuda=bool(cuda))
    except OSError:
        traceback.print_exc()
        os._exit(1)
    _write_all(result_fd, READY)
    _work(request_fd, result_fd)


def _tell(status_fd: int, message: dict[str, object]) -> None:
    try:
        os.write(status_fd, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        # The trusted side has already given this box up.
        return


def _reap(boxes: dict[int, int]) -> None:
    """Report every box that ended, after killing what it left behind in its group."""
    while boxes:
        done = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if done is None:
            return
        if done.si_pid in boxes:
            _kill_group(done.si_pid)
        pid, status, usage = os.wait4(done.si_pid, 0)
        status_fd = boxes.pop(pid, None)
        if status_fd is None:
            # An orphan of a box: it comes to process 1 of the view, which is this one.
            continue
        cpu = usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        _tell(status_fd, {"code": code, "cpu": cpu, "peak": usage.ru_maxrss * 1024})
        os.close(status_fd)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _fork_box(connection: socket.socket, boxes: dict[int, int], wake: list[int]) -> bool:
    limits, fds, _, _ = socket.recv_fds(connection, LIMITS.size, 4)
    if len(limits) < LIMITS.size:
        return False
    pid = os.fork()
    if pid == 0:
        _become_box(limits, fds, [connection.fileno(), *wake, *boxes.values()])
    # On both sides, so that the group exists whoever runs first.
    os.setpgid(pid, pid)
    for fd in fds[:3]:
        os.close(fd)
    boxes[pid] = fds[3]
    _introduce(connection, pid)
    return True


def _introduce(connection: socket.socket, pid: int) -> None:
    """Hand over the box: numbers of processes mean nothing outside the view, a handle does."""
    if sys.platform != "linux":
        connection.sendall(PID.pack(pid))
        return
    handle = os.pidfd_open(pid)
    try:
        socket.send_fds(connection, [PID.pack(pid)], [handle])
    finally:
        os.close(handle)


def nursery(connection: socket.socket) -> None:
    """Fork a box for each request on `connection` until the trusted side closes it."""
    wake = list(os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
    signal.set_wakeup_fd(wake[1], warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Ctrl-C goes to the whole terminal group; the trusted side decides when boxes end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    boxes: dict[int, int] = {}
    serving = True
    while serving:
        ready, _, _ = select.select([connection.fileno(), wake[0]], [], [])
        if wake[0] in ready:
            os.read(wake[0], 4096)
            _reap(boxes)
        if connection.fileno() in ready:
            serving = _fork_box(connection, boxes, wake)
    for pid in boxes:
        _kill_group(pid)


def main() -> None:
    """Warm up, then serve the socket whose descriptor is the only argument.

    The end of that socket ends the nursery. A death signal would not do: it comes when the thread
    ends that started this process, not only when the whole process does.
    """
    connection = socket.socket(fileno=int(sys.argv[1]))
    # Torch imports it where it is installed, and it looks for a folder to write to: there is none.
    sys.modules["dill"] = None  # type: ignore[assignment]
    from move37.evaluation.inside import warm

    warm.warm_up()
    # What is here now is shared with every box and never collected.
    gc.freeze()
    nursery(connection)
    # Taking torch down in order would keep whoever waits.
    os._exit(0)


if __name__ == "__main__":
    main()
