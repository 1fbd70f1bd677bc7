"""Revisions of real designs, by what an engineer did to the idea: mended the code, or took it out.

Each case is a parent, a proposal and a revision. Proposals of repairs have a fault that the gates
or the training would find; their revisions mend it. Removals are what runs and has no idea left.
"""

from __future__ import annotations

from dataclasses import dataclass

from move37.arch_templates.catalog import template_source

Edit = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """What was done, the template that is the parent, and the two programs after it."""

    what: str
    parent: str
    proposal: str
    revised: str


def edited(code: str, *edits: Edit) -> str:
    """Return the code with each edit made, everywhere it applies; each has to apply."""
    for old, new in edits:
        assert old in code, old
        code = code.replace(old, new)
    return code


def mended(what: str, parent: str, idea: str, fault: list[Edit], repair: list[Edit]) -> Case:
    """Return a repair: the idea's template with a fault, and that with the repair."""
    proposal = edited(template_source(idea), *fault)
    return Case(what, template_source(parent), proposal, edited(proposal, *repair))


def undone(fault: list[Edit]) -> list[Edit]:
    """Return the edits that take a fault back."""
    return [(new, old) for old, new in fault]


def plain(what: str, parent: str, idea: str, fault: list[Edit]) -> Case:
    """Return a repair that takes nothing but the fault back."""
    return mended(what, parent, idea, fault, undone(fault))


def removed(what: str, parent: str, idea: str, *edits: Edit) -> Case:
    """Return a removal: the idea's template, and that after the edits."""
    code = template_source(idea)
    return Case(what, template_source(parent), code, edited(code, *edits))


# --- pieces -------------------------------------------------------------------------------------

GATED_CALL = """        o, memory = chunk_gated_delta_rule(
            l2norm(q),
            l2norm(k),
            v,
            self._log_decay(x),
            beta,
            scale=1.0,
            initial_state=memory,
            output_final_state=True,
        )
"""
DELTA_CALL = GATED_CALL.replace("chunk_gated_delta_rule", "chunk_delta_rule").replace(
    "            self._log_decay(x),\n", ""
)
GATED_LOOP = """        q, k, a = l2norm(q), l2norm(k), self._log_decay(x).exp()
        memory = torch.zeros(*v.shape[:1], *v.shape[2:], v.shape[-1]) if memory is None else memory
        read = []
        for t in range(x.shape[1]):
            memory = memory * a[:, t, :, None, None]
            held = torch.einsum("bhk,bhkv->bhv", k[:, t], memory)
            change = beta[:, t, :, None] * (v[:, t] - held)
            memory = memory + torch.einsum("bhk,bhv->bhkv", k[:, t], change)
            read.append(torch.einsum("bhk,bhkv->bhv", q[:, t], memory))
        o = torch.stack(read, dim=1)
"""
DELTA_LOOP = (
    GATED_LOOP.replace(", self._log_decay(x).exp()", "")
    .replace("            memory = memory * a[:, t, :, None, None]\n", "")
    .replace("q, k, a =", "q, k =")
)
IMPORT_DELTA = ("l2norm\n\nState", "chunk_delta_rule, l2norm\n\nState")
KDA_CALL = GATED_CALL.replace("chunk_gated_delta_rule", "chunk_kda")
GATE = "        gate = F.silu(self.gate_proj(x))\n"
GATED_OUT = "        y = self.out_proj(self.norm(o).flatten(-2) * gate)\n"
SHORT_PATH = "short, last_short = causal_conv(v.flatten(-2), self.short_filter, last_short)"
LONG_PATH = "long, last_long = chunk_causal_fir(v.flatten(-2), self.long_filter, last_long)"
MIXED = "context = (paths * route.softmax(-1)[..., None, :]).sum(-1)"
BLEND = "o = copy * v + (1 - copy) * context + self.residual * v"
STEP = "step = F.softplus(self.decay_proj(x) + self.decay_bias)"
RATE = "return -self.decay_rate_log.exp() * step"
KDA_RATE = "return -self.decay_rate_log.exp()[:, None] * self._split_heads(step)"

# --- repairs ------------------------------------------------------------------------------------


def repairs() -> list[Case]:
    """Return what an engineer may do."""
    return [*_numbers(), *_leaks(), *_states(), *_costs(), *_wording(), *_guards()]


