"""What `import fla` and `import transformers` mean in an adapted file: modules made in memory.

They reach the file through its own `__import__`, so the interpreter's table of modules stays as it
is, and a machine that has the real packages uses them as before.
"""

from __future__ import annotations

import builtins
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from torch import nn

from move37.arch_templates.adapter import modules, ragged
from move37.arch_templates.adapter.cache import Cache
from move37.arch_templates.adapter.kernels import kernel

PACKAGES = ("fla", "transformers")
OPS = "fla.ops"


class StandIn(types.ModuleType):
    """A module of a package that is not there: some names, and a plain word on all others."""

    def __init__(self, path: str, served: Mapping[str, Any]) -> None:
        super().__init__(path)
        # There may be modules below every one.
        self.__path__ = []
        vars(self).update(served)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module holds
        """Look for a module below this one, or for an op; else say what there is."""
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self.__name__}.{name}"
        if _leads_on(path):
            return stand_in(path)
        found = kernel(name) if self.__name__.startswith(OPS) else None
        if found is None:
            names = ", ".join(sorted(n for n in vars(self) if not n.startswith("_")))
            raise ImportError(f"{path} is not served here; {names or 'the ops of move37'} are")
        return found


_MODULES = {
    name: value
    for name, value in vars(modules).items()
    if isinstance(value, type) and issubclass(value, nn.Module)
}
_CONVOLUTION = {**_MODULES, "causal_conv1d": modules.causal_conv1d}
_ACTIVATIONS = {**modules.ACTIVATIONS, "ACT2FN": modules.ACTIVATIONS}
_RAGGED = (
    ragged.get_layer_cache,
    ragged.get_unpad_data,
    ragged.index_first_axis,
    ragged.index_put_first_axis,
    ragged.pad_input,
    ragged.repad_hidden_states,
    ragged.unpad_hidden_states,
    ragged.update_layer_cache,
)
SERVED: Mapping[str, Mapping[str, Any]] = {
    "fla.layers.utils": {function.__name__: function for function in _RAGGED},
    "fla.models.utils": {"Cache": Cache},
    "fla.modules": _MODULES,
    "fla.modules.activations": _ACTIVATIONS,
    "fla.modules.conv": _CONVOLUTION,
    "fla.modules.conv.causal_conv1d": _CONVOLUTION,
    "fla.modules.convolution": _CONVOLUTION,
    "fla.modules.fused_norm_gate": _MODULES,
    "fla.modules.l2norm": {
        "L2Norm": modules.L2Norm,
        "l2norm": modules.l2norm,
        "l2_norm": modules.l2norm,
    },
    "fla.modules.layernorm": _MODULES,
    OPS: {},
    "transformers.activations": _ACTIVATIONS,
    "transformers.cache_utils": {"Cache": Cache},
    "transformers.processing_utils": {"Unpack": typing.Unpack},
}


def _leads_on(path: str) -> bool:
    return any(f"{known}.".startswith(f"{path}.") for known in SERVED)


@cache
def stand_in(path: str) -> StandIn:
    """Return the module of a dotted path; any below fla.ops, whose files vary, has all kernels.

    Raises:
        ModuleNotFoundError: there is none.
    """
    if not _leads_on(path) and not path.startswith(f"{OPS}."):
        raise ModuleNotFoundError(f"{path} is not served here; {', '.join(SERVED)} are", name=path)
    module = StandIn(path, SERVED.get(path, {}))
    above, _, last = path.rpartition(".")
    if above:
        vars(stand_in(above))[last] = module
    return module


def imported(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> types.ModuleType:
    """Import a module as `__import__` does, those of fla and transformers from memory."""
    if level or name.split(".")[0] not in PACKAGES:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = stand_in(name)
    return module if fromlist else stand_in(name.split(".")[0])


def builtins_of_a_file() -> dict[str, Any]:
    """Return the builtins of an adapted file: those of Python, with our way to import."""
    return {**vars(builtins), "__import__": imported}
