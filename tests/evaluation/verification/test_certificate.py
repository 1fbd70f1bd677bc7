"""Certificates: what is altered is refused, and what is run again agrees or does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from move37.evaluation.verification import certificate as certificates
from move37.evaluation.verification.certificate import Certificate, read_certificate, seal
from move37.evaluation.verification.compare import Comparison
from move37.evaluation.verification.reproduce import (
    agreement,
    require_data,
    same_bits,
    tier_of,
)
from move37.records import Failed, UserError
from tests.evaluation.verification import sample


def written(path: Path, told: Certificate) -> dict[str, Any]:
    path.write_text(told.model_dump_json(indent=1))
    fields: dict[str, Any] = json.loads(path.read_text())
    return fields


def losses(result: Comparison) -> Any:
    arms = (result.candidate, result.twin, result.baseline)
    return np.array([result.losses(arm, sample.SEEDS.holdout) for arm in arms])


def test_a_certificate_comes_back_as_it_was_written(tmp_path: Path) -> None:
    for result in (sample.comparison(), Failed(stage="audit", reason="it peeked")):
        told = sample.certificate(result)
        written(tmp_path / "c.json", told)
        assert read_certificate(tmp_path / "c.json") == told
        assert len(told.hash) == certificates.HASH_LENGTH


def numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all numbers in a JSON value."""
    if isinstance(value, dict):
        return [found for key in value for found in numbers(value[key], (*path, key))]
    if isinstance(value, list):
        return [found for i, one in enumerate(value) for found in numbers(one, (*path, i))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_one_altered_number_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    original = written(tmp_path / "c.json", sample.certificate())
    for path in numbers({k: v for k, v in original.items() if k != "format"})[::7]:
        fields = json.loads(json.dumps(original))
        place = fields
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] += 1e-9 if isinstance(place[path[-1]], float) else 1
        (tmp_path / "altered.json").write_text(json.dumps(fields))
        with pytest.raises(UserError, match="its hash does not fit"):
            read_certificate(tmp_path / "altered.json")


def test_a_claim_that_its_own_trials_do_not_bear_out_is_refused(tmp_path: Path) -> None:
    fields = written(tmp_path / "c.json", sample.certificate(sample.comparison(gain=0.0)))
    claimed = written(tmp_path / "d.json", sample.certificate(sample.comparison(gain=0.1)))
    claimed["result"]["claim"]["least"] = fields["result"]["claim"]["least"]
    fields["result"]["claim"] = claimed["result"]["claim"]
    fields["verdict"] = "discovery"
    fields["hash"] = seal(fields)
    (tmp_path / "forged.json").write_text(json.dumps(fields))
    with pytest.raises(UserError, match="its own trials say"):
        read_certificate(tmp_path / "forged.json")


def test_a_verdict_or_a_least_gain_of_ones_own_is_refused(tmp_path: Path) -> None:
    original = written(tmp_path / "c.json", sample.certificate(sample.comparison(gain=0.0)))
    assert original["verdict"] != "discovery"
    for change in ({"verdict": "discovery"}, {"tier": original["tier"] | {"least": 1.0}}):
        fields = original | change
        fields["hash"] = seal(fields)
        (tmp_path / "forged.json").write_text(json.dumps(fields))
        with pytest.raises(UserError, match="its own trials say"):
            read_certificate(tmp_path / "forged.json")


def test_a_discovery_taken_back_among_many_claims_is_a_certificate_too(tmp_path: Path) -> None:
    told = sample.certificate()
    result = told.result
    assert isinstance(result, Comparison)
    back = result.claim.model_copy(update={"verdict": "promising"})
    changed = {
        "verdict": "promising",
        "result": result.model_copy(update={"claim": back}),
        "claims": 30,
    }
    among_many = told.model_copy(update=changed).sealed()
    written(tmp_path / "c.json", among_many)
    assert read_certificate(tmp_path / "c.json") == among_many
    written(tmp_path / "c.json", among_many.model_copy(update={"claims": 1}).sealed())
    with pytest.raises(UserError, match="its own trials say discovery"):
        read_certificate(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "is not a certificate"),
        ("[1]", "is not a certificate"),
        ("{}", "of format None"),
        ('{"format": 2, "version": "9.9"}', r"of format 2, this version reads 1.*9\.9"),
        ("[" * 100_000, "is not a certificate"),
    ],
)
def test_what_is_no_certificate_of_this_format_is_one_line(
    tmp_path: Path, text: str, pattern: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(UserError, match=pattern) as refused:
        read_certificate(path)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="cannot be read"):
        read_certificate(tmp_path / "absent.json")


def test_a_sealed_certificate_with_other_fields_names_the_place(tmp_path: Path) -> None:
    fields = written(tmp_path / "c.json", sample.certificate())
    fields["tier"]["novelty"] = 1
    fields["hash"] = seal(fields)
    (tmp_path / "c.json").write_text(json.dumps(fields))
    with pytest.raises(UserError, match=r"tier\.novelty is not as this version"):
        read_certificate(tmp_path / "c.json")


def test_another_tier_under_the_same_name_is_refused_and_ones_own_is_not() -> None:
    told = sample.certificate()
    assert tier_of(told) == sample.TIER
    other = sample.TIER.model_copy(update={"least": 0.01})
    with pytest.raises(UserError, match="another tier 'smoke'"):
        tier_of(told.model_copy(update={"tier": other}))
    own = other.model_copy(update={"name": "mine"})
    assert tier_of(told.model_copy(update={"tier": own})) == own


def test_other_data_is_refused_with_the_way_out() -> None:
    told = sample.certificate()
    require_data(told, told.provenance)
    with pytest.raises(UserError, match=r"other data \(d\).*--text"):
        require_data(told, told.provenance.model_copy(update={"data": "x"}))


def test_bits_are_asked_for_on_the_same_machine_and_versions_only() -> None:
    told = sample.certificate()
    assert same_bits(told, told.provenance, told.machine)
    assert not same_bits(told, told.provenance.model_copy(update={"evaluator": "x"}), told.machine)
    assert not same_bits(told, told.provenance, told.machine.model_copy(update={"torch": "3"}))


def test_on_the_same_machine_one_bit_is_a_disagreement() -> None:
    result = sample.comparison()
    found = losses(result)
    assert agreement(result, found, sample.SEEDS.holdout, exact=True).agrees
    found[0, 0] = np.nextafter(found[0, 0], 9.0)
    told = agreement(result, found, sample.SEEDS.holdout, exact=True)
    assert not told.agrees
    assert told.figures is not None
    assert told.figures.differing == 1


def test_elsewhere_the_gain_may_move_by_half_of_the_interval() -> None:
    result = sample.comparison()
    interval = result.claim.against_twin.interval
    half = (interval.high - interval.low) / 2
    for share, agrees in ((0.9, True), (-0.9, True), (1.1, False), (-1.1, False)):
        found = losses(result)
        found[0] -= share * half
        assert agreement(result, found, sample.SEEDS.holdout, exact=False).agrees is agrees


def test_a_part_of_the_seeds_is_held_against_the_same_part() -> None:
    result = sample.comparison()
    told = agreement(result, losses(result)[:, :2], sample.SEEDS.holdout[:2], exact=True)
    assert told.agrees
    assert told.figures is not None
    assert told.figures.trials == 6
