"""The static policy: what it refuses, with which words, and what it must not touch."""

from __future__ import annotations

import random
import time

import pytest

from move37.agents.offline.grammar import render, sample
from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.evaluation.policy import TOLD, inspect

HEAD = """import math
import torch
from torch import Tensor, nn
from torch.nn import functional as F

"""
CLASS = "class TokenMixer(nn.Module):\n    pass\n"
BEFORE = HEAD + CLASS


def reason(source: str) -> str:
    """Return why a source is refused; fails when it is not."""
    failed = inspect(source)
    assert failed is not None, source
    assert failed.stage == "policy"
    return failed.reason


def in_forward(*lines: str) -> str:
    """Return a mixer whose forward holds these lines."""
    body = "".join(f"        {line}\n" for line in lines)
    return f"{HEAD}class TokenMixer(nn.Module):\n    def forward(self, x, state=None):\n{body}"


# --- what passes --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_passes(name: str) -> None:
    assert inspect(template_source(name)) is None


def test_designs_of_the_grammar_pass() -> None:
    draw = random.Random(5)
    for _ in range(100):
        assert inspect(render(sample(draw), "A design", "One reason.")) is None


@pytest.mark.parametrize(
    "line",
    [
        "y = F.pad(x, (0, 0, 1, 0))",
        "y = torch.linalg.norm(x) + torch.fft.rfft(x).abs() + torch.special.expm1(x)",
        "self.register_buffer('scale', torch.ones(1)); self.gain = nn.Parameter(torch.zeros(3))",
        "nn.init.normal_(self.gain, std=0.02); self.gain.data.fill_(1.0)",
        "y = torch.utils.checkpoint.checkpoint(self.mix, x, use_reentrant=False)",
        "self.proj = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))",
        "noise = torch.Generator(device=x.device).manual_seed(3)",
        "y = x if self.training else x.detach()",
        "y = getattr(self, 'gain', None) if hasattr(self, 'gain') else math.pi",
        "name = f'{self.__class__.__name__}({x.shape[-1]})'",
        "self.weight.requires_grad = False; y = super().forward(x)",
        "y = [layer(x) for layer in self.layers]; del x",
        "input = x; y = input + 1",
        "y = '{} of {:.2f}'.format(1, 2.0)",
        "y = torch.autocast('cpu', enabled=False); y = torch.float32",
    ],
)
def test_an_honest_line_passes(line: str) -> None:
    assert inspect(in_forward(line)) is None