def _numbers() -> list[Case]:
    return [
        plain(
            "a cast to float32 is taken out",
            "delta_net",
            "gated_delta_net",
            [("torch.sigmoid(self.beta_proj(x))", "torch.sigmoid(self.beta_proj(x).float())")],
        ),
        plain(
            "casts around the decay are taken out",
            "delta_net",
            "kda",
            [(STEP, STEP.replace("self.decay_proj(x)", "self.decay_proj(x).to(torch.float32)"))],
        ),
        mended(
            "an epsilon is added to a step",
            "delta_net",
            "gated_delta_net",
            [],
            [(STEP, f"{STEP} + 1e-6")],
        ),
        mended(
            "a root near zero gets its epsilon",
            "delta_net",
            "content_sharp_router",
            [("(paths.var(-1, correction=0) + 1e-6).sqrt()", "paths.std(-1, correction=0)")],
            [("paths.std(-1, correction=0)", "(paths.var(-1, correction=0) + 1e-6).sqrt()")],
        ),
        mended(
            "the decay is clamped",
            "delta_net",
            "gated_delta_net",
            [],
            [(RATE, "return (-self.decay_rate_log.exp() * step).clamp(min=-8.0)")],
        ),
        mended(
            "the decay of each channel is clamped",
            "delta_net",
            "kda",
            [],
            [(KDA_RATE, KDA_RATE.replace("return ", "return torch.clamp(") + ", min=-5.0)")],
        ),
        plain(
            "a decay above one gets its sign",
            "delta_net",
            "gated_delta_net",
            [(RATE, "return self.decay_rate_log.exp() * step")],
        ),
        plain(
            "an overflowing exp becomes a log sigmoid",
            "linear_attention",
            "gla",
            [
                (
                    "F.logsigmoid(self._split_heads(self.decay_proj(x)))",
                    "-self._split_heads(self.decay_proj(x)).exp()",
                )
            ],
        ),
        plain(
            "a floor is lowered",
            "delta_net",
            "fusion_gated_fir_net",
            [("FLOOR = 0.02", "FLOOR = 0.3")],
        ),
        mended(
            "starting values are changed",
            "delta_net",
            "hier_gate_net",
            [],
            [("[0.0, 1.0, 1.0]", "[0.0, 0.2, 0.2]"), ("PATHS), -1.0", "PATHS), -3.0")],
        ),
        mended(
            "keys get unit length, as writes explode",
            "linear_attention",
            "gla",
            [],
            [
                ("chunk_gla\n", "chunk_gla, l2norm\n"),
                ("chunk_gla(q, k, v", "chunk_gla(l2norm(q), l2norm(k), v"),
            ],
        ),
        mended(
            "the paths are normalised before they are mixed",
            "delta_net",
            "path_gate_fusion_net",
            [],
            [
                (
                    "self._split_heads(long), delta], dim=-1)",
                    "self._split_heads(long), self.norm(delta)], dim=-1)",
                )
            ],
        ),
    ]


