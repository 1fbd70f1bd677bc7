"""What this machine has and lacks for Move37, one finding a line; torch is not imported."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import psutil

from move37.evaluation.isolation import landlock, view, walls
from move37.evaluation.isolation.canaries import ATTACKS
from move37.evaluation.isolation.nursery import BoxFailure, NurseryLost, clean_environment
from move37.evaluation.isolation.obtain import Mode, choose, open_nursery
from move37.evaluation.machine import GIB, gpus, usable_cores, usable_memory
from move37.records import UserError, Value, Weather
from move37.settings import EXTERNAL, OFFLINE, ROLES, Settings

OLDEST_PYTHON = (3, 11)
LEAST_MEMORY = 2 * GIB
LEAST_DISK = 1 * GIB
LAPTOP_CORES = 2
SYSTEM_SETTINGS = Path("/proc/sys")
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
# What each version of Landlock added to files, of what is used here: landlock(7).
LANDLOCK_TCP, LANDLOCK_SCOPES = 4, 6
# Setting of the kernel, the value that forbids user namespaces, and what to do about it.
NAMESPACE_SETTINGS = (
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor forbids it user namespaces (as Ubuntu 24.04 does): give bwrap the profile that "
        "docs/isolation.md shows",
    ),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
)
MODES = {
    "strict": "strict: nothing runs unless every wall stands and the attack got nothing",
    "auto": "auto: what this machine has is used, what is missing is said",
    "off": "off: candidates run WITHOUT isolation, only for code that you trust",
}
ON_AGAIN = "set MOVE37_ISOLATION=auto, or strict"


class Finding(Value):
    """One line of the doctor; `advice` says what to do when it is not `ok`."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that a campaign needs; nothing is changed and no secret is shown."""
    checks: tuple[Callable[[], Finding], ...] = (
        python_version,
        lambda: cores(settings),
        memory,
        lambda: disk(settings),
        torch_installed,
        gpu,
        bubblewrap,
        landlock_version,
        seccomp_filter,
        lambda: attack(settings),
        lambda: isolation(settings),
        lambda: embedding(settings),
        lambda: papers(settings),
        lambda: database(settings),
        *(lambda role=role: model(role, settings) for role in ROLES),
        tier,
    )
    return [check() for check in checks]


# --- the machine -------------------------------------------------------------------------------


def python_version() -> Finding:
    """Compare the interpreter with the oldest that is supported."""
    ok = sys.version_info >= OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding(name="python", ok=ok, detail=detail, advice=f"install Python {wanted} or newer")


def cores(settings: Settings) -> Finding:
    """Say how many experiments may train side by side."""
    usable = usable_cores()
    side_by_side = settings.slots or max(1, int(usable))
    detail = f"{usable:g} usable, {side_by_side} boxes side by side (one thread each)"
    advice = "experiments will run one after the other"
    return Finding(name="cores", ok=usable >= LAPTOP_CORES, detail=detail, advice=advice)


def memory() -> Finding:
    """Compare the memory with what two experiments need."""
    total, free = usable_memory(), int(psutil.virtual_memory().available)
    detail = f"{total / GIB:.1f} GiB, {min(total, free) / GIB:.1f} GiB free"
    advice = f"free {LEAST_MEMORY / GIB:.0f} GiB, or set MOVE37_SLOTS=1"
    return Finding(name="memory", ok=min(total, free) >= LEAST_MEMORY, detail=detail, advice=advice)


def disk(settings: Settings) -> Finding:
    """Say how much space the folder of the runs has, and whether it may be written."""
    home = settings.home.expanduser().resolve()
    there = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    writable = there.is_dir() and os.access(there, os.W_OK)
    detail = f"{free / GIB:.1f} GiB free at {home}{'' if writable else ', which cannot be written'}"
    advice = "free some space, or set MOVE37_HOME to another folder"
    return Finding(name="disk", ok=writable and free >= LEAST_DISK, detail=detail, advice=advice)


def torch_installed() -> Finding:
    """Say which torch is installed, without importing it."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        advice = "pip install -c constraints.txt -e ."
        return Finding(name="torch", ok=False, detail="not installed", advice=advice)
    return Finding(name="torch", ok=True, detail=version)


def gpu() -> Finding:
    """Name the GPUs that the driver's own tool lists."""
    advice = "not needed: the tiers smoke and laptop run on the CPU"
    try:
        found = gpus()
    except UserError as error:
        return Finding(name="gpu", ok=False, detail=str(error), advice=advice)
    names = "; ".join(f"{card.name}, {card.memory / GIB:.0f} GiB" for card in found)
    return Finding(name="gpu", ok=bool(found), detail=names or "none found", advice=advice)