@pytest.mark.parametrize(
    "statement",
    [
        "'Only words.'",
        "HALF = math.log(2) / 2",
        "State = tuple[Tensor | None, Tensor]",
        "SIZES: tuple[int, ...] = (1, 2)",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from typing import Any",
        "import typing\nT = typing.TypeVar('T')",
        "def helper(x: Tensor) -> Tensor:\n    return x",
        "import einops\nfrom einops.layers.torch import Rearrange",
        "class Box(nn.Module):\n    '''Words.'''\n    size: int = 3\n    half = size / 2",
        "class Box(nn.Module):\n    @property\n    def wide(self):\n        return 2",
        "class Box(nn.Module):\n    @staticmethod\n    def of():\n        return 1",
    ],
)
def test_an_honest_definition_passes(statement: str) -> None:
    assert inspect(BEFORE + statement + "\n") is None


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os\n" + BEFORE, "line 1, column 0: import of 'os'; allowed are torch, einops"),
        ("from subprocess import run\n" + BEFORE, "import from 'subprocess'"),
        ("from . import x\n" + BEFORE, "import from '.'"),
        ("import torchvision\n" + BEFORE, "import of 'torchvision'"),
        ("import move37.evaluation.data\n" + BEFORE, "import of 'move37.evaluation.data'"),
        ("from torch import *\n" + BEFORE, "everything of 'torch' is imported; name what you need"),
        ("from torch import serialization\n" + BEFORE, "reads and writes no file"),
        ("import torch.utils.cpp_extension\n" + BEFORE, "decides what is compiled"),
    ],
)
def test_an_import_outside_the_list_is_refused(source: str, told: str) -> None:
    assert told in reason(source)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("torch.load('w')", "'torch.load': a mixer reads and writes no file"),
        ("torch.save(x, 'w')", "'torch.save'"),
        ("torch.serialization.os.system('ls')", "'torch.serialization'"),
        ("torch.hub.load('a', 'b')", "'torch.hub'"),
        ("torch.os.system('ls')", "'torch.os' is another module"),
        ("F.warnings.sys.exit()", "'torch.nn.functional.warnings' is another module"),
        ("torch._C._jit_clear_class_registry()", "'torch._C' is not public"),
        ("F._verify_batch_size([1])", "is not public"),
        ("torch.multiprocessing.spawn(x)", "one computation in one process"),
        ("torch.distributed.all_reduce(x)", "'torch.distributed'"),
        ("torch.ops.load_library('x.so')", "'torch.ops'"),
        ("torch.classes.load_library('x.so')", "'torch.classes'"),
        ("torch.library.custom_op('a::b', x)", "'torch.library'"),
        ("torch.compile(self)", "the evaluator decides what is compiled"),
        ("torch.set_num_threads(8)", "settings of the process belong to the evaluator"),
        ("torch.set_default_dtype(x.dtype)", "pass dtype and device to the call"),
        ("torch.backends.cudnn.benchmark", "'torch.backends'"),
        ("torch.cuda.synchronize()", "take device and dtype from the input"),
        ("torch.utils.data.DataLoader(x)", "'torch.utils.data'"),
        ("torch.utils._pytree.tree_map(x, x)", "is not public"),
        ("torch.utils.hooks.RemovableHandle(x)", "'torch.utils.hooks'"),
        ("torch.utils.benchmark.Timer()", "of torch.utils only checkpoint is allowed"),
        ("torch.optim.SGD(self.weights)", "the evaluator trains"),
        ("torch.autograd.grad(x, x)", "write its update out"),
        ("torch.from_numpy(x)", "stay inside the tensor"),
        ("torch.is_inference_mode_enabled()", "the same in every mode"),
    ],
)
def test_a_path_into_the_machinery_of_torch_is_refused(line: str, told: str) -> None:
    assert told in reason(in_forward(line))


@pytest.mark.parametrize(
    "line",
    ["torch.manual_seed(0)", "torch.random.fork_rng()", "torch.seed()", "torch.set_rng_state(x)"],
)
def test_seeding_for_everybody_is_refused(line: str) -> None:
    assert "torch." in reason(in_forward(line))


def test_the_advice_on_seeds_names_a_generator() -> None:
    assert "torch.Generator().manual_seed(n)" in reason(in_forward("torch.manual_seed(0)"))


@pytest.mark.parametrize(
    "line", ["y = torch", "self.tools = [F]", "y = vars(torch)", "y = torch.nn"]
)
def test_a_module_as_a_value_is_refused(line: str) -> None:
    assert "as a value; write out which member" in reason(in_forward(line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.relu = None",
        "F.cross_entropy = lambda *a: 0",
        "nn.Module.forward += 1",
        "del torch.relu",
        "nn.Linear.scale: int = 3",
    ],
)
def test_changing_what_is_imported_is_refused(line: str) -> None:
    assert "is changed; what is imported belongs to the evaluator too" in reason(in_forward(line))


def test_importing_under_another_name_hides_nothing() -> None:
    source = "import torch as t\nfrom torch import serialization as s, load as get\n" + CLASS
    told = reason(source + "def f():\n    t.save(1, 2)\n    get(3)\n    s.os\n")
    assert "'torch.save'" in told
    assert "'torch.load'" in told
    assert "'torch.serialization'" in told


@pytest.mark.parametrize(
    "name",
    [
        "eval",
        "exec",
        "compile",
        "open",
        "__import__",
        "globals",
        "locals",
        "vars",
        "dir",
        "id",
        "input",
    ],
)
def test_a_builtin_outside_the_list_is_refused(name: str) -> None:
    assert f"{name!r}: " in reason(in_forward(f"{name}(x)"))


def test_print_is_refused_with_the_reason() -> None:
    assert "what is printed is not read" in reason(in_forward("print(x)"))


@pytest.mark.parametrize("name", ["__builtins__", "__file__", "__spec__", "__loader__"])
def test_a_dunder_name_is_refused(name: str) -> None:
    assert repr(name) in reason(in_forward(f"y = {name}"))


