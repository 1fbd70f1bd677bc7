"""Repairs keep the idea: what counts as taken out, and what becomes of a revision that does so."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from move37.agents.checks.keeping import LEAST_KEPT, kept, missing, objection
from move37.agents.engineer import revise
from move37.agents.offline import grammar
from move37.agents.offline.model import OfflineModel
from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.records import Failed, Proposal
from tests.agents.keeping_cases import (
    Case,
    edited,
    removals,
    repairs,
    small_removals,
    small_repairs,
)
from tests.agents.scripted import PROPOSAL, Scripted, bench, calls, engineer_brief
from tests.memory import variants

HONEST = [*repairs(), *small_repairs()]
TAKEN_OUT = [*removals(), *small_removals()]
DELTA, GATED = template_source("delta_net"), template_source("gated_delta_net")


def share(case: Case) -> float:
    return kept(case.parent, case.proposal, case.revised)


def named(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.what) for case in cases]


@pytest.mark.parametrize("case", named(HONEST))
def test_a_repair_keeps_the_idea(case: Case) -> None:
    assert objection(case.parent, case.proposal, case.revised) is None


@pytest.mark.parametrize("case", named(TAKEN_OUT))
def test_a_removal_is_told_from_a_repair(case: Case) -> None:
    assert objection(case.parent, case.proposal, case.revised) is not None


def test_the_threshold_lies_between_all_repairs_and_all_removals() -> None:
    assert len(HONEST) >= 60
    assert len(TAKEN_OUT) >= 50
    assert min(map(share, HONEST)) > LEAST_KEPT + 0.05
    assert max(map(share, TAKEN_OUT)) < LEAST_KEPT - 0.05


@pytest.mark.parametrize("name", TEMPLATES[1:])
def test_other_names_and_words_for_a_design_keep_all_of_it(name: str) -> None:
    code = template_source(name)
    reworded = variants.reworded(code, random.Random(1))
    assert reworded is not None
    assert kept(DELTA, code, variants.renamed(reworded, random.Random(2))) == 1.0


# Genes whose values differ in what is computed, not in a number or a shape alone.
MECHANISMS = {"memory", "decay", "feature_map", "key_norm", "shift", "fusion", "output_norm"}


def test_mutations_of_the_grammar_are_kept_by_themselves_and_not_by_others() -> None:
    rng = random.Random(5)
    asked = wrong = 0
    while asked < 40:
        parent = grammar.sample(rng)
        child, change = grammar.mutate(parent, rng, {})
        other, elsewhere = grammar.mutate(parent, rng, {})
        further, more = grammar.mutate(child, rng, {})
        fields = {edit.field for edit in (*elsewhere.edits, *more.edits)}
        if change.field not in MECHANISMS or fields & {edit.field for edit in change.edits}:
            continue
        asked += 1
        was, idea, another, both = (
            grammar.render(one, "d", "m") for one in (parent, child, other, further)
        )
        assert kept(was, idea, idea) == 1.0
        assert kept(was, idea, was) == 0.0
        assert objection(was, idea, both) is None
        wrong += objection(was, idea, another) is None
    assert wrong <= 2


def test_an_idea_of_numbers_alone_is_kept_by_other_numbers_and_not_by_the_parents() -> None:
    longer, between = (DELTA.replace("kernel_size=4", f"kernel_size={n}") for n in (8, 6))
    guarded = DELTA.replace("self.norm(o)", "self.norm(o.contiguous())")
    assert kept(DELTA, longer, between) == 1.0
    assert kept(DELTA, longer, DELTA) == 0.0
    assert kept(DELTA, longer, guarded) == 0.0
    wider = DELTA.replace("bias=False", "bias=True")
    assert kept(DELTA, wider, wider.replace("self.norm(o)", "self.norm(o.contiguous())")) == 1.0


def test_an_objection_names_what_is_learned_first() -> None:
    why = objection(DELTA, GATED, DELTA)
    assert why is not None
    assert why.startswith("the revision takes the idea out: 0% of what the proposal changed")
    assert "gone from what y is made of: self.decay_rate_log, Linear self.decay_proj" in why
    assert missing(DELTA, GATED, GATED) == ()


def test_what_an_idea_had_taken_out_is_named_when_it_is_back() -> None:
    case = next(case for case in small_removals() if case.what == "the gate is back")
    why = objection(case.parent, case.proposal, case.revised)
    assert why is not None
    assert "back in what y is made of: Linear self.gate_proj, silu" in why


def test_code_that_cannot_be_parsed_is_compared_word_by_word() -> None:
    broken = GATED.replace("return y, (last_inputs, memory)", "return y, (last_inputs, memory")
    assert kept(DELTA, broken, GATED) == 1.0
    assert kept(DELTA, broken, DELTA) == 0.0
    assert objection(DELTA, GATED, broken) is None
    assert objection(DELTA, broken, DELTA.replace("4", "5")) is not None


@pytest.mark.parametrize(
    "code", ["", "x = 1\n", "class A:\n    pass\n", "while True:\n    x = 0\n"]
)
def test_what_is_no_mixer_keeps_nothing(code: str) -> None:
    assert objection(DELTA, GATED, code) is not None


def test_a_program_that_would_take_long_to_follow_is_given_up_in_time() -> None:
    nested = "".join(f"{'    ' * (depth + 2)}while x:\n" for depth in range(40))
    loops = f"{nested}{'    ' * 42}x = x * 2\n"
    calls_of = "".join(
        f"    def f{n}(self, x):\n        return {' + '.join([f'self.f{n + 1}(x)'] * 9)}\n"
        for n in range(12)
    )
    code = (
        "class TokenMixer:\n    def forward(self, x, state=None):\n"
        f"{loops}        return self.f0(x), state\n{calls_of}"
        "    def f12(self, x):\n        return x\n"
    )
    assert kept(DELTA, code, code + "# more\n") == 1.0
    assert objection(DELTA, GATED, code) is not None


# --- the engineer --------------------------------------------------------------------------------

PLAIN = calls("write_code", code=DELTA)
MENDED = calls("write_code", code=edited(GATED, ("* step", "* step.clamp(max=8.0)")))
ANSWER = calls("Repair", cause="It overflowed.", change="Clamped the step.")
IDEA = PROPOSAL.model_copy(update={"code": GATED})
BRIEF = engineer_brief(IDEA).model_copy(update={"parent": DELTA})


def test_a_repair_that_keeps_the_idea_is_taken_at_once(tmp_path: Path) -> None:
    revised, use = revise(BRIEF, bench(tmp_path), Scripted(script=[MENDED, ANSWER]))
    assert use.calls == 2
    assert revised.code == MENDED.tool_calls[0]["args"]["code"]
    assert revised.motivation.endswith("Repair 1: It overflowed. Clamped the step.")


def test_a_revision_without_the_idea_goes_back_once_with_what_is_missing(tmp_path: Path) -> None:
    model = Scripted(script=[PLAIN, ANSWER, MENDED, ANSWER])
    revised, use = revise(BRIEF, bench(tmp_path), model)
    assert use.calls == 4
    told = model.seen[2][-1].text
    assert "Not accepted: the revision takes the idea out" in told
    assert "self.decay_rate_log" in told
    assert revised.code == MENDED.tool_calls[0]["args"]["code"]


def test_a_second_one_is_dropped_and_the_round_is_spent(tmp_path: Path) -> None:
    model = Scripted(script=[PLAIN, ANSWER, ANSWER])
    revised, use = revise(BRIEF, bench(tmp_path), model)
    assert use.calls == 3
    assert (revised.code, revised.revision) == (GATED, 1)
    assert revised.mechanisms == IDEA.mechanisms
    assert "Repair 1: not accepted, as the revision takes the idea out: 0%" in revised.motivation


def test_putting_the_code_back_is_an_answer_too(tmp_path: Path) -> None:
    back = calls("write_code", code=GATED)
    left = calls("Repair", cause="The decay itself.", change="Nothing: it cannot work.")
    revised, _ = revise(BRIEF, bench(tmp_path), Scripted(script=[PLAIN, ANSWER, back, left]))
    assert revised.code == GATED
    assert revised.motivation.endswith("Repair 1: The decay itself. Nothing: it cannot work.")


def test_revisions_are_held_against_the_first_idea_not_against_each_other(tmp_path: Path) -> None:
    # The second half goes in the second round: against the first revision alone it would pass.
    half = edited(GATED, ("F.softplus(self.decay_proj(x) + self.decay_bias)", "self.decay_proj(x)"))
    second = BRIEF.model_copy(update={"proposal": IDEA.model_copy(update={"code": half})})
    rest = edited(half, ("-self.decay_rate_log.exp() * step", "-step"))
    written = calls("write_code", code=rest)
    assert objection(DELTA, half, rest) is None
    revised, _ = revise(second, bench(tmp_path), Scripted(script=[written, ANSWER]))
    assert revised.code == half


# --- the offline engineer ------------------------------------------------------------------------


def drafted(rng: random.Random) -> tuple[str, Proposal, grammar.Change]:
    """Return a parent's code, and a child of two or more changes as the offline model notes it."""
    parent = grammar.sample(rng)
    child, change = grammar.crossover(parent, grammar.sample(rng), rng)
    lines = grammar.render(child, "d", "m").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("# grammar:"))
    lines.insert(at + 1, f"# change: {change.model_dump_json()}")
    proposal = PROPOSAL.model_copy(
        update={"code": "\n".join([*lines, ""]), "mechanisms": grammar.mechanisms(child)}
    )
    return grammar.render(parent, "p", "m"), proposal, change