def _leaks() -> list[Case]:
    return [
        plain(
            "a filter that is padded on both sides becomes causal",
            "delta_net",
            "path_gate_fusion_net",
            [
                (
                    SHORT_PATH,
                    "short = F.conv1d(v.flatten(-2).mT, self.short_filter[:, None], padding=1, "
                    "groups=self.num_heads * self.head_dim).mT",
                )
            ],
        ),
        mended(
            "padding moves to the left",
            "delta_net",
            "path_gate_fusion_net",
            [
                (
                    SHORT_PATH,
                    "short = F.conv1d(F.pad(v.flatten(-2).mT, (1, 1)), self.short_filter[:, None], "
                    "groups=self.num_heads * self.head_dim).mT",
                )
            ],
            [("(1, 1)", "(2, 0)")],
        ),
        mended(
            "a convolution of torch becomes the causal one of ours",
            "linear_attention",
            "mamba2",
            [
                (
                    'ShortConvolution(self.widths[1], kernel_size=4, activation="silu")',
                    "nn.Conv1d(self.widths[1], self.widths[1], 3, padding=1)",
                ),
                (
                    "xbc, last_inputs = self.conv(xbc, last_inputs)",
                    "xbc = F.silu(self.conv(xbc.mT).mT)",
                ),
            ],
            [
                (
                    "nn.Conv1d(self.widths[1], self.widths[1], 3, padding=1)",
                    'ShortConvolution(self.widths[1], kernel_size=3, activation="silu")',
                ),
                (
                    "xbc = F.silu(self.conv(xbc.mT).mT)",
                    "xbc, last_inputs = self.conv(xbc, last_inputs)",
                ),
            ],
        ),
        plain(
            "a mean over the batch is taken out",
            "delta_net",
            "kda",
            [
                (
                    "gate = torch.sigmoid(self.gate_proj(x))",
                    "gate = self.gate_proj(x)\n"
                    "        gate = torch.sigmoid(gate - gate.mean(0, keepdim=True))",
                )
            ],
        ),
        plain(
            "a sum over the batch in a router is taken out",
            "delta_net",
            "hier_gate_net",
            [("self.mlp(x).unflatten", "(self.mlp(x) - self.mlp(x).mean(0)).unflatten")],
        ),
        plain(
            "a softmax over the length runs over the paths",
            "delta_net",
            "content_sharp_router",
            [("* logits).softmax(-1)", "* logits).softmax(1)")],
        ),
        plain(
            "a router that reads the sequence backwards too reads it forwards",
            "delta_net",
            "path_gate_fusion_net",
            [("self.router(x).unflatten", "self.router(x + x.flip(1)).unflatten")],
        ),
        plain(
            "a norm over the length becomes one over channels",
            "linear_attention",
            "gla",
            [
                ("self.norm = RMSNorm(self.head_dim)", "self.norm = nn.BatchNorm1d(inner)"),
                ("self.norm(o).flatten(-2)", "self.norm(o.flatten(-2).mT).mT"),
            ],
        ),
        plain(
            "a mean over all tokens becomes one over a path's channels",
            "delta_net",
            "fusion_gated_fir_net",
            [("paths.abs().mean(-1)", "paths.abs().mean(-1).mean(1, keepdim=True)")],
        ),
        mended(
            "a mean over all tokens becomes a running mean",
            "delta_net",
            "fusion_gated_fir_net",
            [("paths.abs().mean(-1)", "paths.abs().mean((1, -1))")],
            [
                (
                    "paths.abs().mean((1, -1))",
                    "paths.abs().mean(-1).cumsum(1) / torch.arange(1, 1 + x.shape[1])[:, None]",
                )
            ],
        ),
        plain(
            "a roll that brings the last token to the first becomes a shift",
            "delta_net",
            "rwkv7",
            [("before, last_input = token_shift(x, last_input)", "before = torch.roll(x, 1, 1)")],
        ),
        mended(
            "a shift by slices is given the last token",
            "delta_net",
            "rwkv7",
            [
                (
                    "before, last_input = token_shift(x, last_input)",
                    "before = F.pad(x, (0, 0, 1, 0))[:, :-1]",
                ),
                (
                    "from torch import Tensor, nn\n",
                    "from torch import Tensor, nn\nfrom torch.nn import functional as F\n",
                ),
            ],
            [
                (
                    "before = F.pad(x, (0, 0, 1, 0))[:, :-1]",
                    "first = torch.zeros_like(x[:, :1]) if last_input is None else last_input\n"
                    "        before = torch.cat([first, x[:, :-1]], dim=1)\n"
                    "        last_input = x[:, -1:]",
                )
            ],
        ),
    ]


def _states() -> list[Case]:
    return [
        plain(
            "the state is returned",
            "delta_net",
            "gated_delta_net",
            [("return y, (last_inputs, memory)", "return y, None")],
        ),
        plain(
            "the memory is handed on",
            "delta_net",
            "kda",
            [("initial_state=memory,\n            output_final_state=True", "initial_state=None")],
        ),
        plain(
            "the tails of filters are kept",
            "delta_net",
            "ada_multi_path_gate_net",
            [
                (SHORT_PATH, SHORT_PATH.replace(", last_short)", ")")),
                (LONG_PATH, LONG_PATH.replace(", last_long)", ")")),
                ("(last_inputs, memory, last_short, last_long)\n", "(last_inputs, memory)\n"),
            ],
        ),
        plain(
            "the position is counted on",
            "linear_attention",
            "ret_net",
            [
                ("apply_rotary(q, position)", "apply_rotary(q)"),
                ("apply_rotary(k, position)", "apply_rotary(k)"),
            ],
        ),
        plain(
            "a counter of calls is taken out",
            "delta_net",
            "gated_delta_net",
            [
                (
                    GATE,
                    "        self.calls = self.calls + 1\n"
                    "        gate = F.silu(self.gate_proj(x)) * min(1.0, self.calls / 100)\n",
                ),
                ("        self.norm =", "        self.calls = 0\n        self.norm ="),
            ],
        ),
        mended(
            "the state becomes a dict",
            "delta_net",
            "gated_delta_net",
            [],
            [
                (
                    "(None, None) if state is None else state",
                    '(None, None) if state is None else (state["inputs"], state["memory"])',
                ),
                (
                    "return y, (last_inputs, memory)",
                    'return y, {"inputs": last_inputs, "memory": memory}',
                ),
            ],
        ),
    ]