@pytest.mark.parametrize(
    "attribute", ["__globals__", "__subclasses__", "__dict__", "__code__", "__mro__", "__reduce__"]
)
def test_a_dunder_attribute_outside_the_short_list_is_refused(attribute: str) -> None:
    assert f"the attribute {attribute!r}" in reason(in_forward(f"y = x.{attribute}"))


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("f_back", "nothing of who called it"),
        ("gi_frame", "nothing of who called it"),
        ("tb_frame", "nothing of who called it"),
        ("untyped_storage", "stay inside the tensor"),
        ("_typed_storage", "stay inside the tensor"),
        ("data_ptr", "stay inside the tensor"),
        ("as_strided", "stay inside the tensor"),
        ("_base", "stay inside the tensor"),
        ("register_hook", "hooks run outside forward"),
        ("register_forward_pre_hook", "hooks run outside forward"),
        ("_parameters", "public methods of nn.Module"),
        ("backward", "the evaluator trains"),
        ("grad_fn", "the evaluator trains"),
    ],
)
def test_an_attribute_that_leads_out_of_the_mixer_is_refused(attribute: str, told: str) -> None:
    assert told in reason(in_forward(f"y = x.{attribute}"))


@pytest.mark.parametrize(
    "line", ["getattr(self, x)", "setattr(self, 'a' + 'b', 1)", "hasattr(x, f'{x}')"]
)
def test_an_attribute_with_a_computed_name_is_refused(line: str) -> None:
    told = reason(in_forward(line))
    assert "with a computed name; write the attribute out" in told
    assert "nn.ModuleList" in told


def test_a_forbidden_attribute_is_refused_by_its_name_too() -> None:
    assert "'__globals__'" in reason(in_forward("getattr(x, '__globals__')"))
    assert "'train' is replaced" in reason(in_forward("setattr(self, 'train', 1)"))


def test_a_format_that_reaches_into_objects_is_refused() -> None:
    assert "use an f-string" in reason(in_forward("y = '{0.weight}'.format(self)"))


@pytest.mark.parametrize(
    "method",
    [
        "state_dict",
        "load_state_dict",
        "train",
        "eval",
        "parameters",
        "named_parameters",
        "_apply",
        "to",
    ],
)
def test_overriding_what_the_evaluator_uses_is_refused(method: str) -> None:
    told = reason(
        f"{HEAD}class TokenMixer(nn.Module):\n    def {method}(self):\n        return 1\n"
    )
    assert f"TokenMixer.{method} is replaced: the evaluator reads, stores and moves" in told


@pytest.mark.parametrize(
    "method", ["__torch_function__", "__torch_dispatch__", "__del__", "__deepcopy__", "__getattr__"]
)
def test_a_dunder_method_that_changes_the_rules_is_refused(method: str) -> None:
    source = f"{HEAD}class TokenMixer(nn.Module):\n    def {method}(self):\n        return 1\n"
    assert f"{method!r} is defined; a mixer needs __init__ and forward only" in reason(source)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("self.training = True", "'training' is replaced: the evaluator switches modes"),
        ("self.forward = x", "'forward' is replaced: define forward as a method"),
        ("self.state_dict = x", "'state_dict' is replaced"),
        ("x.grad = None", "'grad' is replaced"),
    ],
)
def test_replacing_a_member_is_refused(line: str, told: str) -> None:
    assert told in reason(in_forward(line))


@pytest.mark.parametrize("base", ["Tensor", "torch.Tensor", "nn.Parameter"])
def test_a_tensor_of_ones_own_kind_is_refused(base: str) -> None:
    assert "a class derived from torch" in reason(f"{BEFORE}class Lazy({base}):\n    pass\n")


def test_a_metaclass_is_refused() -> None:
    assert "the class argument 'metaclass'" in reason(
        BEFORE + "class A(metaclass=type):\n    pass\n"
    )
    assert "type() makes a class" in reason(in_forward("type('A', (), {})"))


