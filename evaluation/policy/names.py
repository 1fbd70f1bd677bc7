"""The names that the static policy knows: what a token mixer may use, and what to use instead.

Tables only. A path is dotted from the name of an imported package: `torch.nn.functional.pad`.
"""

from __future__ import annotations

import builtins
import sys


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMPORTS = ("torch", "einops", "math", "typing", "__future__", "move37.arch_templates.ops")
# What published layers import besides: the first two are stand-ins, made in memory.
ADAPTED_IMPORTS = (*IMPORTS, "fla", "transformers", "functools", "warnings")

# Modules by their paths: only their members are values, never they themselves.
MODULES = _words(
    """
    torch torch.nn torch.nn.functional torch.nn.init torch.nn.utils torch.nn.modules
    torch.nn.parameter torch.nn.utils.parametrizations torch.nn.utils.parametrize torch.fft
    torch.linalg torch.special torch.func torch.amp torch.autograd torch.autograd.function
    torch.utils torch.utils.checkpoint torch.signal einops einops.layers einops.layers.torch math
    typing move37 move37.arch_templates move37.arch_templates.ops functools warnings fla
    transformers
    """
)

_FILES = "a mixer reads and writes no file; keep what it learns in nn.Parameter"
_COMPILE = "the evaluator decides what is compiled; write plain operations"
_PROCESS = "a mixer is one computation in one process"
_GLOBAL = "settings of the process belong to the evaluator; pass dtype and device to the call"
_DEVICE = "take device and dtype from the input, as in torch.zeros(n, device=x.device)"
_RANDOM = "the evaluator seeds; for noise of your own use torch.Generator().manual_seed(n)"
_MEMORY = "use view, unfold, narrow or indexing, which stay inside the tensor"
_MODE = "compute the same in every mode; for dropout read self.training"
_GRADIENT = "the evaluator trains; for a rule that learns inside forward write its update out"
_DISPATCH = "use ordinary functions of torch on ordinary tensors"

# Path to what to do instead; a path stands for everything below it too.
REFUSED = {
    path: advice
    for advice, paths in (
        (_FILES, "load save serialization storage hub package from_file utils.data"),
        (_COMPILE, "compile compiler jit export fx onnx utils.cpp_extension ops classes library"),
        (_PROCESS, "multiprocessing distributed futures nn.parallel nn.DataParallel"),
        (_GLOBAL, "backends use_deterministic_algorithms profiler monitor testing version"),
        (_DEVICE, "cuda mps xpu mtia cpu accelerator"),
        (_RANDOM, "manual_seed seed initial_seed random get_rng_state default_generator"),
        (_MEMORY, "as_strided from_numpy frombuffer from_dlpack to_dlpack utils.dlpack Storage"),
        (_MEMORY, "UntypedStorage TypedStorage asarray"),
        (_MODE, "is_inference_mode_enabled is_inference enable_grad"),
        (_MODE, "is_autocast_enabled inference_mode"),
        (_GRADIENT, "optim autograd.grad autograd.backward autograd.graph autograd.functional"),
        (_GRADIENT, "autograd.Variable autograd.profiler autograd.set_grad_enabled"),
        (_DISPATCH, "overrides autograd.set_detect_anomaly utils.hooks utils.weak"),
    )
    for path in (f"torch.{name}" for name in paths.split())
}
GLOBAL_SETTING = _GLOBAL

# Below these a path is refused unless it is named: they hold doors to the whole interpreter.
NARROW = {
    "torch.utils": frozenset({"checkpoint"}),
    "torch.autograd": frozenset({"Function", "function"}),
    "functools": frozenset({"cache", "lru_cache", "partial", "reduce", "wraps"}),
    "warnings": frozenset({"warn"}),
    "move37": frozenset({"arch_templates"}),
    "move37.arch_templates": frozenset({"ops"}),
}

# A package's own imports: `torch.os` is the os module. Some names mean something of torch's own.
INNER_MODULES = (sys.stdlib_module_names | {"numpy", "np", "sys", "einops", "onnx"}) - {
    "math",
    "select",
    "signal",
    "types",
    "typing",
}