def _costs() -> list[Case]:
    return [
        mended(
            "a loop over tokens becomes an op of ours",
            "delta_net",
            "gated_delta_net",
            [(GATED_CALL, GATED_LOOP)],
            [(GATED_LOOP, GATED_CALL)],
        ),
        mended(
            "a loop over the parent's own rule becomes the op again, and the decay is kept",
            "delta_net",
            "gated_delta_net",
            [
                (GATED_CALL, DELTA_LOOP),
                (GATE, "        gate = F.silu(self.gate_proj(x)) * self._log_decay(x).exp()\n"),
            ],
            [
                (DELTA_LOOP, DELTA_CALL),
                IMPORT_DELTA,
            ],
        ),
        plain(
            "a naive form becomes the chunked one",
            "delta_net",
            "gated_delta_net",
            [("chunk_gated_delta_rule", "naive_recurrent_gated_delta_rule")],
        ),
        plain(
            "fewer steps for each token",
            "gated_delta_net",
            "delta_product",
            [("STEPS = 2", "STEPS = 4")],
        ),
        plain(
            "a narrower projection",
            "delta_net",
            "rwkv7",
            [("RANK = 16", "RANK = 128")],
        ),
        mended(
            "attention over everything becomes attention over a window",
            "gated_delta_net",
            "hybrid",
            [
                ("return sliding_window_attention(", "return causal_attention("),
                ("v, WINDOW, state=state", "v, state=state"),
                ("    sliding_window_attention,\n", "    causal_attention,\n"),
            ],
            [
                ("return causal_attention(", "return sliding_window_attention("),
                ("v, state=state", "v, WINDOW, state=state"),
                ("    causal_attention,\n", "    sliding_window_attention,\n"),
            ],
        ),
        mended(
            "sums of outer products become an op of ours",
            "linear_attention",
            "gla",
            [
                (
                    "o, state = chunk_gla(q, k, v, log_decay, initial_state=state, "
                    "output_final_state=True)",
                    "fade = log_decay.cumsum(1).exp()\n"
                    '        writes = torch.einsum("bthk,bthv->bthkv", k / fade, v).cumsum(1)\n'
                    '        o = torch.einsum("bthk,bthkv->bthv", q * fade, writes)',
                ),
                ("from torch import", "import torch\nfrom torch import"),
            ],
            [
                (
                    "fade = log_decay.cumsum(1).exp()\n"
                    '        writes = torch.einsum("bthk,bthv->bthkv", k / fade, v).cumsum(1)\n'
                    '        o = torch.einsum("bthk,bthkv->bthv", q * fade, writes)',
                    "o, state = chunk_gla(q, k, v, log_decay, initial_state=state, "
                    "output_final_state=True)",
                )
            ],
        ),
        mended(
            "one projection for all paths becomes one for each",
            "delta_net",
            "ada_multi_path_gate_net",
            [],
            [
                (
                    "self.token_logits = nn.Linear(hidden_size, num_heads * PATHS, bias=False)",
                    "self.token_logits = nn.ModuleList(\n"
                    "            nn.Linear(hidden_size, num_heads, bias=False) for _ in range(4)\n"
                    "        )",
                ),
                (
                    "self.token_logits(x).unflatten(-1, (self.num_heads, PATHS))",
                    "torch.stack([one(x) for one in self.token_logits], dim=-1)",
                ),
            ],
        ),
    ]


def _wording() -> list[Case]:
    return [
        mended(
            "attributes and locals are renamed",
            "delta_net",
            "gated_delta_net",
            [],
            [
                ("decay_proj", "forget"),
                ("decay_rate_log", "speed"),
                ("_log_decay", "_fade"),
                ("step", "pace"),
                ("beta", "strength"),
            ],
        ),
        mended(
            "a helper is written out where it is used",
            "delta_net",
            "gated_delta_net",
            [],
            [
                (
                    "            self._log_decay(x),\n",
                    "            -self.decay_rate_log.exp()\n"
                    "            * F.softplus(self.decay_proj(x) + self.decay_bias),\n",
                )
            ],
        ),
        mended(
            "a gate becomes a module of its own",
            "delta_net",
            "kda",
            [],
            [
                (
                    "        self.decay_rate_log = nn.Parameter("
                    "torch.linspace(1.0, 16.0, num_heads).log())\n",
                    "        self.decay = Decay(num_heads)\n",
                ),
                (
                    KDA_RATE,
                    "return self.decay(self._split_heads(step))\n\n\n"
                    "class Decay(nn.Module):\n"
                    "    def __init__(self, heads: int) -> None:\n"
                    "        super().__init__()\n"
                    "        self.rate = nn.Parameter(torch.linspace(1.0, 16.0, heads).log())\n\n"
                    "    def forward(self, step: Tensor) -> Tensor:\n"
                    "        return -self.rate.exp()[:, None] * step",
                ),
            ],
        ),
        mended(
            "the order of statements changes",
            "delta_net",
            "gated_delta_net",
            [],
            [
                (GATE, ""),
                ("        beta = torch", f"{GATE}        beta = torch"),
            ],
        ),
        mended(
            "methods of tensors become functions",
            "delta_net",
            "content_sharp_router",
            [],
            [
                (
                    "(F.softplus(self.sharpness) * logits).softmax(-1)",
                    "F.softmax(F.softplus(self.sharpness) * logits, dim=-1)",
                ),
                ("paths.mean(-1)", "torch.mean(paths, dim=-1)"),
            ],
        ),
        mended(
            "one projection becomes three",
            "linear_attention",
            "gla",
            [],
            [
                (
                    "self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)",
                    "self.q_proj = nn.Linear(hidden_size, inner, bias=False)\n"
                    "        self.k_proj = nn.Linear(hidden_size, inner, bias=False)\n"
                    "        self.v_proj = nn.Linear(hidden_size, inner, bias=False)",
                ),
                (
                    "self._split_heads(self.qkv_proj(x)).chunk(3, dim=2)",
                    "map(self._split_heads, (self.q_proj(x), self.k_proj(x), self.v_proj(x)))",
                ),
            ],
        ),
    ]


