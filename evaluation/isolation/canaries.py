"""Canaries: before the first candidate the judge attacks its own box and sees what holds.

`Traps` are laid by the trusted side: a file with a secret, listening sockets, its own process.
`attack` runs inside a box and tries a dozen ways out; each answers whether it got anything. The
answers can be believed, because no candidate has been in that box.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from move37.records import Value

SECRET = "move37-canary"
LARGE_BYTES = 64 << 30
TRIAL_SECONDS = 1.0
LARGE_OUTPUT = 2 << 20
MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0


class Traps(Value):
    """What the attacks aim at: a file, two addresses, the judge's process, all of the judge's."""

    file: str
    port: int
    abstract: str
    pid: int


@contextmanager
def traps() -> Iterator[Traps]:
    """Lay the traps for as long as the context lasts."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket() as listener,
        socket.socket(socket.AF_UNIX) as named,
    ):
        file = Path(folder) / "secret"
        file.write_text(SECRET)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        name = f"move37-{os.getpid()}-{Path(folder).name}"
        named.bind(f"\0{name}")
        named.listen()
        port: int = listener.getsockname()[1]
        yield Traps(file=str(file), port=port, abstract=name, pid=os.getpid())


def attack(traps: Traps) -> dict[str, str]:
    """Try every way out of this process; return those that worked, with what was got."""
    got = {}
    for name, attempt in ATTACKS.items():
        try:
            if found := attempt(traps):
                got[name] = found
        except (OSError, ValueError, MemoryError, RuntimeError):
            # Denied, which is the point.
            continue
    return got


def _reads_a_file(traps: Traps) -> str:
    return Path(traps.file).read_text()


def _sees_a_file(traps: Traps) -> str:
    return f"{Path(traps.file).stat().st_size} bytes"


def _reads_the_library(_: Traps) -> str:
    return Path(os.__file__).read_text()[:40]


def _writes_a_file(traps: Traps) -> str:
    for folder in (Path(traps.file).parent, Path.cwd(), Path("/dev/shm"), Path("/tmp")):
        path = folder / "canary"
        try:
            path.write_text(SECRET)
        except OSError:
            continue
        path.unlink()
        return str(folder)
    return ""


def _reads_the_judge(traps: Traps) -> str:
    return f"{len(Path(f'/proc/{traps.pid}/environ').read_bytes())} bytes of its environment"


def _lists_processes(_: Traps) -> str:
    return ", ".join(p.name for p in Path("/proc").iterdir() if p.name.isdigit())


def _signals_the_judge(traps: Traps) -> str:
    os.kill(traps.pid, 0)
    return f"process {traps.pid}"


def _connects_by_tcp(traps: Traps) -> str:
    with socket.create_connection(("127.0.0.1", traps.port), timeout=TRIAL_SECONDS):
        return f"port {traps.port}"


def _connects_by_abstract_name(traps: Traps) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{traps.abstract}")
        return traps.abstract


def _sends_a_datagram(traps: Traps) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        return f"{client.sendto(b'x', ('127.0.0.1', traps.port))} byte"


def _starts_a_process(_: Traps) -> str:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return f"process {child}"


def _starts_a_thread(_: Traps) -> str:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return "a thread"


def _takes_memory(_: Traps) -> str:
    # Not reserved, or the system might refuse it for its own reasons.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    with mmap.mmap(-1, LARGE_BYTES, flags=flags):
        return f"{LARGE_BYTES >> 30} GiB"


def _makes_a_memory_file(_: Traps) -> str:
    os.close(os.memfd_create("canary"))
    return "a file in memory"


def _opens_many_files(_: Traps) -> str:
    taken: list[int] = []
    try:
        while len(taken) < 1000:
            taken.append(os.dup(0))
    finally:
        for fd in taken:
            os.close(fd)
    return f"{len(taken)} descriptors"


def _writes_much(_: Traps) -> str:
    left = LARGE_OUTPUT
    while left > 0:
        left -= os.write(1, bytes(min(left, 1 << 16)))
    return f"{LARGE_OUTPUT >> 20} MiB of output"


def _keeps_a_right(_: Traps) -> str:
    held = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    ctypes.CDLL(None).capget(ctypes.byref(header), ctypes.byref(held))
    return f"{held[0]:#x}" if held[0] or held[3] else ""


def _burns_without_end(_: Traps) -> str:
    soft, _hard = resource.getrlimit(resource.RLIMIT_CPU)
    return "no limit of CPU time" if soft == resource.RLIM_INFINITY else ""


def _finds_a_secret(_: Traps) -> str:
    words = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    return ", ".join(name for name in os.environ if any(word in name for word in words))


ATTACKS: dict[str, Callable[[Traps], str]] = {
    "reads a file": _reads_a_file,
    "sees a file": _sees_a_file,
    "reads the standard library": _reads_the_library,
    "writes a file": _writes_a_file,
    "reads the judge's environment": _reads_the_judge,
    "lists processes": _lists_processes,
    "signals the judge": _signals_the_judge,
    "connects by TCP": _connects_by_tcp,
    "connects to an abstract socket": _connects_by_abstract_name,
    "sends a datagram": _sends_a_datagram,
    "starts a process": _starts_a_process,
    "starts a thread": _starts_a_thread,
    "takes 64 GiB of memory": _takes_memory,
    "makes a file in memory": _makes_a_memory_file,
    "opens 1,000 files": _opens_many_files,
    "writes 2 MiB of output": _writes_much,
    "keeps a right of root": _keeps_a_right,
    "burns CPU without end": _burns_without_end,
    "finds a secret in its environment": _finds_a_secret,
}
