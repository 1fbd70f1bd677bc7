"""Which designs are verified, the variants that are asked for, and the ledger of tiers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from move37.agents.offline import grammar
from move37.arch_templates.catalog import template_source
from move37.evaluation.client import EvaluatorProcess, open_evaluator
from move37.evaluation.tiers import Promotion, load_tier
from move37.evaluation.verification.cause import NotHad, Variant
from move37.evaluation.verification.seeds import seeds_of
from move37.graph import verification
from move37.graph.verification import (
    Design,
    Plan,
    asked_variant,
    chosen,
    design_of_file,
    designs_of,
    ledger_lines,
    note,
    require_tiers,
    variants_of,
)
from move37.memory.programs import fingerprint
from move37.records import Campaign, Experiment, Failed, GateReport, Proposal, UserError
from move37.settings import Settings
from tests.agents.scripted import Scripted, bench, calls, gates, says
from tests.evaluation.verification import sample as certificates
from tests.move37_package import sample

CODE = template_source("gated_delta_net")
ANSWER = calls("Ablation", change="the decay is gone")


def proposal(code: str = CODE, mechanisms: tuple[str, ...] = ()) -> Proposal:
    return Proposal(
        name="a design",
        motivation="Why not.",
        hypothesis="It helps.",
        expected_gain=0.0,
        mechanisms=mechanisms,
        code=code,
    )


def plan(tmp_path: Path, **settings: object) -> Plan:
    return Plan(
        tier=load_tier("smoke"),
        text=None,
        seeds=seeds_of(4),
        settings=Settings.model_validate({"home": tmp_path, **settings}),
        folder=tmp_path / "certificates",
    )


def campaign() -> tuple[Campaign, list[Experiment]]:
    return sample.campaign(), sample.experiments()


def test_designs_are_meant_by_number_or_id() -> None:
    found, experiments = campaign()
    best = next(e for e in experiments if e.fitness is not None)
    assert chosen(found, experiments, [str(best.number)]) == [best]
    assert chosen(found, experiments, [best.id]) == [best]


def test_what_cannot_be_verified_is_one_line() -> None:
    found, experiments = campaign()
    with pytest.raises(UserError, match="no experiment 99"):
        chosen(found, experiments, ["99"])
    failed = next(e for e in experiments if isinstance(e.outcome, Failed))
    with pytest.raises(UserError, match=f"experiment {failed.number} was not measured"):
        chosen(found, experiments, [str(failed.number)])
    with pytest.raises(UserError, match="unknown tier 'cloud'"):
        require_tiers(["smoke", "cloud"])
    with pytest.raises(UserError, match="stands there twice"):
        require_tiers(["smoke", "smoke"])


def test_a_lineage_goes_from_the_design_to_the_root() -> None:
    found, experiments = campaign()
    child = next(e for e in experiments if e.parent > 0 and e.proposal)
    (design,) = designs_of(found, experiments, [child])
    origin = design.subject.origin
    assert origin is not None
    numbers = [ancestor.number for ancestor in origin.lineage]
    assert numbers[:2] == [child.number, child.parent]
    assert numbers[-1] == 0
    assert found.baseline is not None
    assert design.root == found.baseline.code


# --- variants ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluator() -> Iterator[EvaluatorProcess]:
    with open_evaluator("auto") as opened:
        yield opened


def test_a_design_of_the_grammar_is_had_without_each_change(
    evaluator: EvaluatorProcess, tmp_path: Path
) -> None:
    genome = grammar.Genome(value_residual=True, beta="double")
    design = design_of_file(proposal(grammar.render(genome, "a", "b")), "delta_net")
    found = list(variants_of(design, plan(tmp_path), evaluator))
    assert len(found) == 2
    for variant in found:
        assert isinstance(variant, Variant)
        assert fingerprint(variant.code) != fingerprint(design.subject.code)
        report = evaluator.check(variant.code)
        assert isinstance(report, GateReport)
        assert report.passed
    assert {grammar.parse(v.code) for v in found if isinstance(v, Variant)} == {
        grammar.Genome(value_residual=True),
        grammar.Genome(beta="double"),
    }


def test_a_genome_that_no_longer_describes_its_code_is_not_believed(
    evaluator: EvaluatorProcess, tmp_path: Path
) -> None:
    code = grammar.render(grammar.Genome(beta="double"), "a", "b") + "\nEXTRA = max(1, 2)\n"
    design = design_of_file(proposal(code, ("beta-double",)), "delta_net")
    (told,) = variants_of(design, plan(tmp_path), evaluator)
    assert isinstance(told, NotHad)
    assert "not of the grammar" in told.reason


def test_without_tags_or_a_model_it_is_said_that_nothing_is_known(
    evaluator: EvaluatorProcess, tmp_path: Path
) -> None:
    (told,) = variants_of(design_of_file(proposal(), "delta_net"), plan(tmp_path), evaluator)
    assert isinstance(told, NotHad)
    assert "nothing says which" in told.reason


def asked(tmp_path: Path, *script: object, **parts: object) -> Variant | NotHad:
    design = design_of_file(proposal(mechanisms=("learned-decay",)), "delta_net")
    place = bench(tmp_path, **parts)  # type: ignore[arg-type]
    return asked_variant(design, "learned-decay", Scripted(script=list(script)), place)


def test_the_engineers_variant_is_taken_when_it_is_another_program(tmp_path: Path) -> None:
    told = asked(tmp_path, calls("write_code", code=template_source("delta_net")), ANSWER)
    assert told == Variant(mechanism="learned-decay", code=template_source("delta_net"))


def test_a_variant_that_only_looks_different_is_refused(tmp_path: Path) -> None:
    told = asked(tmp_path, calls("write_code", code=f"# A comment.\n{CODE}"), ANSWER)
    assert isinstance(told, NotHad)
    assert "left the program as it is: the decay is gone" in told.reason


def test_a_variant_that_fails_is_refused_with_its_reason(tmp_path: Path) -> None:
    written = calls("write_code", code=template_source("delta_net"))
    told = asked(tmp_path, written, ANSWER, check=lambda _: gates(passed=False))
    assert isinstance(told, NotHad)
    assert told.reason == "the variant failed the gates: G1 suffix perturbation"
    refused = Failed(stage="policy", reason="imports os")
    told = asked(tmp_path, written, ANSWER, check=lambda _: refused)
    assert isinstance(told, NotHad)
    assert told.reason == "the variant failed at policy: imports os"


def test_an_engineer_who_does_not_answer_leaves_the_mechanism_unmeasured(tmp_path: Path) -> None:
    told = asked(tmp_path, says("I would rather not."))
    assert isinstance(told, NotHad)
    assert "gave no answer" in told.reason


# --- ledger ------------------------------------------------------------------------------------


def test_tiers_are_compared_once_three_designs_ran_at_both(tmp_path: Path) -> None:
    small, large = plan(tmp_path), plan(tmp_path)
    large = Plan(
        tier=small.tier.model_copy(update={"name": "large"}),
        text=None,
        seeds=small.seeds,
        settings=small.settings,
        folder=small.folder,
    )
    for number, gain in enumerate((0.1, 0.05, 0.0)):
        assert ledger_lines(small.settings) == []
        told = certificates.certificate(certificates.comparison(gain=gain))
        subject = told.subject.model_copy(update={"program": f"{number}"})
        told = told.model_copy(update={"subject": subject})
        note(small, [told])
        note(large, [told])
    with (tmp_path / "fidelity.jsonl").open("a") as file:
        file.write('{"program": "cut sho')
    (line,) = ledger_lines(small.settings)
    assert line.startswith("smoke orders 100% (")
    assert "3 designs as large does; Kendall's tau 1.00" in line


@pytest.mark.parametrize(("share", "second"), [(0.0, ["good"]), (1.0, ["good", "bad"])])
def test_a_discovery_goes_on_to_the_next_tier_and_so_does_what_the_lot_draws(
    share: float, second: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[list[str]] = []

    def verify(designs: list[Design], at: Plan, tell: object) -> list[object]:
        ran.append([design.label for design in designs])
        gains = {"good": 0.1}
        return [
            (
                certificates.certificate(certificates.comparison(gains.get(d.label, 0.0)), d.label),
                tmp_path,
            )
            for d in designs
        ]

    monkeypatch.setattr(verification, "verify", verify)
    named = [
        design_of_file(proposal().model_copy(update={"name": name}), "delta_net")
        for name in ("good", "bad")
    ]
    tier = load_tier("smoke").model_copy(update={"promotion": Promotion(random_share=share)})
    written = verification.promote(named, [replace(plan(tmp_path), tier=tier)] * 2, lambda *_: None)
    assert ran == [["good", "bad"], second]
    told = {"good": "discovery", "bad": "not better"}
    assert [one.verdict for one, _ in written] == [told[name] for name in ("good", "bad", *second)]
