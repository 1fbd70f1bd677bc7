"""What a box answers to the gates: outputs, gradients, counts. Runs beside candidate code.

Arrays go back to the trusted side, which compares and decides; a JSON object from here is a claim.
A differential probe runs in float64 with hard casts lifted, on a deep copy, after a reset of the
random state, so that an honest layer differs from itself by rounding only.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from move37.arch_templates.contract import build_mixer
from move37.evaluation.inside.counters import Counter, SavedBytes
from move37.evaluation.isolation import protocol

Send = Callable[[bytes, bytes | memoryview], None]
Arrays = Sequence[np.ndarray]
Message = Mapping[str, Any]

WIDER = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
}
DOWNCASTS = (Tensor.float, Tensor.half, Tensor.bfloat16)
# They reinterpret bits, so another dtype would be another meaning.
KEPT = (Tensor.view,)
TRAINING_RATE = 1e-2


def reply(send: Send, message: Mapping[str, object]) -> None:
    """Send one JSON object."""
    send(protocol.JSON, json.dumps(message).encode())


def _array(send: Send, x: Tensor) -> None:
    send(protocol.ARRAY, x.detach().contiguous().numpy().tobytes())


class Lifted(TorchFunctionMode):
    """Turns every cast to a narrower float into one to float64, so that 1e-9 can be asked for."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401 - the signature of torch
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run one call with its dtypes widened."""
        if func in DOWNCASTS:
            return args[0].double()
        named = dict(kwargs or {})
        if isinstance(named.get("dtype"), torch.dtype):
            named["dtype"] = WIDER.get(named["dtype"], named["dtype"])
        if func not in KEPT and any(isinstance(a, torch.dtype) for a in args):
            args = [WIDER.get(a, a) if isinstance(a, torch.dtype) else a for a in args]
        return func(*args, **named)


@contextmanager
def lifted() -> Iterator[None]:
    """Compute in float64 throughout, whatever the code asks for."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with Lifted():
            yield
    finally:
        torch.set_default_dtype(before)


class Session:
    """The mixers of one box: built once for each precision and layer, copied before every use."""

    def __init__(self) -> None:
        self._described: Message = {}
        self._built: dict[tuple[str, int], nn.Module] = {}
        self.trained: nn.Module | None = None
        self.counters: list[tuple[str, str]] = []

    def describe(self, message: Message) -> None:
        """Take the source and size of the mixer that all later requests are about."""
        self._described = message
        self._built = {}

    def built(self, precision: str, index: int | None = None) -> nn.Module:
        """Return the mixer of a precision: `float32`, or `float64` with casts lifted.

        It is that of the layer described, or of another index.
        """
        told = self._described
        key = precision, told["index"] if index is None else index
        if key not in self._built:
            torch.manual_seed(told["seed"])
            with _precision(precision):
                mixer = build_mixer(told["source"], told["hidden"], told["heads"], key[1])
                self._built[key] = mixer.double() if precision == "float64" else mixer
        return self._built[key]

    def fresh(self, setting: Message, like: nn.Module | None = None) -> nn.Module:
        """Return a copy in float64, of `like` if given, with weights and mode as the setting says.

        The counters too.
        """
        source = like or (self.trained if setting["trained"] else self.built("float64"))
        if source is None:
            raise ValueError("there is no trained mixer yet")
        mixer = copy.deepcopy(source)
        if setting["draw"]:
            _redraw(mixer, setting["draw"], setting["shrink"])
        if setting["counters"]:
            advance(mixer, self.counters, setting["counters"])
        torch.manual_seed(0)
        return mixer.train(setting["train"])