@pytest.mark.parametrize(
    "statement",
    [
        "TokenMixer(8, 2)",
        "for i in range(3):\n    pass",
        "try:\n    import math\nexcept ImportError:\n    pass",
        "if math.pi > 3:\n    X = 1",
        "TABLE = [i for i in (1, 2)]",
        "X = torch.zeros(3)",
        "with torch.no_grad():\n    pass",
    ],
)
def test_work_at_the_top_level_is_refused(statement: str) -> None:
    told = reason(f"{BEFORE}{statement}\n")
    assert "line 8, column 0: only imports, constants, functions and classes" in told


def test_a_main_part_is_refused_with_the_reason() -> None:
    told = reason(BEFORE + "if __name__ == '__main__':\n    TokenMixer()\n")
    assert "needs no main part" in told


def test_work_in_the_body_of_a_class_is_refused() -> None:
    source = HEAD + "class TokenMixer(nn.Module):\n    for i in range(3):\n        pass\n"
    assert "line 7, column 4: only fields and methods in a class" in reason(source)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (str(list(range(513))), "a table of more than 512 elements"),
        (str({i: i for i in range(300)}), "a table of more than 512 elements"),
        (repr("a" * 4097), "a literal of more than 4096 bytes"),
        (repr(b"a" * 4097), "a literal of more than 4096 bytes"),
        (hex(1 << 33_000), "a literal of more than 4096 bytes"),
    ],
)
def test_knowledge_in_a_literal_is_refused(value: str, told: str) -> None:
    assert told in reason(f"{BEFORE}TABLE = {value}\n")


def test_a_long_docstring_is_no_table() -> None:
    assert inspect(f'"""{"word " * 2000}"""\n{BEFORE}') is None


def test_a_table_of_512_numbers_passes() -> None:
    assert inspect(f"{BEFORE}TABLE = {list(range(512))}\n") is None


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("global CALLS", "CALLS = 1"), "global CALLS: keep what must last in the state"),
        (("try:", "    y = x", "except:", "    y = 0"), "an except that catches everything"),
        (("try:", "    y = x", "except BaseException:", "    y = 0"), "'BaseException': catch"),
    ],
)
def test_a_statement_with_no_use_in_a_mixer_is_refused(lines: tuple[str, ...], told: str) -> None:
    assert told in reason(in_forward(*lines))


def test_asynchronous_code_is_refused() -> None:
    assert "asynchronous code" in reason(BEFORE + "async def f():\n    return 1\n")


def test_a_name_in_look_alike_letters_is_refused_where_it_stands() -> None:
    told = reason(in_forward("y = x.__\uff43lass__"))
    assert "line 8, column 14: write the name" in told
    assert "in ASCII letters" in told


def test_words_in_any_language_pass_in_comments_and_texts() -> None:
    assert inspect(in_forward("y = x  # \u03b2 \u2264 1", "'\u00fcber'")) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (HEAD + "class Mixer(nn.Module):\n    pass\n", "no class TokenMixer"),
        ("class TokenMixer(:\n", "line 1: the file is not valid Python"),
        ("x = '\0'\n" + BEFORE, "not valid Python"),
        ("#" * 70_000 + "\n" + BEFORE, "at most 65536 are allowed"),
        ("x = '\ud800'\n" + BEFORE, "not valid text"),
        ("x = " + "-" * 30_000 + "1\n" + BEFORE, "not valid Python"),
    ],
)
def test_a_file_that_cannot_be_a_mixer_is_refused(source: str, told: str) -> None:
    assert told in reason(source)


# --- how it is told -----------------------------------------------------------------------------


def test_all_objections_are_told_in_the_order_of_the_file() -> None:
    told = reason(in_forward("print(x)", "torch.load('w')", "y = x.f_back")).splitlines()
    assert [line.split(":")[0] for line in told] == [
        "line 8, column 8",
        "line 9, column 8",
        "line 10, column 12",
    ]


def test_of_many_objections_the_first_five_are_told() -> None:
    told = reason(in_forward(*["print(x)"] * 9)).splitlines()
    assert len(told) == TOLD + 1
    assert told[-1] == "and 4 more"


def test_a_chain_is_told_once() -> None:
    told = reason(in_forward("torch.serialization.os.path.join('a')"))
    assert len(told.splitlines()) == 1


def test_a_template_is_judged_within_milliseconds() -> None:
    source = template_source("gated_delta_net")
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        inspect(source)
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.02