def _guards() -> list[Case]:
    return [
        mended(
            "a prompt of one token is guarded",
            "linear_attention",
            "mamba2",
            [],
            [
                (
                    "        y = self.out_proj(",
                    "        o = o if u.shape[1] > 1 else o.contiguous()\n"
                    "        y = self.out_proj(",
                )
            ],
        ),
        mended(
            "steps of a state space are bounded",
            "linear_attention",
            "mamba2",
            [],
            [("            step,\n", "            step.clamp(-8.0, 8.0),\n")],
        ),
        plain(
            "noise that differs from call to call is taken out",
            "delta_net",
            "hier_gate_net",
            [
                (
                    "gates = torch.sigmoid(self.mlp(x)",
                    "gates = torch.sigmoid(0.1 * torch.randn_like(x[..., :1]) + self.mlp(x)",
                )
            ],
        ),
        mended(
            "a syntax that runs elsewhere only is spelled out",
            "delta_net",
            "hier_gate_net",
            [],
            [("near_or_far.mT * within", "near_or_far.transpose(-1, -2) * within")],
        ),
        mended(
            "the sum of two branches is halved",
            "delta_net",
            "path_gate_fusion_net",
            [],
            [(BLEND, "o = 0.5 * (copy * v + (1 - copy) * context) + self.residual * v")],
        ),
    ]


# --- removals -----------------------------------------------------------------------------------


def removals() -> list[Case]:
    """Return what an engineer may not do."""
    return [*_to_the_parent(), *_dropped(), *_dead()]


def _to_the_parent() -> list[Case]:
    pairs = [
        ("delta_net", "gated_delta_net"),
        ("linear_attention", "gla"),
        ("delta_net", "kda"),
        ("delta_net", "path_gate_fusion_net"),
        ("delta_net", "delta_product"),
        ("linear_attention", "ret_net"),
        ("gated_delta_net", "hybrid"),
    ]
    whole = [
        Case(f"{idea} becomes its parent", *map(template_source, (parent, idea, parent)))
        for parent, idea in pairs
    ]
    loop = edited(template_source("gated_delta_net"), (GATED_CALL, GATED_LOOP))
    other = [
        Case(
            "a loop with the idea in it becomes the parent's op",
            template_source("delta_net"),
            loop,
            edited(loop, (GATED_LOOP, DELTA_CALL)),
        ),
        Case(
            "a loop with the idea in it becomes the parent",
            template_source("delta_net"),
            loop,
            template_source("delta_net"),
        ),
        Case(
            "another design stands in for it",
            template_source("delta_net"),
            template_source("path_gate_fusion_net"),
            template_source("ret_net"),
        ),
        Case(
            "a projection alone stands in for it",
            template_source("delta_net"),
            template_source("kda"),
            "import torch\nfrom torch import nn\n\n\nclass TokenMixer(nn.Module):\n"
            "    def __init__(self, hidden_size, num_heads, layer_idx=0):\n"
            "        super().__init__()\n        self.p = nn.Linear(hidden_size, hidden_size)\n\n"
            "    def forward(self, x, state=None):\n        return self.p(x), state\n",
        ),
    ]
    return [*whole, *other]


