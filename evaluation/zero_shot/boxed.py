"""The harness's model object: what it asks as text goes to a box as tokens, one at a time.

This module imports `lm_eval`; import it only where that is known to be there (`harness.require`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from move37.evaluation.zero_shot.streams import Boxed, Prompt, Request, Window
from move37.evaluation.zero_shot.text import Tokenizer
from move37.records import UserError

# The harness's own default where a task names no other.
GENERATED = 256


class BoxedModel(TemplateLM):
    """A trained candidate as the harness sees a language model; `limit` is in tokens.

    Log-likelihoods are computed here, in nats, from logits that the box returned before it had the
    label. A context is cut from the left where context and continuation together are longer than
    the windows that the model was trained on.

    Raises:
        BoxFailure: from every question, when the candidate fails at it.
    """

    def __init__(self, model: Boxed, tokenizer: Tokenizer, limit: int) -> None:
        super().__init__()
        self._model = model
        self._tokenizer = tokenizer
        self._limit = limit

    @property
    def eot_token_id(self) -> int:
        """The token between documents."""
        return self._tokenizer.start

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: object
    ) -> list[int]:
        """Return the ids of a text; there are no special tokens to add."""
        return self._tokenizer.encode(string)

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Return nats (at most 0) and whether it is the greedy one, for each continuation."""
        found = self._model.likelihoods([self._continuation(r) for r in requests])
        return [(-likelihood.nats, likelihood.greedy) for likelihood in found]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Return the nats (at most 0) of whole texts, in windows that do not overlap."""
        texts = []
        for request in requests:
            ids = self.tok_encode(request.args[0])
            windows = rolling(ids, self._tokenizer.start, self._limit)
            texts.append(Request(_document(request), request.args[0], windows))
        return [-likelihood.nats for likelihood in self._model.likelihoods(texts)]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return greedy continuations, cut before the first of the texts that end them.

        A prompt keeps at least half of the model's limit.

        Raises:
            UserError: the task asks for samples.
        """
        prompts, stops = [], []
        for request in requests:
            context, asked = request.args
            ends = _ends(asked)
            ids = self.tok_encode(context) or [self._tokenizer.start]
            room = min(int(asked.get("max_gen_toks", GENERATED)), max(1, self._limit // 2))
            kept = tuple(ids[-(self._limit + 1 - room) :])
            prompts.append(Prompt(kept, room, partial(self._ended, ends)))
            stops.append(ends)
        told = self._model.generate(prompts)
        texts = [self._tokenizer.decode(ids) for ids in told]
        return [_cut(text, ends) for text, ends in zip(texts, stops, strict=True)]

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **kwargs: object
    ) -> list[tuple[float, bool]]:
        raise NotImplementedError("tokens alone do not tell which document they are of")

    def _continuation(self, request: Instance) -> Request:
        context, continuation = request.args
        if context:
            before, after = self._encode_pair(context, continuation)
        else:
            before, after = [self._tokenizer.start], self.tok_encode(continuation)
        return Request(_document(request), context, windows_of(before, after, self._limit))

    def _ended(self, ends: Sequence[str], said: Sequence[int]) -> bool:
        text = self._tokenizer.decode(said)
        return any(end in text for end in ends)


def windows_of(before: Sequence[int], after: Sequence[int], limit: int) -> tuple[Window, ...]:
    """Return the windows that score `after` behind `before`, each of at most `limit` inputs.

    One where `after` fits; else its own beginning is all the context that there is room for.
    """
    if not after:
        return ()
    if len(after) > limit:
        return rolling(after, before[-1], limit)
    return (Window(tuple([*before, *after][-(limit + 1) :]), len(after)),)


def rolling(ids: Sequence[int], start: int, limit: int) -> tuple[Window, ...]:
    """Return disjoint windows over all of `ids`, the first behind `start`."""
    parts = get_rolling_token_windows(list(ids), start, limit, context_len=1)
    pairs = (make_disjoint_window(part) for part in parts)
    return tuple(Window((*before, *after), len(after)) for before, after in pairs)


def _document(request: Instance) -> tuple[str | None, int | None]:
    return request.task_name, request.doc_id


def _ends(asked: dict[str, Any]) -> tuple[str, ...]:
    if asked.get("do_sample") and not math.isclose(float(asked.get("temperature", 1.0)), 0.0):
        raise UserError("a task asks for sampled text; only greedy generation is supported")
    until = asked.get("until") or ()
    return (until,) if isinstance(until, str) else tuple(until)


def _cut(text: str, ends: Sequence[str]) -> str:
    found = [text.index(end) for end in ends if end in text]
    return text[: min(found)] if found else text
