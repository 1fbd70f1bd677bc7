"""Tools that read and write the candidate's code and run its gates."""

from __future__ import annotations

from pathlib import Path

from langchain_core.tools import BaseTool, ToolException, tool

from move37.files import write_atomically
from move37.records import Failed, GateReport
from move37.tools.editing import apply_edit, take_file
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


def _bounded(text: str) -> str:
    """Return what a model sent, code with prose or escapes around it.

    Raises:
        ToolException: it is so long that no file of the size that is allowed can be meant.
    """
    if len(text) > 4 * CODE_LIMIT:
        raise ToolException(f"{len(text)} characters; the limit is {CODE_LIMIT}; nothing written")
    return text


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
        file = take_file(_bounded(code))
        put_code(bench.path, file.code)
        return f"written: {file.note}"

    @tool
    def edit_code(old: str, new: str) -> str:
        """Replace `old` by `new`; quote in `old` whole lines that stand in the file once.

        With an empty `old` a whole file as `new` replaces the file.
        """
        edited = apply_edit(take_code(bench.path), _bounded(old), _bounded(new))
        put_code(bench.path, edited.code)
        return f"edited: {edited.note}"

    @tool(response_format="content_and_artifact")
    def check_code() -> tuple[str, dict[str, object]]:
        """Run the validity gates on the candidate's file; takes some seconds."""
        return show_check(bench.check(take_code(bench.path)))

    return [read_code, write_code, edit_code, check_code]
