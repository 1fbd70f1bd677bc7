"""Ways in which providers and models go wrong, each drawn from a seed."""

from __future__ import annotations

import email.utils
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tests.agents.openai_server import Body, Plan, Reply, Words, plain, refuse, streamed

# Whether asking again helps, the agent has to cope with what was said, or a user has to act.
Effect = Literal["passes", "words", "refused"]
Play = Callable[[random.Random, Body, Words], Reply]
LATE = 60.0


@dataclass(frozen=True)
class Fault:
    """One way to go wrong: what is sent in the place of the answer."""

    name: str
    effect: Effect
    play: Play


def said(body: Body, words: Words) -> Reply:
    """Return words in the form that the client asked for."""
    return streamed(words, "f") if body.get("stream") else plain(words, "f")


def _told_to_wait(draw: random.Random, _body: Body, _words: Words) -> Reply:
    past = email.utils.formatdate(0, usegmt=True)
    return refuse(429, "slow down", Retry_After=draw.choice(["0", "0.01", "-3", "soon", past]))


def _server_error(draw: random.Random, _body: Body, _words: Words) -> Reply:
    reply = refuse(draw.choice([500, 502, 503, 504, 529]))
    page = replace(reply, pieces=(b"<html>Bad gateway</html>",), kind="text/html")
    return draw.choice([reply, page, replace(reply, pieces=())])


def _hung(_draw: random.Random, body: Body, words: Words) -> Reply:
    return replace(said(body, words), wait=LATE, tokens=None)


def _drip(_draw: random.Random, body: Body, words: Words) -> Reply:
    whole = said(body, words)
    letters = tuple(bytes([letter]) for letter in whole.body)
    return replace(whole, pieces=letters, pause=0.05, tokens=None)


def _dropped(draw: random.Random, body: Body, words: Words) -> Reply:
    whole = said(body, words)
    return replace(whole, cut=draw.randrange(len(whole.body)), tokens=None)


def _truncated(draw: random.Random, body: Body, words: Words) -> Reply:
    # The braces at the end are missing at least, or the end of the last event but one.
    cut = said(body, words).body[: draw.randrange(1, len(said(body, words).body) - 60)]
    return replace(said(body, words), pieces=(cut,), tokens=None)


def _not_json(draw: random.Random, body: Body, words: Words) -> Reply:
    page = draw.choice([b"<html>Please log in</html>", b"", b"null", b"[]", b'"ok"', b"\xff\xfe"])
    kind = draw.choice(["application/json", "text/html"])
    return replace(said(body, words), pieces=(page,), kind=kind, tokens=None)


def _wrong_shape(draw: random.Random, _body: Body, words: Words) -> Reply:
    answer = json.loads(plain(words).body)
    broken: list[Body] = [
        {k: v for k, v in answer.items() if k != "choices"},
        answer | {"choices": None},
        answer | {"choices": []},
        answer | {"choices": [{"index": 0, "finish_reason": "stop"}]},
        answer | {"choices": [{"index": 0, "message": None, "finish_reason": "stop"}]},
        answer | {"choices": [{"index": 0, "message": "hi", "finish_reason": "stop"}]},
        answer | {"usage": {"prompt_tokens": "many"}},
        answer | {"usage": [1, 2]},
        {"error": {"message": "overloaded", "code": 529}},
    ]
    return Reply((json.dumps(draw.choice(broken)).encode(),))