def _dropped() -> list[Case]:
    return [
        removed(
            "the decay is zero",
            "delta_net",
            "gated_delta_net",
            (RATE, "return torch.zeros_like(step)"),
        ),
        removed(
            "the decay is a constant",
            "delta_net",
            "gated_delta_net",
            (STEP, "step = torch.full(x.shape[:2] + (self.num_heads,), 0.01)"),
        ),
        removed(
            "the gated rule becomes the plain one",
            "delta_net",
            "gated_delta_net",
            (GATED_CALL, DELTA_CALL),
        ),
        removed("the decay of each channel goes", "delta_net", "kda", (KDA_CALL, DELTA_CALL)),
        removed(
            "the decays of linear attention go",
            "linear_attention",
            "gla",
            ("F.logsigmoid(self._split_heads(self.decay_proj(x))) / TEMPER", "torch.zeros_like(k)"),
            ("F.silu(self.gate_proj(x))", "1.0"),
        ),
        removed(
            "rotation and decay go",
            "linear_attention",
            "ret_net",
            ("apply_rotary(q, position)", "q"),
            ("apply_rotary(k, position)", "k"),
            ("chunk_retention", "chunk_linear_attn"),
            ("F.silu(self.gate_proj(x))", "1.0"),
        ),
        removed(
            "the router is an even share",
            "delta_net",
            "ada_multi_path_gate_net",
            (
                "(self._weights(x)[..., None] * torch.stack(paths, dim=-2)).sum(-2)",
                "torch.stack(paths, dim=-2).mean(-2)",
            ),
        ),
        removed("the paths go", "delta_net", "path_gate_fusion_net", (BLEND, "o = delta")),
        removed(
            "the router of paths takes the memory alone",
            "delta_net",
            "content_sharp_router",
            ("o = self.router(x, torch.stack(paths, dim=-2))", "o = delta"),
        ),
        removed(
            "the window goes",
            "gated_delta_net",
            "hybrid",
            ("WindowAttention if layer_idx % PERIOD == ATTENTION_AT else GatedDelta", "GatedDelta"),
        ),
        removed(
            "the penalty on gradients and the weights of paths go",
            "delta_net",
            "ada_multi_path_gate_net",
            ("penalised.softmax(-1)", "torch.ones_like(token)"),
        ),
        removed(
            "the steps of a state space go",
            "linear_attention",
            "mamba2",
            ("o, memory = chunk_ssd(", "o, memory = chunk_linear_attn("),
            ("            step,\n            -self.rate_log.exp(),\n", ""),
            ("            D=self.skip,\n            dt_bias=self.step_bias,\n", ""),
            ("self.norm(o.flatten(-2) * F.silu(gate))", "o.flatten(-2)"),
        ),
    ]


def _dead() -> list[Case]:
    return [
        removed(
            "the path is left in __init__ and unused in forward",
            "delta_net",
            "path_gate_fusion_net",
            (SHORT_PATH, "short = v.flatten(-2)"),
            (LONG_PATH, "long = v.flatten(-2)"),
            (MIXED, "context = delta"),
            (BLEND, "o = context"),
        ),
        removed(
            "the decay is computed and not used",
            "delta_net",
            "gated_delta_net",
            (GATED_CALL, f"        decay = self._log_decay(x)\n{DELTA_CALL}"),
        ),
        removed(
            "the decay stands behind a test that never holds",
            "delta_net",
            "gated_delta_net",
            (
                GATED_CALL,
                DELTA_CALL
                + "        if False:\n    "
                + GATED_CALL.replace("\n        ", "\n            ").rstrip(" "),
            ),
        ),
        removed(
            "the paths stand behind a switch that is off",
            "delta_net",
            "path_gate_fusion_net",
            (
                "        self.layer_idx = layer_idx\n",
                "        self.layer_idx = layer_idx\n        self.use_paths = False\n",
            ),
            (BLEND, "o = copy * v + (1 - copy) * context if self.use_paths else delta"),
        ),
        removed(
            "the paths stand behind a constant that is off",
            "delta_net",
            "hier_gate_net",
            ("HIGHEST_FLOOR = 0.1", "HIGHEST_FLOOR = 0.1\nMIX = False"),
            (
                "        y = self.out_proj",
                "        if not MIX:\n            o = delta\n        y = self.out_proj",
            ),
        ),
        removed(
            "the mixture is multiplied by zero",
            "delta_net",
            "fusion_gated_fir_net",
            (
                "o = self.gates(x, torch.stack(paths, dim=-2))",
                "o = delta + 0.0 * self.gates(x, torch.stack(paths, dim=-2))",
            ),
            ("chunk_gated_delta_rule", "chunk_delta_rule"),
            ("            -F.softplus(self.forgetting).expand_as(beta),\n", ""),
        ),
        removed(
            "the mixture is overwritten",
            "delta_net",
            "content_sharp_router",
            ("        y = self.out_proj", "        o = delta\n        y = self.out_proj"),
        ),
        removed(
            "the return stands before the mixture",
            "delta_net",
            "ada_multi_path_gate_net",
            (
                "        paths = [v,",
                "        y = self.out_proj(self.norm(delta).flatten(-2))\n"
                "        return y, (last_inputs, memory, last_short, last_long)\n"
                "        paths = [v,",
            ),
        ),
        removed(
            "the method that holds the idea is not called",
            "delta_net",
            "kda",
            (KDA_CALL, DELTA_CALL),
        ),
        removed(
            "the filters go to the state alone",
            "delta_net",
            "path_gate_fusion_net",
            (
                "paths = torch.stack([self._split_heads(short), self._split_heads(long), delta],",
                "paths = torch.stack([delta, delta, delta],",
            ),
            (BLEND, "o = context"),
            (MIXED, "context = paths.mean(-1)"),
        ),
        removed(
            "a helper takes the idea and drops it",
            "delta_net",
            "gated_delta_net",
            (GATED_CALL, DELTA_CALL.replace("v,\n", "self._with(v, self._log_decay(x)),\n")),
            (
                "    def _split_heads",
                "    def _with(self, v, decay):\n        return v\n\n    def _split_heads",
            ),
        ),
        removed(
            "the loop that applies it never runs",
            "delta_net",
            "gated_delta_net",
            (
                GATED_CALL,
                DELTA_CALL + "        while False:\n            o = o * "
                "self._log_decay(x).exp()[..., None]\n",
            ),
        ),
        removed(
            "an assertion is all that reads it",
            "linear_attention",
            "gla",
            (
                "o, state = chunk_gla(q, k, v, log_decay,",
                "assert log_decay.shape == k.shape\n        o, state = chunk_linear_attn(q, k, v,",
            ),
            ("* gate)", ")"),
        ),
        removed(
            "a default argument turns it off",
            "delta_net",
            "hier_gate_net",
            (
                "    def forward(self, x: Tensor, state: State | None = None)",
                "    def forward(self, x: Tensor, state: State | None = None, mix=False)",
            ),
            (
                "        y = self.out_proj",
                "        o = o if mix else delta\n        y = self.out_proj",
            ),
        ),
    ]


