"""Tools that train the candidate for a moment and show what went wrong."""

from __future__ import annotations

from langchain_core.tools import BaseTool, ToolException, tool

from move37.records import Failed, Measured
from move37.tools.code import take_code
from move37.tools.fencing import fence
from move37.tools.showing import show_curve, show_failed, show_losses, show_size
from move37.tools.workbench import Workbench


def show_rehearsal(measured: Measured) -> str:
    """Return the figures of a short run, and say that they are not a result."""
    parts = ["TRAINED: a short run, not comparable with a full one.", show_losses(measured)]
    parts += [show_curve(measured.curve), show_size(measured.size)]
    return "\n".join(part for part in parts if part)


def training_tools(bench: Workbench, last: Failed | None = None) -> list[BaseTool]:
    """Return the training tools; `last` is the failure that read_log shows before a new one."""
    failures = [last] if last is not None else []

    @tool(response_format="content_and_artifact")
    def try_training() -> tuple[str, dict[str, object]]:
        """Check the candidate's file and train it for a few real steps."""
        result = bench.rehearse(take_code(bench.path))
        if isinstance(result, Failed):
            failures.append(result)
            return show_failed(result), {"passed": False, "reason": result.reason}
        return show_rehearsal(result), {"passed": True, "reason": ""}

    @tool
    def read_log() -> str:
        """Return the log of the last failure: of try_training, or of the evaluation before."""
        if not failures:
            raise ToolException("nothing has failed yet, so there is no log")
        failed = failures[-1]
        return f"Failure at stage {failed.stage}.\n{fence(failed.log or failed.reason, 'log')}"

    return [try_training, read_log]
