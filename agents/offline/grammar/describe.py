"""A change in words: what was changed, which weakness it answers, what is expected of it."""

from typing import NamedTuple

from move37.agents.offline.grammar.genome import Gene, gene_tags
from move37.agents.offline.grammar.variation import Change, Edit


class Case(NamedTuple):
    """The case for a mechanism: the weakness it answers and the effect that would show it."""

    weakness: str
    effect: str


CASES: dict[str, Case] = {
    "delta-rule": Case(
        "a memory that only adds lets old values under the same key blur new ones",
        "sharper recall where keys are written again",
    ),
    "gated-delta-rule": Case(
        "a delta rule clears one key at a time and cannot drop a finished topic at once",
        "lower loss on text that changes its subject, with recall kept",
    ),
    "linear-attention": Case(
        "correcting every write costs a triangular solve that may not pay on short contexts",
        "faster steps at nearly the same loss, and weaker recall of overwritten keys",
    ),
    "scalar-decay": Case(
        "without forgetting the state fills up and old writes drown recent ones",
        "lower loss on long inputs through a memory that stays recent",
    ),
    "learned-decay": Case(
        "a fixed rate forgets just as fast inside a word as at the end of a file",
        "forgetting at boundaries and holding in between, so lower loss",
    ),
    "fixed-decay": Case(
        "learned rates may collapse to one speed early in training",
        "steadier training with a known spread of memory spans",
    ),
    "feature-map-elu": Case(
        "features of mixed sign let reads cancel each other",
        "smooth positive reads and calmer gradients",
    ),
    "feature-map-relu": Case(
        "dense features make every key overlap every other",
        "sparser keys that interfere less",
    ),
    "feature-map-silu": Case(
        "a map without a negative part loses the direction of small features",
        "nearly sparse keys that still pass gradients",
    ),
    "feature-map-exp": Case(
        "flat features cannot point at one slot as softmax attention can",
        "more selective reads from keys that compete for their mass",
    ),
    "feature-map-identity": Case(
        "a nonlinearity on keys folds directions together that the projection kept apart",
        "full use of the key space, negative directions included",
    ),
    "key-norm": Case(
        "long keys write and erase too strongly and make the recurrence unstable",
        "stable training at high learning rates",
    ),
    "beta-sigmoid": Case(
        "writing every token at full strength spends memory on tokens of no use",
        "a cleaner state, since the token itself decides how much is written",
    ),
    "beta-double": Case(
        "a write strength below one can only shrink a direction, never flip it",
        "better state tracking (parity, toggles) through negative eigenvalues",
    ),
    "beta-per-head-bias": Case(
        "all heads begin with the same write strength and specialise late",
        "faster division of labour between slow and fast heads",
    ),
    "short-convolution": Case(
        "single tokens say too little to be a key; pairs and triples do",
        "early gains on local patterns and induction",
    ),
    "long-convolution": Case(
        "a compressed state blurs exact positions a few dozen tokens back",
        "lower loss on indentation, lists and other regular spacing",
    ),
    "token-shift": Case(
        "a key made from one token cannot say what came just before it",
        "cheap bigram keys, which in-context copying rests on",
    ),
    "value-residual": Case(
        "the current token's value has to pass through the state to be seen at all",
        "better gradients to the values and an easier start of training",
    ),
    "path-softmax": Case(
        "summed paths cannot be told apart by a token that needs only one",
        "each token picks local or global context under one budget",
    ),
    "path-sigmoid": Case(
        "a shared budget makes one path pay for the strength of another",
        "paths open together where both help",
    ),
    "path-two-stage": Case(
        "one flat choice mixes two questions: local or global, and which local path",
        "a choice that is learned sooner because each stage is simple",
    ),
    "router-temperature": Case(
        "a router starts too soft and stays near the average of its paths",
        "sharper routing where it pays, learned for each head",
    ),
    "router-floor": Case(
        "a path that is closed early gets no gradient and never opens again",
        "no dead paths and steadier routing",
    ),
    "output-gate": Case(
        "the memory answers even where a token needs no recall",
        "less noise in the output, since a token can mute its read",
    ),
    "output-norm": Case(
        "reads grow with the number of matching writes",
        "even output scale over lengths, hence stabler training",
    ),
    "state-expansion": Case(
        "a small state holds few associations before they collide",
        "more pairs recalled, at the price of parameters and state",
    ),
    "direct-copy": Case(
        "a token has no way past the memory to the output of its own layer",
        "local statistics served directly, leaving the memory to the rest",
    ),
    "multi-timescale": Case(
        "one memory span cannot serve both syntax and topic",
        "short and long context kept side by side",
    ),
}

