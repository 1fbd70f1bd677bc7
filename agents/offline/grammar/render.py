"""Genome to program: a TokenMixer as a person would write it, and the genome back from it.

Nothing is interpreted at run time: a mechanism that the genome lacks leaves no line behind.
"""

import re
import textwrap

from move37.agents.offline.grammar.genome import ROOT, ROUTERS, WIDTH, Genome, state_numbers

LINE = 100
GRAMMAR_LINE = re.compile(r"^# grammar: (\{.*\})$", re.MULTILINE)

MEMORY_OP = {
    "delta": "chunk_delta_rule",
    "gated_delta": "chunk_gated_delta_rule",
    "linear": "chunk_simple_gla",
}


def render(genome: Genome, name: str, motivation: str) -> str:
    """Return the source of a TokenMixer; its `# grammar:` line carries the genome."""
    blocks = [_header(genome, name, motivation), _imports(genome), _class(genome)]
    return "\n".join(blocks)


def parse(code: str) -> Genome | None:
    """Return the genome that the last `# grammar:` line names, or None without a valid one."""
    found = GRAMMAR_LINE.findall(code)
    if not found:
        return None
    try:
        return Genome.model_validate_json(found[-1])
    except ValueError:
        return None


# --- head of the file ---------------------------------------------------------------------------


def equation(genome: Genome) -> tuple[str, ...]:
    """Return the recurrence of the memory in the field's notation."""
    decay = "" if genome.decay == "none" else "a_t "
    beta = "" if genome.beta == "none" else "b_t "
    write = f"{beta}k_t v_t^T"
    if genome.memory == "linear":
        step = f"S_t = {decay}S_(t-1) + {write}"
    else:
        step = f"S_t = (I - b_t k_t k_t^T) {decay}S_(t-1) + {write}"
    notes = [note for note in (_decay_note(genome), _beta_note(genome)) if note]
    return (f"{step},    o_t = S_t^T q_t", *notes)


def _decay_note(genome: Genome) -> str:
    return {
        "none": "",
        "fixed": "a_t = exp(-r_h), a constant of each head, fast to slow",
        "head": "a_t = exp(-r_h), learned for each head",
        "token": "a_t = exp(-r_h softplus(w_h x_t + c_h)), computed from the token",
    }[genome.decay]


def _beta_note(genome: Genome) -> str:
    bias = " + c_h" if genome.beta_bias else ""
    return {
        "none": "",
        "sigmoid": f"b_t = sigmoid(w_h x_t{bias})",
        "double": f"b_t = 2 sigmoid(w_h x_t{bias}), so that eigenvalues reach down to -1",
    }[genome.beta]