# --- small ideas, which a fault may outweigh ----------------------------------------------------

INIT = "        self.norm = RMSNorm(self.head_dim)\n"
BETA = "beta = torch.sigmoid(self.beta_proj(x))"
OUT = "self.norm(o).flatten(-2) * gate"
SPLIT = "q, k, v = self._split_heads(qkv).chunk(3, dim=2)\n"


def _idea(*edits: Edit) -> str:
    return edited(template_source("delta_net"), *edits)


def _small(what: str, idea: str, *edits: Edit) -> Case:
    return Case(what, template_source("delta_net"), idea, edited(idea, *edits))


def _ideas() -> dict[str, str]:
    """Return designs that differ from DeltaNet by a line or two."""
    return {
        "residual": _idea(
            (INIT, f"{INIT}        self.residual = nn.Parameter(torch.ones(num_heads, 1))\n"),
            (OUT, "(self.norm(o) + self.residual * v).flatten(-2) * gate"),
        ),
        "head gate": _idea(
            (INIT, f"{INIT}        self.head_gate = nn.Linear(hidden_size, num_heads)\n"),
            (
                OUT,
                "(self.norm(o) * torch.sigmoid(self.head_gate(x))[..., None]).flatten(-2) * gate",
            ),
        ),
        "write bias": _idea(
            (INIT, f"{INIT}        self.write_bias = nn.Parameter(torch.zeros(num_heads))\n"),
            (BETA, "beta = torch.sigmoid(self.beta_proj(x) + self.write_bias)"),
        ),
        "softmax keys": _idea((SPLIT, f"{SPLIT}        k = k.softmax(-1)\n")),
        "squared queries": _idea((SPLIT, f"{SPLIT}        q = F.relu(q) ** 2\n")),
        "momentum": _idea(
            (INIT, f"{INIT}        self.rate = nn.Parameter(torch.zeros(num_heads, 1))\n"),
            (
                SPLIT,
                f"{SPLIT}        r = torch.sigmoid(self.rate)\n"
                "        v = r * v + (1 - r) * torch.cat([v[:, :1], v[:, :-1]], dim=1)\n",
            ),
        ),
        "shift": _idea(
            (INIT, f"{INIT}        self.shift = nn.Parameter(torch.zeros(hidden_size))\n"),
            (
                "qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)",
                "x = x + self.shift * (torch.roll(x, 1, 1) - x)\n"
                "        qkv, last_inputs = self.qkv_conv(self.qkv_proj(x), last_inputs)",
            ),
        ),
        "no gate": _idea((GATE, ""), (OUT, "self.norm(o).flatten(-2)")),
        "no norm": _idea((INIT, ""), (OUT, "o.flatten(-2) * gate")),
        "double write": _idea((BETA, "beta = 2 * torch.sigmoid(self.beta_proj(x))")),
    }