TITLES: dict[str, str] = {
    "memory": "the memory",
    "decay": "the decay",
    "beta": "the write strength",
    "beta_bias": "a learned bias of each head on the write strength",
    "feature_map": "the feature map of queries and keys",
    "key_norm": "unit length of queries and keys",
    "key_width": "the key width",
    "value_width": "the value width",
    "conv_keys": "the short convolution on queries and keys",
    "conv_values": "the short convolution on values",
    "shift": "the token shift",
    "filter_taps": "the long causal filter",
    "filter_per_head": "sharing of the long filter's taps inside a head",
    "copy_path": "the direct copy path",
    "value_residual": "the value residual",
    "fusion": "the fusion of paths",
    "temperature": "the learned router temperature",
    "floor_percent": "the floor under each path's share",
    "output_norm": "the output norm of each head",
    "output_gate": "the output gate",
}

PHRASES: dict[str, dict[Gene, str]] = {
    "memory": {
        "delta": "the delta rule",
        "gated_delta": "the gated delta rule",
        "linear": "additive linear attention",
    },
    "decay": {
        "none": "none",
        "fixed": "fixed rates spread over the heads",
        "head": "one learned rate for each head",
        "token": "a rate computed from the token",
    },
    "beta": {
        "none": "none",
        "sigmoid": "sigmoid in (0, 1)",
        "double": "doubled sigmoid in (0, 2)",
    },
    "feature_map": {"elu": "elu + 1", "exp": "softmax over features"},
    "key_width": {"half": "half a head", "same": "one head", "double": "two heads"},
    "value_width": {"same": "one head", "double": "two heads"},
    "shift": {"keys": "on keys only", "all": "on all inputs"},
    "fusion": {
        "softmax": "a softmax router",
        "sigmoid": "independent sigmoid gates",
        "two_stage": "a two-stage router",
        "sum": "a plain sum",
    },
    "output_gate": {
        "silu": "silu for each channel",
        "sigmoid": "sigmoid for each channel",
        "head": "sigmoid for each head",
    },
}
MENDED = "Expected: the failure goes with it, and what is left of the idea can be measured."
TAPS = ("conv_keys", "conv_values", "filter_taps")


def describe(change: Change) -> str:
    """Return the motivation of a change: what, why, and what effect is expected."""
    if not change.edits:
        return "Nothing was changed: both parents are the same design."
    opening = {
        "mutation": "",
        "crossover": "Crosses two designs. ",
        "repair": "Mends a design that failed. ",
    }[change.kind]
    main, *others = change.edits
    case = MENDED if change.kind == "repair" else _case(main)
    link = "With it: " if change.kind == "mutation" else "Also: "
    also = f" {link}{'; '.join(edit_words(edit) for edit in others)}." if others else ""
    return f"{opening}{_sentence(edit_words(main))} {case}{also}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def edit_words(edit: Edit) -> str:
    """Return one edit in words, such as `adds the value residual`."""
    title = TITLES[edit.field]
    if _absent(edit.old):
        value = "" if edit.new is True else f": {_phrase(edit.field, edit.new)}"
        return f"adds {title}{value}"
    if _absent(edit.new):
        return f"removes {title}"
    old, new = _phrase(edit.field, edit.old), _phrase(edit.field, edit.new)
    return f"changes {title} from {old} to {new}"


def _absent(value: Gene) -> bool:
    return value in (False, "none")  # a filter of no taps equals False too


def _phrase(field: str, value: Gene) -> str:
    if field in TAPS:
        return f"{value} taps"
    if field == "floor_percent":
        return f"{value} %"
    return PHRASES.get(field, {}).get(value, str(value))


def _case(edit: Edit) -> str:
    """Return why: for what is new, else for what is gone, else for a change of size."""
    new, old = gene_tags(edit.field, edit.new), gene_tags(edit.field, edit.old)
    gained = [tag for tag in new if tag not in old]
    if gained:
        # the last tag is the most particular one: fixed and token decays are scalar decays too
        case = CASES[gained[-1]]
        return f"Weakness addressed: {case.weakness}. Expected: {case.effect}."
    if not new and not old:
        return _case_of_size(edit)
    if not new:
        case = CASES[old[-1]]
        return (
            f"It was there because {case.weakness}. Expected: if that does not bind here, the same "
            "loss with fewer parameters and faster steps; otherwise the loss rises and shows its "
            "worth."
        )
    return f"It is there because {CASES[new[-1]].weakness}. {_dose(edit)}"


def _dose(edit: Edit) -> str:
    """Return what is expected where a mechanism stays and only its form or size changes."""
    if edit.field in (*TAPS, "floor_percent"):
        if int(edit.new) > int(edit.old):
            return "Expected: more of its effect, if the present size is what limits it."
        return "Expected: the same effect for less, if the present size is not used."
    return "Expected: the new form fits better at about the same cost."


def _case_of_size(edit: Edit) -> str:
    """Return what is expected of a choice that no mechanism names."""
    if edit.field == "fusion":
        return "Expected: a simpler way to join the paths at the same loss."
    if edit.field == "filter_per_head" and edit.new:
        return "Expected: the same reach with far fewer parameters, as channels of a head agree."
    if edit.field == "filter_per_head":
        return "Expected: channels of one head look at different distances, so lower loss."
    if edit.new == "half":
        return "Expected: the same loss from a smaller state, with parameters to spare."
    return "Expected: room for more keys before they collide."