def _header(genome: Genome, name: str, motivation: str) -> str:
    title = textwrap.shorten(_plain(name), 90, placeholder="...") or "Token mixer"
    paragraphs = [
        textwrap.fill(_plain(part), 96) for part in motivation.splitlines() if _plain(part)
    ]
    memory = "\n".join(("Memory:", *(f"    {line}" for line in equation(genome))))
    text = "\n\n".join((f"{title.rstrip('.')}.", *paragraphs, memory))
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}\n"""\n# grammar: {genome.model_dump_json()}\n'


def _plain(text: str) -> str:
    """Return text on one line, without control characters and what UTF-8 cannot hold."""
    text = " ".join(text.split()).encode("utf-8", "replace").decode()
    return "".join(char for char in text if char.isprintable()).lstrip('"')


def _imports(genome: Genome) -> str:
    functional = "from torch.nn import functional as F\n" if _uses_functional(genome) else ""
    names = {
        MEMORY_OP[genome.memory]: True,
        "RMSNorm": genome.output_norm,
        "ShortConvolution": bool(genome.conv_keys or genome.conv_values),
        "causal_conv": bool(genome.filter_taps),
        "l2norm": genome.key_norm,
        "token_shift": genome.shift != "none",
    }
    used = sorted(name for name, needed in names.items() if needed)
    line = f"from move37.arch_templates.ops import {', '.join(used)}"
    if len(line) > LINE:
        listed = "".join(f"    {name},\n" for name in used)
        line = f"from move37.arch_templates.ops import (\n{listed})"
    return f"import torch\nfrom torch import nn\n{functional}\n{line}\n"


def _uses_functional(genome: Genome) -> bool:
    silu = genome.feature_map == "silu" and not genome.conv_keys
    mapped = silu or genome.feature_map in ("relu", "elu")
    return mapped or genome.decay == "token" or genome.output_gate == "silu"


# --- class --------------------------------------------------------------------------------------


def _class(genome: Genome) -> str:
    methods = [_init(genome), _forward(genome), _features(genome)]
    if genome.decay != "none":
        methods.append(_decay(genome))
    if genome.fusion in ROUTERS:
        methods.append(_route(genome))
    body = "\n\n".join(textwrap.indent("\n".join(lines), "    ") for lines in methods)
    doc = (
        '    """Maps x [B, T, hidden] to y [B, T, hidden]; the state holds what decoding needs."""'
    )
    declared = "    large_state = True  # more of it than the DeltaNet template has\n\n"
    if state_numbers(genome) <= state_numbers(ROOT):
        declared = ""
    return f"\nclass TokenMixer(nn.Module):\n{doc}\n\n{declared}{body}\n"


def _scaled(name: str, width: float) -> str:
    return {0.5: f"{name} // 2", 1.0: name, 2.0: f"2 * {name}"}[width]


def _body(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _init(genome: Genome) -> list[str]:
    key = _scaled("head_dim", WIDTH[genome.key_width])
    value = _scaled("head_dim", WIDTH[genome.value_width])
    lines = [
        "super().__init__()",
        "self.num_heads = num_heads",
        "head_dim = hidden_size // num_heads",
        f"key_dim = num_heads * {f'({key})' if '//' in key else key}",
        f"value_dim = num_heads * {value}",
        "self.q_proj = nn.Linear(hidden_size, key_dim, bias=False)",
        "self.k_proj = nn.Linear(hidden_size, key_dim, bias=False)",
        "self.v_proj = nn.Linear(hidden_size, value_dim, bias=False)",
        "self.o_proj = nn.Linear(value_dim, hidden_size, bias=False)",
        *_init_input(genome),
        *_init_memory(genome),
        *_init_paths(genome),
        *_init_output(genome, value),
    ]
    return [
        "def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0):",
        *_body(lines),
    ]


def _init_input(genome: Genome) -> list[str]:
    lines = []
    if genome.shift != "none":
        lines.append("self.shift = nn.Parameter(torch.full((hidden_size,), 0.3))")
    if genome.conv_keys:
        activation = '"silu"' if genome.feature_map == "silu" else "None"
        arguments = f"key_dim, {genome.conv_keys}, activation={activation}"
        lines.append(f"self.q_conv = ShortConvolution({arguments})")
        lines.append(f"self.k_conv = ShortConvolution({arguments})")
    if genome.conv_values:
        lines.append(
            f'self.v_conv = ShortConvolution(value_dim, {genome.conv_values}, activation="silu")'
        )
    return lines


def _init_memory(genome: Genome) -> list[str]:
    lines = []
    if genome.beta != "none":
        lines.append("self.b_proj = nn.Linear(hidden_size, num_heads, bias=False)")
    if genome.beta_bias:
        lines.append("self.b_bias = nn.Parameter(torch.linspace(-1.0, 1.0, num_heads))")
    if genome.decay in ("fixed", "head"):
        rates = "torch.linspace(-2.0, -6.0, num_heads)"
        lines.append("# forgetting rates a head: horizons from about 7 to about 400 tokens")
        kept = f'self.register_buffer("log_rate", {rates})'
        learned = f"self.log_rate = nn.Parameter({rates})"
        lines.append(kept if genome.decay == "fixed" else learned)
    if genome.decay == "token":
        lines += [
            "self.a_proj = nn.Linear(hidden_size, num_heads, bias=False)",
            "self.a_bias = nn.Parameter(torch.full((num_heads,), -4.0))",
            "self.log_rate = nn.Parameter(torch.linspace(0.0, 2.0, num_heads))",
        ]
    return lines


def _init_paths(genome: Genome) -> list[str]:
    lines = []
    if genome.filter_taps:
        taps = genome.filter_taps
        rows = "num_heads" if genome.filter_per_head else "value_dim"
        lines.append(f"self.filter = nn.Parameter(torch.randn({rows}, {taps}) * {taps}**-0.5)")
    if genome.value_residual:
        lines.append("self.residual = nn.Parameter(torch.full((num_heads, 1), 0.5))")
    if genome.fusion in ROUTERS:
        outputs = 4 if genome.fusion == "two_stage" else genome.paths
        lines.append(f"self.router = nn.Linear(hidden_size, num_heads * {outputs})")
    if genome.temperature:
        shape = "num_heads, 1, 1" if genome.fusion == "two_stage" else "num_heads, 1"
        lines.append(f"self.log_temperature = nn.Parameter(torch.zeros({shape}))")
    return lines


def _init_output(genome: Genome, value: str) -> list[str]:
    lines = []
    if genome.output_norm:
        lines.append(f"self.norm = RMSNorm({value})")
    if genome.output_gate != "none":
        width = "num_heads" if genome.output_gate == "head" else "value_dim"
        lines.append(f"self.g_proj = nn.Linear(hidden_size, {width}, bias=False)")
    return lines


# --- forward ------------------------------------------------------------------------------------


def _forward(genome: Genome) -> list[str]:
    lines = [
        '"""Return y and the state after the last token; pass the state back to go on."""',
        "state = {} if state is None else state",
        "new: dict[str, torch.Tensor] = {}",
        *_project(genome),
        *_recall(genome),
        *_fuse(genome),
        *_emit(genome),
    ]
    return [
        "def forward(",
        "    self, x: torch.Tensor, state: dict[str, torch.Tensor] | None = None",
        ") -> tuple[torch.Tensor, dict[str, torch.Tensor]]:",
        *_body(lines),
    ]


def _project(genome: Genome) -> list[str]:
    keys = "shifted" if genome.shift == "keys" else "x"
    lines = []
    if genome.shift != "none":
        lines.append('previous, new["shift"] = token_shift(x, state.get("shift"))')
        lines.append(f"{keys} = x + self.shift * (previous - x)")
    lines.append(_stream("q", "x", genome.conv_keys))
    lines.append(_stream("k", keys, genome.conv_keys))
    lines.append(_stream("v", "x", genome.conv_values))
    if genome.filter_taps:
        lines += _filter(genome)
    lines.append("q, k = self._features(q), self._features(k)")
    lines.append("v = v.unflatten(-1, (self.num_heads, -1))")
    return lines


def _stream(stream: str, source: str, taps: int) -> str:
    projected = f"self.{stream}_proj({source})"
    if not taps:
        return f"{stream} = {projected}"
    return f'{stream}, new["{stream}"] = self.{stream}_conv({projected}, state.get("{stream}"))'


def _filter(genome: Genome) -> list[str]:
    lines = []
    taps = "self.filter"
    if genome.filter_per_head:
        taps = "taps"
        lines.append("taps = self.filter.repeat_interleave(v.shape[-1] // self.num_heads, dim=0)")
    lines.append(f'local, new["filter"] = causal_conv(v, {taps}, state.get("filter"))')
    lines.append("local = local.unflatten(-1, (self.num_heads, -1))")
    return lines


def _recall(genome: Genome) -> list[str]:
    lines = []
    arguments = ["q", "k", "v"]
    if genome.beta != "none":
        bias = " + self.b_bias" if genome.beta_bias else ""
        factor = "2.0 * " if genome.beta == "double" else ""
        lines.append(f"beta = {factor}torch.sigmoid(self.b_proj(x){bias})")
    if genome.decay != "none":
        lines.append("decay = self._log_decay(x)")
        arguments.append("decay")
    if genome.beta != "none" and genome.memory == "linear":
        arguments[2] = "beta.unsqueeze(-1) * v"
    elif genome.beta != "none":
        arguments.append("beta")
    if genome.key_norm or genome.feature_map == "exp":
        arguments.append("scale=1.0")
    arguments += ["initial_state=memory", "output_final_state=True"]
    lines.append('memory = state.get("memory")')
    return lines + _call(f'o, new["memory"] = {MEMORY_OP[genome.memory]}', arguments)


def _call(head: str, arguments: list[str]) -> list[str]:
    """Lay out a call in a method as the formatter does."""
    joined = ", ".join(arguments)
    if len(f"{head}({joined})") <= LINE - 8:
        return [f"{head}({joined})"]
    if len(joined) <= LINE - 12:
        return [f"{head}(", f"    {joined}", ")"]
    return [f"{head}(", *(f"    {argument}," for argument in arguments), ")"]


def _fuse(genome: Genome) -> list[str]:
    lines = ["o = o + self.residual * v"] if genome.value_residual else []
    paths = ["o"] + ["local"] * bool(genome.filter_taps) + ["v"] * genome.copy_path
    if genome.fusion == "sum":
        lines.append(f"o = {' + '.join(paths)}")
    if genome.fusion in ROUTERS:
        shares = [f"share_{path}" for path in paths]
        lines.append(f"{', '.join(shares)} = self._shares(x).unsqueeze(-1).unbind(-2)")
        terms = (f"{share} * {path}" for share, path in zip(shares, paths, strict=True))
        lines.append(f"o = {' + '.join(terms)}")
    return lines


def _emit(genome: Genome) -> list[str]:
    lines = ["o = self.norm(o)"] if genome.output_norm else []
    gate = {
        "none": [],
        "silu": ["o = o * F.silu(self.g_proj(x)).view_as(o)"],
        "sigmoid": ["o = o * torch.sigmoid(self.g_proj(x)).view_as(o)"],
        "head": ["o = o * torch.sigmoid(self.g_proj(x)).unsqueeze(-1)"],
    }[genome.output_gate]
    return [*lines, *gate, "return self.o_proj(o.flatten(-2)), new"]


# --- helper methods -----------------------------------------------------------------------------


def _features(genome: Genome) -> list[str]:
    mapped = {
        "identity": "x",
        "silu": "x" if genome.conv_keys else "F.silu(x)",
        "relu": "F.relu(x)",
        "elu": "F.elu(x) + 1.0",
        "exp": "x.softmax(-1)",
    }[genome.feature_map]
    result = f"l2norm({mapped})" if genome.key_norm else mapped
    return [
        "def _features(self, x: torch.Tensor) -> torch.Tensor:",
        '    """Split queries or keys into heads [B, T, H, K] and map them."""',
        "    x = x.unflatten(-1, (self.num_heads, -1))",
        f"    return {result}",
    ]


def _decay(genome: Genome) -> list[str]:
    if genome.decay == "token":
        lines = ["return -self.log_rate.exp() * F.softplus(self.a_proj(x) + self.a_bias)"]
    else:
        lines = ["return -self.log_rate.exp().expand(x.shape[0], x.shape[1], -1)"]
    return [
        "def _log_decay(self, x: torch.Tensor) -> torch.Tensor:",
        '    """Return the logarithm of the decay a_t, [B, T, H]."""',
        *_body(lines),
    ]


def _route(genome: Genome) -> list[str]:
    shape = "self.num_heads, 2, 2" if genome.fusion == "two_stage" else "self.num_heads, -1"
    lines = [f"logits = self.router(x).unflatten(-1, ({shape}))"]
    if genome.temperature:
        lines.append("logits = logits * torch.exp(-self.log_temperature)")
    if genome.fusion == "two_stage":
        lines += [
            "# first memory against the local paths, then the local paths among themselves",
            "coarse, fine = logits.softmax(-1).unbind(-2)",
            "shares = torch.cat((coarse[..., :1], coarse[..., 1:] * fine), dim=-1)",
        ]
    else:
        function = "torch.sigmoid(logits)" if genome.fusion == "sigmoid" else "logits.softmax(-1)"
        lines.append(f"shares = {function}")
    if genome.floor_percent:
        lines += _floor(genome)
    else:
        lines[-1] = lines[-1].replace("shares =", "return")
    return [
        "def _shares(self, x: torch.Tensor) -> torch.Tensor:",
        '    """Return the share of each path for each token and head, [B, T, H, paths]."""',
        *_body(lines),
    ]


def _floor(genome: Genome) -> list[str]:
    least = genome.floor_percent / 100
    # independent gates need no common budget; shares that sum to one must go on doing so
    taken = 1 if genome.fusion == "sigmoid" else genome.paths
    return [
        f"# no path falls below {genome.floor_percent} %",
        f"return {least} + {round(1 - taken * least, 2)} * shares",
    ]