# --- the walls around a candidate ---------------------------------------------------------------


def bubblewrap() -> Finding:
    """Try whether a box can get mounts, processes and a network of its own."""
    found = shutil.which("bwrap")
    why = view.missing(clean_environment(os.environ))
    if found and Path(found).stat().st_mode & stat.S_ISUID:
        detail = f"{found} is set-user-id, which makes it a way to become root"
        return Finding(name="bubblewrap", ok=False, detail=detail, advice=f"chmod u-s {found}")
    if not why:
        detail = f"{found}: own mounts, processes, network"
        return Finding(name="bubblewrap", ok=True, detail=detail)
    return Finding(name="bubblewrap", ok=False, detail=why, advice=_bubblewrap_advice(found))


def _bubblewrap_advice(found: str | None) -> str:
    if sys.platform != "linux":
        return "use Linux or WSL for candidates that you do not trust"
    if found is None:
        return "apt install bubblewrap on Debian or Ubuntu, dnf install bubblewrap on Fedora"
    for name, forbidden, advice in NAMESPACE_SETTINGS:
        file = SYSTEM_SETTINGS / name
        if file.is_file() and file.read_text().strip() == forbidden:
            return advice
    if any(mark.exists() for mark in CONTAINER_MARKS):
        return "let this container make user namespaces: docs/isolation.md has the flags"
    return "user namespaces seem to be forbidden here: see docs/isolation.md"


def landlock_version() -> Finding:
    """Say which version of Landlock the kernel has, and what that one can forbid."""
    version = landlock.version()
    if version == 0:
        advice = "Linux 5.13 or newer, with landlock in the boot parameter lsm="
        detail = walls.missing(clean_environment(os.environ))["landlock"]
        return Finding(name="landlock", ok=False, detail=detail, advice=advice)
    kept = ["files"]
    kept += ["TCP"] if version >= LANDLOCK_TCP else []
    kept += ["abstract sockets", "signals"] if version >= LANDLOCK_SCOPES else []
    detail = f"version {version}: forbids {', '.join(kept)}"
    return Finding(name="landlock", ok=True, detail=detail)


def seccomp_filter() -> Finding:
    """Say whether the kernel takes a filter of system calls for this processor."""
    absent = walls.missing(clean_environment(os.environ)).get("seccomp")
    detail = absent or "no new process, thread, program, socket or signal"
    advice = "Linux on x86-64 or AArch64 with CONFIG_SECCOMP_FILTER; without it nothing runs"
    return Finding(name="seccomp", ok=absent is None, detail=detail, advice=advice)


def attack(settings: Settings) -> Finding:
    """Start a box and attack it from inside, as every run does before its first candidate."""
    # Strict would refuse to start, and then nobody would see what gets through.
    mode: Mode = "off" if settings.isolation == "off" else "auto"
    try:
        with open_nursery(mode) as (_, found):
            through = found.open
    except (UserError, BoxFailure, NurseryLost, RuntimeError) as error:
        advice = "mend what stands above"
        return Finding(name="attack", ok=False, detail=f"not tried: {_line(error)}", advice=advice)
    if not through:
        detail = f"{len(ATTACKS)} ways out of a box tried, none worked"
        return Finding(name="attack", ok=True, detail=detail)
    detail = f"{len(through)} of {len(ATTACKS)} ways out worked: a candidate {', '.join(through)}"
    advice = ON_AGAIN if mode == "off" else "raise the walls that are missing above"
    return Finding(name="attack", ok=False, detail=detail, advice=advice)


def isolation(settings: Settings) -> Finding:
    """Name the tier that results, and say what the chosen mode does with it."""
    meaning = f"MOVE37_ISOLATION={MODES[settings.isolation]}"
    try:
        raised, missing = choose(settings.isolation, os.environ)
    except UserError as error:
        return Finding(name="isolation", ok=False, detail=meaning, advice=_line(error))
    detail = f"{walls.tier_name(raised)}; {meaning}"
    advice = f"missing: {', '.join(missing)}; docs/isolation.md says what each one stops"
    advice = ON_AGAIN if settings.isolation == "off" else advice
    return Finding(name="isolation", ok=not missing, detail=detail, advice=advice)


# --- what is installed and configured ----------------------------------------------------------


