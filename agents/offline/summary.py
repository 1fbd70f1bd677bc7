"""How the offline model tells earlier designs: the figures and tags of the record, in order."""

from __future__ import annotations

import math
from collections.abc import Mapping

from move37.agents.briefs import SummaryBrief
from move37.agents.offline.turn import Call, Turn
from move37.memory.accounts import Account
from move37.records import Candidate, Noise

EFFECTS = {
    "helped": "better by more than noise",
    "hurt": "worse by more than noise",
    "unclear": "within noise",
    "failed": "not measured",
}


def summarizer_turn(turn: Turn) -> Call:
    """Tell each design in a few sentences of figures; nothing in them is anybody's opinion."""
    brief = SummaryBrief.model_validate(turn.brief)
    accounts = {one.number: one for one in brief.accounts}
    told = [
        {"number": one.number, "text": _told(one, accounts.get(one.number), brief.noise)}
        for one in brief.candidates
    ]
    return Call("Summaries", {"summaries": told})


def _told(one: Candidate, account: Account | None, noise: Mapping[str, Noise]) -> str:
    if account is None:
        return f"Held-out loss {one.loss:.4f}; the record has no more of it."
    changed = ", ".join(account.changed) or "numbers only"
    sd = f", where two runs differ by an SD of {math.sqrt(2) * noise['text'].sd:.4f}"
    others = [
        f"{task} {loss:.4f} (baseline {noise[task].mean:.4f}, SD {noise[task].sd:.4f})"
        for task, loss in account.losses.items()
        if task != "text" and task in noise
    ]
    beside = f" Other tasks: {', '.join(others)}." if others else ""
    kept = "kept" if account.gain >= account.expected_gain else "not kept"
    return (
        f"Child of number {account.parent}: {changed}. Held-out loss {one.loss:.4f}, a gain of "
        f"{account.gain:+.4f} nats over its parent{sd if 'text' in noise else ''}: "
        f"{EFFECTS[account.effect]}. Expected was {account.expected_gain:+.4f}: {kept}.{beside} "
        f"Lessons drawn from it: {len(one.lessons)}."
    )
