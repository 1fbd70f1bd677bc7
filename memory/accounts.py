"""What came of the designs that a researcher is shown, beside what their authors said of them."""

from __future__ import annotations

from collections.abc import Sequence

from move37.memory.lessons import Origin, changed_from, effect_of
from move37.records import Candidate, Effect, Experiment, Finite, Measured, Value


class Account(Value):
    """The record of one experiment against its parent.

    `changed` and `effect` are as in `Lesson`. `gain` is the fall of held-out loss on text against
    the parent's, `expected_gain` what its author promised, both in nats per token; `losses` are its
    own by task. `analysis` is the analyst's word on it, and what it left open.
    """

    number: int
    parent: int
    parent_code: str
    changed: tuple[str, ...] = ()
    effect: Effect
    gain: Finite
    expected_gain: Finite
    losses: dict[str, Finite]
    analysis: str = ""


def accounts(
    history: Sequence[Experiment], shown: Sequence[Candidate], root: Candidate, origin: Origin
) -> tuple[Account, ...]:
    """Return the accounts of those shown, in their order; the root has none."""
    known = {one.number: one for one in history}
    return tuple(_account(known[one.number], known, root, origin) for one in shown if one.number)


def _account(
    one: Experiment, known: dict[int, Experiment], root: Candidate, origin: Origin
) -> Account:
    parent, outcome = known.get(one.parent), one.outcome
    assert one.proposal is not None
    assert isinstance(outcome, Measured)
    told = (one.analysis.summary, *one.analysis.questions) if one.analysis else ()
    before = parent.outcome if parent else None
    loss = before.loss() if isinstance(before, Measured) else root.loss
    code = parent.proposal.code if parent and parent.proposal else root.code
    return Account(
        number=one.number,
        parent=one.parent,
        parent_code=code,
        changed=changed_from(parent, one, origin),
        effect=effect_of(parent, one, origin),
        gain=loss - outcome.loss(),
        expected_gain=one.proposal.expected_gain,
        losses=outcome.losses(),
        analysis="\n".join(told),
    )