def embedding(settings: Settings) -> Finding:
    """Embed one word with the model that is set."""
    from move37.agents.models.choosing import embedder

    advice = "install the package again: pip install --force-reinstall wordllama"
    try:
        model = embedder(settings)
        width = model.embed(["probe"]).shape[1]
    except UserError as error:
        return Finding(name="embedding", ok=False, detail=_line(error), advice="see .env.example")
    except (ImportError, OSError, ValueError) as error:
        return Finding(name="embedding", ok=False, detail=_line(error), advice=advice)
    return Finding(name="embedding", ok=True, detail=f"{model.name}, {width} dimensions")


def papers(settings: Settings) -> Finding:
    """Count the papers and lessons of the cognition base, those of the user among them."""
    from move37.graph.lab import own_papers
    from move37.memory.library import PAPERS, load_library

    try:
        library = load_library(PAPERS, own_papers(settings))
    except UserError as error:
        return Finding(name="cognition", ok=False, detail=_line(error), advice="mend that file")
    lessons = sum(len(paper.cognitions()) for paper in library)
    detail = f"{len(library)} papers, {lessons} lessons"
    return Finding(name="cognition", ok=bool(library), detail=detail, advice="reinstall Move37")


def database(settings: Settings) -> Finding:
    """Open the experiment store; a file that does not exist yet is not made."""
    from move37.graph.lab import database_url
    from move37.memory.store import Store

    url = database_url(settings)
    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not file.exists():
        return Finding(name="database", ok=True, detail=f"{file} will be made by the first run")
    try:
        with Store(url) as store:
            count = len(store.campaigns())
    except UserError as error:
        advice = "mend it, or set MOVE37_DATABASE_URL"
        return Finding(name="database", ok=False, detail=_line(error), advice=advice)
    return Finding(name="database", ok=True, detail=f"opens, {count} campaigns")


def model(role: str, settings: Settings) -> Finding:
    """Build the chat model of a role; nothing is sent, so a wrong key is not noticed."""
    from move37.agents.models.choosing import chat_model

    name = settings.model_of(role)
    if name == EXTERNAL and role == "researcher":
        return Finding(name=role, ok=True, detail="external: designs come through move37 mcp")
    try:
        chat_model(role, settings)
    except UserError as error:
        advice = f"or use the built-in model: MOVE37_MODEL={OFFLINE}"
        return Finding(name=role, ok=False, detail=_line(error), advice=advice)
    key = "" if name == OFFLINE else ", configured (its key was not tried)"
    return Finding(name=role, ok=True, detail=f"{name}{key}")


def greetings(settings: Settings) -> list[Finding]:
    """Make one small call to the model of every role; it costs a few hundred tokens each."""
    return [greeting(role, settings) for role in ROLES]


def greeting(role: str, settings: Settings) -> Finding:
    """Say whether the model of a role answers, calls tools and keeps to a schema."""
    from move37.agents.models.choosing import Means, chat_model
    from move37.agents.models.greeting import greet
    from move37.agents.models.wire import Patience, Wired

    name, line = f"{role} call", settings.model_of(role)
    if line in (OFFLINE, EXTERNAL):
        return Finding(name=name, ok=True, detail=f"{line}: nothing to call")
    try:
        model = chat_model(role, settings, Means(patience=Patience(attempts=1)))
        assert isinstance(model, Wired)
        told = greet(role, model)
    except (UserError, Weather) as error:
        advice = "check MOVE37_MODEL, MOVE37_API_KEY and MOVE37_BASE_URL"
        return Finding(name=name, ok=False, detail=_line(error), advice=advice)
    detail = (
        f"{told.model} answered in {told.seconds:.1f} s ({told.tokens} tokens), "
        f"spoken to by {told.way}"
    )
    if told.valid:
        return Finding(name=name, ok=True, detail=f"{detail}: tools and structured answers work")
    missing = "an answer that breaks the schema" if told.called else f"no call: {told.said!r}"
    advice = f"try MOVE37_{role.upper()}_PROTOCOL=schema or text, or a stronger model"
    return Finding(name=name, ok=False, detail=f"{detail}: {missing}", advice=advice)


def tier() -> Finding:
    """Name the largest tier that fits cores and memory."""
    enough = usable_memory() >= LEAST_MEMORY
    if enough and usable_cores() >= LAPTOP_CORES:
        return Finding(name="tier", ok=True, detail="laptop fits (move37 run)")
    if enough:
        return Finding(name="tier", ok=True, detail="laptop fits, at half the speed of two cores")
    advice = "run with --tier smoke, which only tries the program out"
    return Finding(name="tier", ok=False, detail="smoke", advice=advice)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