def test_the_offline_engineer_mends_a_part_of_the_change_and_is_never_refused(
    tmp_path: Path,
) -> None:
    rng, mended = random.Random(3), 0
    for _ in range(12):
        parent, proposal, _ = drafted(rng)
        failed = Failed(stage="gate", reason=rng.choice(["nan in decay", "beta", "shift", "slow"]))
        brief = engineer_brief(proposal, failed).model_copy(update={"parent": parent})
        revised, _ = revise(brief, bench(tmp_path), OfflineModel())
        assert "not accepted" not in revised.motivation
        if revised.code != proposal.code:
            mended += 1
            assert objection(parent, proposal.code, revised.code) is None
            assert grammar.parse(revised.code) not in (None, grammar.parse(proposal.code))
    assert mended >= 9


def test_the_offline_engineer_says_when_the_whole_idea_is_blamed(tmp_path: Path) -> None:
    rng = random.Random(1)
    parent = grammar.ROOT
    child, change = grammar.mutate(parent, rng, {})
    while not change.added or len(change.edits) > 1:
        child, change = grammar.mutate(parent, rng, {})
    code = grammar.render(child, "d", "m") + f"# change: {change.model_dump_json()}\n"
    brief = engineer_brief(PROPOSAL.model_copy(update={"code": code})).model_copy(
        update={"parent": grammar.render(parent, "p", "m")}
    )
    revised, use = revise(brief, bench(tmp_path), OfflineModel())
    assert (revised.code, revised.revision, use.calls) == (code, 1, 1)
    assert "what is blamed is the whole idea" in revised.motivation