def parameters_of(mixer: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters by name, as training finds them: from outside of the mixer.

    So a mixer that overrides `parameters` hides nothing.
    """
    named = nn.ModuleList([mixer]).named_parameters()
    return {name.removeprefix("0."): parameter for name, parameter in named}


def _trainable(mixer: nn.Module) -> list[nn.Parameter]:
    return [p for p in parameters_of(mixer).values() if p.requires_grad]


def _precision(name: str) -> AbstractContextManager[None]:
    return lifted() if name == "float64" else nullcontext()


def _redraw(mixer: nn.Module, draw: int, shrink: float) -> None:
    """Replace every parameter by noise of its own scale, so that no path stays switched off."""
    generator = torch.Generator().manual_seed(draw)
    with torch.no_grad():
        for parameter in parameters_of(mixer).values():
            fan_in = parameter.shape[-1] if parameter.ndim > 1 else 4
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise * shrink * max(fan_in, 1) ** -0.5)


# --- answers -----------------------------------------------------------------------------------


def answer(session: Session, op: str, message: Message, arrays: Arrays, send: Send) -> None:
    """Answer one request of a gate.

    Raises:
        ValueError: there is no such request, or the mixer broke its contract.
    """
    if op not in ANSWERS:
        raise ValueError(f"unknown request {op!r}")
    ANSWERS[op](session, message, arrays, send)


def _build(session: Session, message: Message, arrays: Arrays, send: Send) -> None:  # noqa: ARG001 - the shape of an answer
    session.describe(message)
    mixer = session.built(message["precision"])
    names = inspect.signature(mixer.forward).parameters
    told = {
        "parameters": sum(p.numel() for p in parameters_of(mixer).values()),
        "takes_mask": "attention_mask" in names,
        "large_state": getattr(mixer, "large_state", False) is True,
    }
    reply(send, told)


def _run(mixer: nn.Module, x: Tensor, state: object, mask: Tensor | None) -> tuple[Tensor, object]:
    named = {} if mask is None else {"attention_mask": mask}
    result = mixer(x, state, **named)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ValueError(f"forward returned a {type(result).__name__}, expected (y, state)")
    y, state = result
    if not isinstance(y, Tensor) or y.shape != x.shape:
        shape = list(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"forward returned y of shape {shape}, expected {list(x.shape)}")
    return y, state


def _pieces(
    mixers: Callable[[], nn.Module], x: Tensor, cuts: Sequence[int], mask: Tensor | None
) -> Tensor:
    """Run `x` [B, T, D] in consecutive pieces that end at `cuts`, handing the state on."""
    outputs, state, start = [], None, 0
    for end in [*cuts, x.shape[1]]:
        y, state = _run(mixers(), x[:, start:end], state, mask)
        outputs.append(y)
        start = end
    return torch.cat(outputs, dim=1)


def _imprint(mixer: nn.Module) -> int:
    tensors = [*parameters_of(mixer).values(), *nn.ModuleList([mixer]).buffers()]
    return hash(tuple(t.detach().numpy().tobytes() for t in tensors))


def _forward(session: Session, message: Message, arrays: Arrays, send: Send) -> None:
    """Run inputs [B, T, D] in order, through one copy or, with `relay`, each piece through its own.

    A copy for each piece shows a state that is kept in the module instead of being returned.
    """
    mixer = session.fresh(message)
    copies = (lambda: copy.deepcopy(mixer)) if message["relay"] else (lambda: mixer)
    masks = message["masks"] or [None] * len(arrays)
    before, outputs, written = _imprint(mixer), [], False
    with torch.no_grad(), lifted():
        for x, cuts, mask in zip(arrays, message["cuts"], masks, strict=True):
            given = torch.from_numpy(x.copy())
            shown = None if mask is None else torch.tensor(mask)
            outputs.append(_pieces(copies, given, cuts, shown).double())
            written = written or not np.array_equal(given.numpy(), x)
    reply(send, {"changed": _imprint(mixer) != before, "written": written})
    for y in outputs:
        _array(send, y)


def _wearing(session: Session, message: Message, arrays: Arrays, send: Send) -> None:
    """Send y of one layer with the weights of another, in each setting, if the weights fit.

    In eval mode x [B, T, D] comes in pieces, as it is decoded; in train mode whole.
    """
    own, other = (session.built("float64", message[key]) for key in ("of", "weights_of"))
    weights = other.state_dict()
    fits = _shapes(own.state_dict()) == _shapes(weights)
    reply(send, {"fits": fits})
    if not fits:
        return
    dressed = copy.deepcopy(own)
    dressed.load_state_dict(weights)
    for setting in message["settings"]:
        cuts = () if setting["train"] else message["cuts"]
        _array(send, _quietly(session.fresh(setting, dressed), arrays[0], cuts))


def _quietly(mixer: nn.Module, x: np.ndarray, cuts: Sequence[int]) -> Tensor:
    """Return y in float64 for a copy of x [B, T, D], in pieces, without gradients."""
    with torch.no_grad(), lifted():
        return _pieces(lambda: mixer, torch.from_numpy(x.copy()), cuts, None).double()


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _backward(session: Session, message: Message, arrays: Arrays, send: Send) -> None:
    """Return the vector-Jacobian product [B, T, D] for x and a cotangent of y."""
    mixer = session.fresh(message)
    x = torch.from_numpy(arrays[0]).requires_grad_()
    with lifted():
        y, _ = _run(mixer, x, None, None)
    _array(send, _pull(y, [x], torch.from_numpy(arrays[1]))[0])


def _pull(y: Tensor, towards: Sequence[Tensor], cotangent: Tensor) -> list[Tensor]:
    """Return the gradients of <y, cotangent>, zeros where y does not depend on a tensor."""
    if not y.requires_grad:
        return [torch.zeros_like(t) for t in towards]
    found: Sequence[Tensor | None] = torch.autograd.grad(
        y, towards, cotangent.to(y.dtype), allow_unused=True
    )
    return [torch.zeros_like(t) if g is None else g for t, g in zip(towards, found, strict=True)]


def _gradients(session: Session, message: Message, arrays: Arrays, send: Send) -> None:
    """Return the flat gradient [N] of the parameters on each batch, with a step in between.

    A step, because a path behind a weight that starts at zero gets its gradient only then.
    """
    mixer = session.fresh(message)
    named = {name: p for name, p in parameters_of(mixer).items() if p.requires_grad}
    parameters = list(named.values())
    reply(send, {"names": list(named), "sizes": [p.numel() for p in parameters]})
    if not parameters:
        return
    optimiser = torch.optim.AdamW(parameters, lr=TRAINING_RATE, fused=True)
    for x, cotangent in zip(arrays[0::2], arrays[1::2], strict=True):
        with lifted():
            y, _ = _run(mixer, torch.from_numpy(x), None, None)
        found = _pull(y, parameters, torch.from_numpy(cotangent))
        _array(send, torch.cat([g.flatten() for g in found]))
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        optimiser.step()


def _stress(session: Session, message: Message, arrays: Arrays, send: Send) -> None:  # noqa: ARG001 - the shape of an answer
    """Run x [B, T, D] in float32 forward and backward: y, its dtype, dx, and all gradients."""
    mixer = copy.deepcopy(session.built("float32")).train()
    x = torch.from_numpy(arrays[0]).requires_grad_()
    torch.manual_seed(0)
    y, _ = _run(mixer, x, None, None)
    parameters = _trainable(mixer)
    found = _pull(y, [x, *parameters], torch.from_numpy(arrays[1]))
    flat = torch.cat([g.flatten() for g in found[1:]]) if parameters else torch.zeros(0)
    reply(send, {"dtype": str(y.dtype), "length": flat.numel()})
    for part in (y, found[0], flat):
        _array(send, part.float())


def _cost(session: Session, message: Message, arrays: Arrays, send: Send) -> None:  # noqa: ARG001 - the shape of an answer
    """Count the work, saved bytes and dispatched ops of one forward and backward in float32."""
    mixer = copy.deepcopy(session.built("float32")).train()
    x = torch.from_numpy(arrays[0]).requires_grad_()
    parameters = _trainable(mixer)
    torch.manual_seed(0)
    counter, saved = Counter(), SavedBytes()
    with counter:
        with saved.hooks():
            y, _ = _run(mixer, x, None, None)
        forward = counter.work
        _pull(y, [x, *parameters], torch.ones_like(y))
    told = {"forward": forward, "work": counter.work, "saved": saved.total, "ops": counter.ops}
    reply(send, told)


def _state(session: Session, message: Message, arrays: Arrays, send: Send) -> None:  # noqa: ARG001 - the shape of an answer
    """Count the bytes of the state after each input, the last one token by token.

    What in the state is no tensor is named.
    """
    mixer = copy.deepcopy(session.built("float32")).eval()
    sizes: list[float] = []
    strange: set[str] = set()
    for number, x in enumerate(arrays, 1):
        steps = x.shape[1] if number == len(arrays) else 1
        state: object = None
        torch.manual_seed(0)
        with torch.no_grad():
            for piece in torch.from_numpy(x).chunk(steps, dim=1):
                _, state = _run(mixer, piece, state, None)
        leaves, _ = torch.utils._pytree.tree_flatten(state)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        sizes.append(sum(t.numel() * t.element_size() for t in tensors) / x.shape[0])
        # None stands for a part that has not started.
        others = [leaf for leaf in leaves if not isinstance(leaf, (Tensor, int, float, type(None)))]
        strange |= {type(leaf).__name__ for leaf in others}
    reply(send, {"bytes": sizes, "strange": sorted(strange)[:4]})


# --- after training ----------------------------------------------------------------------------


def _numbers(mixer: nn.Module) -> dict[tuple[str, str], float]:
    """Find what may count steps: one-element buffers, whole-number buffers, plain attributes."""
    found: dict[tuple[str, str], float] = {}
    for path, module in mixer.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.numel() and (buffer.numel() == 1 or not buffer.is_floating_point()):
                found[path, name] = float(buffer.detach().double().sum())
        for name, value in vars(module).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[path, name] = float(value)
    return found


def advance(mixer: nn.Module, counters: Sequence[tuple[str, str]], value: int) -> None:
    """Set every counter of a mixer to a value."""
    modules = dict(mixer.named_modules())
    with torch.no_grad():
        for path, name in counters:
            held = getattr(modules[path], name)
            if isinstance(held, Tensor):
                held.fill_(value)
            else:
                setattr(modules[path], name, type(held)(value))


def _drill(session: Session, message: Message, arrays: Arrays, send: Send) -> None:
    """Train on inputs [S, B, T, D] towards targets, and send the weights and y for one input."""
    mixer = session.fresh(message)
    before = _numbers(mixer)
    parameters = _trainable(mixer)
    optimiser = torch.optim.AdamW(parameters, lr=TRAINING_RATE, fused=True) if parameters else None
    with lifted():
        for x, target in zip(torch.from_numpy(arrays[0]), torch.from_numpy(arrays[1]), strict=True):
            y, _ = _run(mixer, x, None, None)
            if optimiser is not None and y.requires_grad:
                optimiser.zero_grad(set_to_none=True)
                (y - target).square().mean().backward()
                optimiser.step()
    after = _numbers(mixer.eval())
    session.counters = [key for key, value in after.items() if before.get(key, 0.0) != value]
    mixer.zero_grad(set_to_none=True)
    session.trained = mixer
    reply(send, {"counters": [".".join(key).strip(".")[:80] for key in session.counters[:32]]})
    _save(mixer, arrays[2], send)


def _snapshot(session: Session, message: Message, arrays: Arrays, send: Send) -> None:
    """Send the weights and y for one input, in the setting that the message describes."""
    _save(session.fresh(message), arrays[0], send)


def _save(mixer: nn.Module, x: np.ndarray, send: Send) -> None:
    state = {k: v.detach().contiguous().clone() for k, v in mixer.state_dict().items()}
    send(protocol.WEIGHTS, safetensors.torch.save(state))
    torch.manual_seed(0)
    with torch.no_grad(), lifted():
        y, _ = _run(mixer, torch.from_numpy(x), None, None)
    _array(send, y.double())


def _restore(session: Session, message: Message, arrays: Arrays, send: Send) -> None:  # noqa: ARG001 - the shape of an answer
    """Load weights into a mixer that has never run, and send its y for one input."""
    mixer = session.built("float64").eval()
    mixer.load_state_dict(safetensors.torch.load(arrays[0].tobytes()))
    torch.manual_seed(0)
    with torch.no_grad(), lifted():
        y, _ = _run(mixer, torch.from_numpy(arrays[1]), None, None)
    _array(send, y.double())


ANSWERS: Mapping[str, Callable[[Session, Message, Arrays, Send], None]] = {
    "build": _build,
    "forward": _forward,
    "wearing": _wearing,
    "backward": _backward,
    "gradients": _gradients,
    "stress": _stress,
    "cost": _cost,
    "state": _state,
    "drill": _drill,
    "snapshot": _snapshot,
    "restore": _restore,
}
