"""Tools that read and write the candidate's code and run its gates."""

from __future__ import annotations

from pathlib import Path

from langchain_core.tools import BaseTool, ToolException, tool

from move37.files import write_atomically
from move37.records import Failed, GateReport
from move37.tools.fencing import one_line
from move37.tools.showing import show_failed, show_gates
from move37.tools.workbench import Workbench

CODE_LIMIT = 65536


def put_code(path: Path, code: str) -> None:
    """Replace the file as a whole: a reader sees the old code or the new, never a half.

    Raises:
        ToolException: the code is empty, too long, or not text.
    """
    if not code.strip():
        raise ToolException("the code is empty; nothing was written")
    if len(code) > CODE_LIMIT:
        raise ToolException(f"{len(code)} characters; the limit is {CODE_LIMIT}; nothing written")
    try:
        code.encode()
    except UnicodeEncodeError as error:
        raise ToolException(f"the code is not valid text at character {error.start}") from None
    write_atomically(path, code)


def take_code(path: Path) -> str:
    """Return the candidate's code.

    Raises:
        ToolException: nothing was written yet.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise ToolException("there is no code yet; use write_code first") from None


def replace_once(code: str, old: str, new: str) -> str:
    """Return the code with its one occurrence of `old` replaced.

    Raises:
        ToolException: `old` is empty, absent, found more than once, or equal to `new`.
    """
    if not old:
        raise ToolException("`old` is empty; quote the lines to replace, or use write_code")
    if old == new:
        raise ToolException("`old` and `new` are equal; nothing would change")
    found = code.count(old)
    if found == 0:
        raise ToolException(f"`old` was not found: {_near(code, old)}; nothing was changed")
    if found > 1:
        lines = [str(code.count("\n", 0, at) + 1) for at in _places(code, old)[:5]]
        raise ToolException(
            f"`old` stands {found} times (lines {', '.join(lines)}); quote more lines around it"
        )
    return code.replace(old, new)


def _places(code: str, old: str) -> list[int]:
    """Return the offsets at which `old` begins."""
    places, at = [], code.find(old)
    while at >= 0:
        places.append(at)
        at = code.find(old, at + len(old))
    return places


def _near(code: str, old: str) -> str:
    """Say how the first line of a missing quotation differs from the code, if it does."""
    first = next((line for line in old.splitlines() if line.strip()), "")
    for number, line in enumerate(code.splitlines(), start=1):
        if first.strip() and line.strip() == first.strip():
            return f"its first line is line {number}, but indentation or the lines after differ"
    return f"no line reads {one_line(first, 80)!r}; read_code shows what the file holds"


def show_check(result: GateReport | Failed) -> tuple[str, dict[str, object]]:
    """Return the text for a model, and beside it whether the check passed and why not."""
    if isinstance(result, Failed):
        return show_failed(result), {"passed": False, "reason": result.reason}
    failing = [f"{gate.id} {gate.name}: {gate.detail}" for gate in result.gates if not gate.passed]
    word = "PASSED" if result.passed else "FAILED"
    text = f"{word}: {len(result.gates)} gates in {result.seconds:.1f} s\n{show_gates(result)}"
    return text, {"passed": result.passed, "reason": "; ".join(failing)}


def code_tools(bench: Workbench) -> list[BaseTool]:
    """Return the tools that act on the candidate's file."""

    @tool
    def read_code() -> str:
        """Return the candidate's code as it stands."""
        return take_code(bench.path)

    @tool
    def write_code(code: str) -> str:
        """Replace the candidate's whole file by this Python code (one class, TokenMixer)."""
        put_code(bench.path, code)
        return f"written: {len(code.splitlines())} lines"

    @tool
    def edit_code(old: str, new: str) -> str:
        """Replace `old` by `new`; `old` must stand in the file exactly once, spaces included."""
        put_code(bench.path, replace_once(take_code(bench.path), old, new))
        return "edited"

    @tool(response_format="content_and_artifact")
    def check_code() -> tuple[str, dict[str, object]]:
        """Run the validity gates on the candidate's file; takes some seconds."""
        return show_check(bench.check(take_code(bench.path)))

    return [read_code, write_code, edit_code, check_code]