BUILTINS = _words(
    """
    abs all any bool callable classmethod complex dict divmod enumerate filter float frozenset
    getattr hasattr int isinstance issubclass iter len list map max min next object pow property
    range repr reversed round set setattr slice sorted staticmethod str sum super tuple type zip
    bytes bin hex ord chr format hash NotImplemented Ellipsis
    Exception ArithmeticError AssertionError AttributeError IndexError KeyError LookupError
    NotImplementedError OverflowError RuntimeError StopIteration TypeError ValueError
    ZeroDivisionError FloatingPointError Warning UserWarning DeprecationWarning
    """
)
KNOWN_BUILTINS = frozenset(dir(builtins)) | {"exit", "quit", "copyright", "credits", "license"}
BUILTIN_ADVICE = {
    "print": "what is printed is not read; return it or drop it",
    "open": _FILES,
    "input": "nobody answers",
    "delattr": "write the name out",
    "vars": "write the names out",
    "id": "nothing may be remembered by identity; keep it in the state that you return",
    "BaseException": "catch the error that you expect, by its name",
    "SystemExit": "raise ValueError with a sentence that says what is wrong",
    "__name__": "a file that is imported needs no main part; the evaluator runs its own tests",
}
BUILTIN_DEFAULT = "a token mixer needs no more than torch, einops and math"

# Dunder names that may be read; those that may be defined.
DUNDER_READ = frozenset(
    {"__init__", "__class__", "__name__", "__len__", "__getitem__", "__setitem__"}
)
DUNDER_DEFINED = frozenset(
    {"__init__", "__repr__", "__len__", "__iter__", "__getitem__", "__contains__", "__post_init__"}
)
DUNDER_NAMES = frozenset({"__all__", "__class__"})

_FRAMES = "a mixer sees its arguments and nothing of who called it"
_HOOKS = "hooks run outside forward; compute it in forward"
_INSIDE = "use the public methods of nn.Module"
ATTRIBUTES = {
    name: advice
    for advice, names in (
        (_FRAMES, "f_back f_globals f_locals f_builtins f_code f_trace gi_frame gi_code cr_frame"),
        (_FRAMES, "ag_frame tb_frame tb_next co_consts co_code _getframe settrace setprofile"),
        (_FRAMES, "get_objects get_referrers get_referents"),
        (_MEMORY, "untyped_storage storage _typed_storage data_ptr as_strided as_strided_ _base"),
        (_MEMORY, "set_ resize_ share_memory_ share_memory _cdata numpy as_strided_scatter"),
        (_HOOKS, "register_hook register_forward_hook register_forward_pre_hook retain_grad"),
        (_HOOKS, "register_full_backward_hook register_full_backward_pre_hook register_prehook"),
        (
            _HOOKS,
            "register_backward_hook register_post_accumulate_grad_hook register_multi_grad_hook",
        ),
        (_HOOKS, "register_state_dict_pre_hook register_load_state_dict_post_hook"),
        (
            _INSIDE,
            "_parameters _buffers _modules _forward_hooks _backward_hooks _forward_pre_hooks",
        ),
        (_INSIDE, "_backward_pre_hooks _non_persistent_buffers_set _is_full_backward_hook"),
        (_GRADIENT, "backward grad_fn next_functions zero_grad"),
        (_MODE, "inference_mode"),
    )
    for name in names.split()
}

# Methods through which the evaluator measures and stores a mixer.
METHODS = _words(
    """
    state_dict load_state_dict _load_from_state_dict _save_to_state_dict get_extra_state
    set_extra_state train eval parameters named_parameters buffers named_buffers children
    named_children modules named_modules register_buffer register_parameter register_module
    add_module get_parameter get_buffer get_submodule apply _apply to float double
    requires_grad_ zero_grad share_memory _call_impl _named_members _replicate
    """
)
METHOD_ADVICE = "the evaluator reads, stores and moves a mixer through it; write forward only"
WRITTEN = {
    "training": "the evaluator switches modes; use nn.Dropout or read self.training",
    "grad": _GRADIENT,
    "forward": "define forward as a method",
}
BASES = {
    "torch.Tensor": "return ordinary tensors",
    "torch.nn.Parameter": "make parameters with nn.Parameter(tensor)",
    "torch.nn.parameter.Parameter": "make parameters with nn.Parameter(tensor)",
}
