"""Likelihoods from a box that gets tokens one at a time, many rows side by side."""

from __future__ import annotations

import numpy as np
import pytest

from move37.evaluation.data import Corpus, token_losses
from move37.evaluation.scoring import stream_logits
from move37.evaluation.zero_shot.streams import Boxed, Prompt, Request, Window, passes
from move37.evaluation.zero_shot.text import ByteTokenizer, held_out_text


def request(document: str, context: str, *windows: Window) -> Request:
    return Request(document, context, windows)


def test_text_in_the_secret_alphabet_comes_back_and_is_not_plain(corpus: Corpus) -> None:
    tokenizer, text = ByteTokenizer(corpus), 'naïve = "π"\n'
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert bytes(ids) != text.encode()
    assert tokenizer.start == ids[-1]
    assert "import " in held_out_text(corpus)


def test_likelihoods_agree_with_the_losses_of_whole_rows(boxed: Boxed, corpus: Corpus) -> None:
    rows = [corpus.held_out[i * 500 : i * 500 + n] for i, n in enumerate((40, 17, 64, 3))]
    scored = (7, 16, 1, 2)
    asked = [
        request(str(i), "", Window(tuple(row.tolist()), n))
        for i, (row, n) in enumerate(zip(rows, scored, strict=True))
    ]
    found = boxed.likelihoods(asked)
    for row, count, likelihood in zip(rows, scored, found, strict=True):
        tokens = row[None].astype(np.int64)
        with boxed.nursery.open_box(boxed.limits) as box:
            logits = stream_logits(box, boxed.job, boxed.weights, tokens[:, :-1])
        losses = token_losses(logits, tokens)[0, -count:]
        assert likelihood.nats == pytest.approx(losses.sum(), rel=1e-5)
        right = (logits[0, -count:].argmax(-1) == tokens[0, -count:]).all()
        assert likelihood.greedy == bool(right)


def test_no_row_stands_beside_another_context_or_an_earlier_window_of_its_document() -> None:
    a, b, c = (Window((1,) * n, 1) for n in (5, 4, 3))
    asked = [
        request("one", "x", a, b, c),
        request("one", "x", b, c),
        request("one", "y", a),
        request("two", "x", c, a),
    ]
    found = list(passes(asked, 100))
    held = [{(asked[i].document, asked[i].context) for i, _ in rows} for rows in found]
    assert all(len({d for d, _ in names}) == len(names) for names in held)
    order = [(i, window) for rows in found for i, window in rows]
    assert sorted(i for i, _ in order) == [0, 0, 0, 1, 1, 2, 3, 3]
    for number, each in enumerate(asked):
        assert [w for i, w in order if i == number] == list(each.windows)
    assert all(len({i for i, _ in rows}) == len(rows) for rows in found)
    assert max(map(len, passes(asked, 1))) == 1


def test_a_model_that_hears_other_rows_gains_nothing_from_those_of_one_document(
    listener: Boxed, corpus: Corpus
) -> None:
    """The same continuation behind two contexts: one row has it before the other is asked."""
    ids = corpus.held_out.tolist()
    answer = ids[900:910]
    pair = [
        request("one", "long", Window((*ids[:30], *answer), 10)),
        request("one", "short", Window((*ids[200:220], *answer), 10)),
    ]
    alone = [listener.likelihoods([each])[0].nats for each in pair]
    assert [found.nats for found in listener.likelihoods(pair)] == alone
    # It does hear: taken for two documents, they would stand side by side.
    strangers = [Request(str(i), "", each.windows) for i, each in enumerate(pair)]
    assert [found.nats for found in listener.likelihoods(strangers)] != alone


def test_what_is_generated_is_the_likeliest_token_each_time(boxed: Boxed, corpus: Corpus) -> None:
    starts = [tuple(corpus.held_out[i : i + n].tolist()) for i, n in ((0, 9), (700, 4), (90, 30))]
    prompts = [
        Prompt(start, room, lambda _: False) for start, room in zip(starts, (5, 8, 1), strict=True)
    ]
    said = boxed.generate(prompts)
    assert [len(ids) for ids in said] == [5, 8, 1]
    for start, ids in zip(starts, said, strict=True):
        row = np.array([[*start, *ids]])
        with boxed.nursery.open_box(boxed.limits) as box:
            logits = stream_logits(box, boxed.job, boxed.weights, row[:, :-1])
        assert logits[0].argmax(-1)[len(start) - 1 :].tolist() == ids
    stopped = boxed.generate([Prompt(starts[1], 8, lambda ids: len(ids) == 3)])
    assert stopped == [said[1][:3]]