def small_repairs() -> list[Case]:
    """Return repairs of designs that differ from their parent by little."""
    of = _ideas()
    return [
        _small(
            "a residual without the mean over the batch",
            of["residual"].replace("self.residual * v", "self.residual * (v - v.mean(0))"),
            ("self.residual * (v - v.mean(0))", "self.residual * v"),
        ),
        _small(
            "a residual whose values are bounded",
            of["residual"],
            ("self.residual * v", "self.residual.clamp(-2, 2) * v"),
        ),
        _small(
            "a residual that is told in another way",
            of["residual"],
            ("(self.norm(o) + self.residual * v)", "torch.addcmul(self.norm(o), self.residual, v)"),
        ),
        _small(
            "a gate without a norm over the length",
            of["head gate"].replace("self.head_gate(x))", "self.head_gate(x).softmax(1))"),
            ("self.head_gate(x).softmax(1))", "self.head_gate(x))"),
        ),
        _small(
            "a gate with a floor",
            of["head gate"],
            (
                "torch.sigmoid(self.head_gate(x))",
                "(0.05 + 0.95 * torch.sigmoid(self.head_gate(x)))",
            ),
        ),
        _small(
            "a write strength without a cast",
            of["write bias"].replace("self.write_bias)", "self.write_bias.float())"),
            ("self.write_bias.float())", "self.write_bias)"),
        ),
        _small(
            "a write strength that starts lower",
            of["write bias"],
            ("torch.zeros(num_heads)", "torch.full((num_heads,), -1.0)"),
        ),
        _small(
            "keys over features, not over tokens",
            of["softmax keys"].replace("k.softmax(-1)", "k.softmax(1)"),
            ("k.softmax(1)", "k.softmax(-1)"),
        ),
        _small(
            "keys with a temperature",
            of["softmax keys"],
            ("k.softmax(-1)", "(0.5 * k).softmax(-1)"),
        ),
        _small(
            "queries that are clamped",
            of["squared queries"],
            ("F.relu(q) ** 2", "F.relu(q).clamp(max=4.0) ** 2"),
        ),
        _small(
            "queries squared by an op of ours",
            of["squared queries"],
            ("F.relu(q) ** 2", "F.relu(q).square()"),
        ),
        _small(
            "a shift from the state on",
            of["shift"],
            ("torch.roll(x, 1, 1)", "token_shift(x, None)[0]"),
            ("chunk_delta_rule, l2norm\n", "chunk_delta_rule, l2norm, token_shift\n"),
        ),
        _small(
            "a momentum in steps of ours",
            of["momentum"],
            ("torch.cat([v[:, :1], v[:, :-1]], dim=1)", "token_shift(v.flatten(-2))[0].view_as(v)"),
            ("chunk_delta_rule, l2norm\n", "chunk_delta_rule, l2norm, token_shift\n"),
        ),
        _small(
            "no gate, and keys that are bounded",
            of["no gate"],
            ("l2norm(k)", "l2norm(k.clamp(-9, 9))"),
        ),
        _small(
            "no norm, and a smaller output",
            of["no norm"],
            ("o.flatten(-2) * gate", "0.1 * o.flatten(-2) * gate"),
        ),
        _small(
            "a double write strength, a little less",
            of["double write"],
            ("beta = 2 *", "beta = 1.9 *"),
        ),
    ]


def small_removals() -> list[Case]:
    """Return removals of ideas that differ from the parent by little."""
    of, parent = _ideas(), template_source("delta_net")
    whole = [Case(f"{name} becomes DeltaNet", parent, idea, parent) for name, idea in of.items()]
    return [
        *whole,
        _small(
            "a residual of zero", of["residual"], ("self.residual * v", "0 * self.residual * v")
        ),
        _small(
            "a residual that is made and dropped",
            of["residual"],
            ("(self.norm(o) + self.residual * v)", "self.norm(o)"),
        ),
        _small(
            "a gate of one",
            of["head gate"],
            ("torch.sigmoid(self.head_gate(x))", "torch.ones_like(self.head_gate(x))"),
        ),
        _small(
            "a bias that stands beside",
            of["write bias"],
            ("self.beta_proj(x) + self.write_bias", "self.beta_proj(x)"),
        ),
        _small(
            "keys that are overwritten",
            of["softmax keys"],
            ("k = k.softmax(-1)", "weights = k.softmax(-1)"),
        ),
        _small(
            "queries as they were",
            of["squared queries"],
            ("q = F.relu(q) ** 2", "squares = F.relu(q) ** 2"),
        ),
        _small(
            "a shift behind a test that fails",
            of["shift"],
            ("x = x + self.shift", "if 1 > 2:\n            x = x + self.shift"),
        ),
        _small(
            "values alone",
            of["momentum"],
            ("v = r * v + (1 - r) * torch", "w = r * v + (1 - r) * torch"),
        ),
        _small(
            "the gate is back",
            of["no gate"],
            ("self.norm(o).flatten(-2)", "self.norm(o).flatten(-2) * F.silu(self.gate_proj(x))"),
        ),
        _small(
            "the norm is back",
            of["no norm"],
            ("        self.out_proj =", f"{INIT}        self.out_proj ="),
            ("o.flatten(-2) * gate", OUT),
        ),
        _small(
            "another idea for a residual",
            of["residual"],
            ("self.norm(o) + self.residual * v", "self.norm(o) * torch.tanh(v)"),
        ),
    ]