def _nested(_draw: random.Random, _body: Body, _words: Words) -> Reply:
    return Reply((b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",))


def _calling(words: Words, name: str, arguments: str) -> Words:
    """Call a tool in the manner of the words: as the protocol has it, or as JSON in the text."""
    if words.calls:
        return replace(words, calls=((name, arguments),))
    return replace(words, text=f'{{"tool": {json.dumps(name)}, "arguments": {arguments}}}')


def _wrong_tool(draw: random.Random, body: Body, words: Words) -> Reply:
    name = draw.choice(["launch", "writecode", "functions.write_code", "", "__init__", "w" * 300])
    return said(body, _calling(words, name, "{}"))


def _invented(draw: random.Random, body: Body, words: Words) -> Reply:
    """Arguments that no tool has, of types that none takes, or none where there must be some."""
    arguments: list[Body] = [
        {"sudo": True, "path": "/etc/passwd"},
        {"code": 7},
        {"code": None},
        {"code": {"nested": ["list"]}},
        {"name": [], "expected_gain": "much"},
        {"expected_gain": float("nan")},
        {},
    ]
    name = draw.choice(["write_code", "Design"])
    return said(body, _calling(words, name, json.dumps(draw.choice(arguments))))


def _half_arguments(draw: random.Random, body: Body, words: Words) -> Reply:
    """The call that was meant, cut at the limit of the answer's length."""
    finish = draw.choice(["length", "stop"])
    if not words.calls:
        text = words.text[: draw.randrange(1, len(words.text))]
        return said(body, replace(words, text=text, finish=finish))
    ((name, arguments),) = words.calls
    cut = arguments[: draw.randrange(1, max(2, len(arguments)))]
    return said(body, replace(words, calls=((name, cut),), finish=finish))


def _empty(draw: random.Random, body: Body, words: Words) -> Reply:
    return said(body, replace(words, text=draw.choice(["", " \n"]), calls=()))


def _prose(_draw: random.Random, body: Body, words: Words) -> Reply:
    return said(body, replace(words, text="I would write the code like this.", calls=()))


def _refusal(draw: random.Random, body: Body, words: Words) -> Reply:
    silent = replace(words, text="", calls=())
    told = replace(silent, refusal="I cannot help with that.")
    return said(body, draw.choice([told, replace(silent, finish="content_filter")]))


def _loop(_draw: random.Random, body: Body, words: Words) -> Reply:
    return said(body, _calling(words, "read_code", "{}"))


def _huge(draw: random.Random, body: Body, words: Words) -> Reply:
    """A book of prose, more code than a file may hold, or more calls than anyone can follow."""
    code = json.dumps({"code": "x = 1\n" * 20_000})
    kinds = (
        replace(words, text="la " * 100_000, calls=()),
        _calling(words, "write_code", code),
        replace(words, calls=(("read_code", "{}"),) * 60),
    )
    return said(body, draw.choice(kinds))


def _mojibake(draw: random.Random, body: Body, words: Words) -> Reply:
    text = "# Größe, 深い, \U0001f600\n"
    wrong = text.encode().decode("latin-1")
    spoilt = draw.choice([wrong, wrong + "\ufffd\x00\x1b[2J", text + "\ud800", text[::-1]])
    whole = said(body, _calling(words, "write_code", json.dumps({"code": spoilt})))
    if draw.random() < 0.3:
        pieces = tuple(piece.replace(b"write_code", b"write\xff\xfecode") for piece in whole.pieces)
        return replace(whole, pieces=pieces, tokens=None)
    return whole


def _status(status: int) -> Play:
    return lambda _draw, _body, _words: refuse(status, f"refused with {status}")


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("429", "passes", _status(429)),
        Fault("429 with Retry-After", "passes", _told_to_wait),
        Fault("408", "passes", _status(408)),
        Fault("5xx", "passes", _server_error),
        Fault("hung", "passes", _hung),
        Fault("slow stream", "passes", _drip),
        Fault("dropped stream", "passes", _dropped),
        Fault("closed at once", "passes", lambda *_: Reply((), status=0)),
        Fault("truncated JSON", "passes", _truncated),
        Fault("not JSON", "passes", _not_json),
        Fault("wrong shape", "passes", _wrong_shape),
        Fault("nested without end", "passes", _nested),
        Fault("wrong tool name", "words", _wrong_tool),
        Fault("invented arguments", "words", _invented),
        Fault("truncated arguments", "words", _half_arguments),
        Fault("empty answer", "words", _empty),
        Fault("prose", "words", _prose),
        Fault("refusal", "words", _refusal),
        Fault("endless loop", "words", _loop),
        Fault("huge answer", "words", _huge),
        Fault("mojibake", "words", _mojibake),
        *(Fault(str(status), "refused", _status(status)) for status in (400, 401, 403, 404, 422)),
    )
}
# They cost the client's whole patience each.
LASTING = ("hung", "slow stream")


def of(*effects: Effect) -> list[str]:
    """Return the names of the quick faults that have one of these effects."""
    return [f.name for f in FAULTS.values() if f.effect in effects and f.name not in LASTING]


def at(requests: Iterable[int], name: str, seed: int) -> Plan:
    """Return a plan that plays one fault at these requests, counted from 0."""
    draw, turn, chosen = random.Random(seed), _counting(), frozenset(requests)

    def plan(body: Body, words: Words) -> tuple[str, Reply] | None:
        hit = next(turn) in chosen
        return (name, FAULTS[name].play(draw, body, words)) if hit else None

    return plan


def always(name: str, seed: int) -> Plan:
    """Return a plan that plays one fault whatever is asked."""
    draw = random.Random(seed)
    return lambda body, words: (name, FAULTS[name].play(draw, body, words))


def now_and_then(names: list[str], rate: float, seed: int, in_a_row: int = 2) -> Plan:
    """Return a plan that plays one of these faults at this rate, so often in a row at most."""
    draw = random.Random(seed)
    row = 0

    def plan(body: Body, words: Words) -> tuple[str, Reply] | None:
        nonlocal row
        row = row + 1 if draw.random() < rate and row < in_a_row else 0
        name = draw.choice(names)
        return (name, FAULTS[name].play(draw, body, words)) if row else None

    return plan


def _counting() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
