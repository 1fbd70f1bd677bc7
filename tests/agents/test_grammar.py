"""The grammar: the size of its space, its programs, its variation and its words."""

import ast
import itertools
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from move37.agents.offline.grammar import (
    DESIGNED,
    ROOT,
    Change,
    Edit,
    Genome,
    crossover,
    describe,
    difference,
    mechanisms,
    mutate,
    parse,
    render,
    repair,
    sample,
    size_of_space,
    valid,
)
from move37.agents.offline.grammar.describe import CASES, TITLES
from move37.agents.offline.grammar.genome import (
    RULES,
    TAGS,
    broken_rule,
    domain,
    gene,
    linkage_groups,
    with_genes,
)
from move37.memory.programs import fingerprint

TOLERANCE = 1e-9
NASTY = 'Quotes """ and \\ end with one"\n# grammar: {"memory": "softmax"}\nnul \x00 lone \ud800'


def designs(count: int, seed: int = 7) -> list[Genome]:
    rng = random.Random(seed)
    return [sample(rng) for _ in range(count)]


def build(genome: Genome, hidden: int = 32, heads: int = 2, seed: int = 0) -> nn.Module:
    """Execute the rendered program; ours, so in this process."""
    torch.manual_seed(seed)
    space: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(render(genome, "Design", "A test."), "candidate.py", "exec"), space)
    mixer: nn.Module = space["TokenMixer"](hidden, heads)
    return mixer


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-300)).item()


# --- the space ----------------------------------------------------------------------------------


def test_more_than_a_million_distinct_valid_designs_are_reachable() -> None:
    assert size_of_space() >= 1_000_000


def test_the_count_agrees_with_rejection_over_the_whole_product() -> None:
    rng = random.Random(3)
    product = 1
    for field in Genome.model_fields:
        product *= len(domain(field))
    hits, tries = 0, 60_000
    for _ in range(tries):
        drawn = {field: rng.choice(domain(field)) for field in Genome.model_fields}
        hits += broken_rule(with_genes(ROOT, **drawn)) is None
    share = size_of_space() / product
    error = (share * (1 - share) / tries) ** 0.5
    assert abs(hits / tries - share) < 5 * error


def test_every_rule_reads_only_the_genes_that_it_names() -> None:
    rng = random.Random(5)
    for rule in RULES:
        for _ in range(200):
            here, there = sample(rng), sample(rng)
            mixed = with_genes(here, **{name: rng.choice(domain(name)) for name in rule.genes})
            moved = with_genes(there, **{name: gene(mixed, name) for name in rule.genes})
            assert rule.holds(mixed) == rule.holds(moved)


def test_linkage_groups_part_the_genes() -> None:
    assert sorted(field for group in linkage_groups() for field in group) == sorted(
        Genome.model_fields
    )


@pytest.mark.parametrize(
    ("genes", "reason"),
    [
        ({"memory": "delta", "decay": "token"}, "no decay"),
        ({"memory": "gated_delta"}, "needs one"),
        ({"beta": "none"}, "write strength"),
        ({"key_norm": False}, "stable"),
        ({"fusion": "softmax"}, "two or more paths"),
        ({"copy_path": True}, "these need one"),
        ({"copy_path": True, "fusion": "two_stage"}, "two local paths"),
        ({"temperature": True}, "router"),
        ({"memory": "linear", "output_norm": False}, "normalised"),
        ({"key_width": "double", "value_width": "double"}, "exceed"),
    ],
)
def test_a_combination_without_meaning_cannot_be_built(genes: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Genome(**genes)
    accepted, why = valid(with_genes(ROOT, **genes))
    assert not accepted
    assert reason in why


def test_root_carries_the_mechanisms_of_the_template() -> None:
    assert set(mechanisms(ROOT)) == {
        "delta-rule",
        "beta-sigmoid",
        "feature-map-silu",
        "key-norm",
        "short-convolution",
        "output-gate",
        "output-norm",
    }


def test_every_mechanism_of_the_vocabulary_is_reachable_and_argued_for() -> None:
    tags = {tag for values in TAGS.values() for group in values.values() for tag in group}
    assert tags == set(DESIGNED) == set(CASES)
    assert set(TAGS) == set(TITLES) == set(Genome.model_fields)


def test_sampling_repeats_with_its_seed() -> None:
    assert designs(20, seed=1) == designs(20, seed=1) != designs(20, seed=2)


# --- programs -----------------------------------------------------------------------------------


def test_programs_compile_and_carry_their_genome() -> None:
    for genome in [ROOT, *designs(200)]:
        code = render(genome, "Design", "One reason.\n\nAnother one.")
        compile(code, "candidate.py", "exec")
        assert parse(code) == genome
        wide = [line for line in code.splitlines() if len(line) > 100]
        assert all(line.startswith("# grammar: ") for line in wide)


def test_nearly_all_sampled_programs_have_a_fingerprint_of_their_own() -> None:
    genomes = set(designs(200))
    prints = {fingerprint(render(genome, "Design", "Why.")) for genome in genomes}
    assert len(prints) >= 0.99 * len(genomes)


def test_programs_import_only_what_a_candidate_may() -> None:
    for genome in designs(50):
        tree = ast.parse(render(genome, "Design", "Why."))
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = [
            item.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for item in node.names
        ]
        assert set(modules) <= {"torch", "torch.nn", "move37.arch_templates.ops"}
        assert names == ["torch"]


def test_hostile_words_stay_inside_the_docstring() -> None:
    code = render(ROOT, NASTY, NASTY)
    code.encode()
    tree = ast.parse(code)
    assert [type(node).__name__ for node in tree.body] == [
        "Expr",
        "Import",
        "ImportFrom",
        "ImportFrom",
        "ImportFrom",
        "ClassDef",
    ]
    assert parse(code) == ROOT


@pytest.mark.parametrize(
    "code", ["", "x = 1", "# grammar: {", '# grammar: {"memory": "delta", "decay": "token"}']
)
def test_code_without_a_valid_genome_parses_to_none(code: str) -> None:
    assert parse(code) is None


def test_programs_are_laid_out_as_the_formatter_would(tmp_path: Path) -> None:
    for number, genome in enumerate([ROOT, *designs(60)]):
        (tmp_path / f"design_{number}.py").write_text(render(genome, "A design", "Why."))
    command = [sys.executable, "-m", "ruff"]
    quiet = ["--isolated", "--no-cache", "--line-length", "100"]
    for job in (["format", "--check"], ["check", "--select", "F,I,B"]):
        done = subprocess.run(
            [*command, *job, *quiet, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_programs_hold_no_line_for_a_mechanism_that_they_lack() -> None:
    code = render(ROOT, "Root", "The start.")
    for word in ("router", "filter", "shift", "decay", "residual"):
        assert word not in code.split("# grammar:")[1].split("\n", 1)[1]


def test_a_program_declares_a_state_that_is_larger_than_the_root_template_s() -> None:
    seen = set()
    for genome in [ROOT, *designs(40)]:
        mixer = build(genome, hidden=48)
        size, usual = (state_size(m) for m in (mixer, build(ROOT, hidden=48)))
        seen.add(size > usual)
        assert getattr(mixer, "large_state", False) == (size > usual)
    assert seen == {True, False}


def state_size(mixer: nn.Module) -> int:
    _, state = mixer(torch.zeros(1, 100, 48))
    return sum(part.numel() for part in state.values())


# --- programs at work ---------------------------------------------------------------------------


def check_contract(genome: Genome) -> None:
    """Raise AssertionError where a design breaks causality, independence or decoding."""
    mixer = build(genome).double()
    torch.manual_seed(1)
    x = torch.randn(2, 131, 32, dtype=torch.float64)
    full, _ = mixer(x)
    assert torch.isfinite(full).all()
    assert torch.equal(mixer(x)[0], full), "repeat call"
    for cut in (1, 32, 64, 100):
        other = torch.cat((x[:, :cut], 30 * torch.randn_like(x[:, cut:])), dim=1)
        assert relative(mixer(other)[0][:, :cut], full[:, :cut]) <= TOLERANCE, "causality"
        assert relative(mixer(x[:, :cut])[0], full[:, :cut]) <= TOLERANCE, "prefix"
    assert relative(mixer(x[1:])[0], full[1:]) <= TOLERANCE, "batch"
    for cut in (1, 63, 64, 65):
        check_decoding(mixer, x, full, cut)


def check_decoding(mixer: nn.Module, x: torch.Tensor, full: torch.Tensor, cut: int) -> None:
    _, state = mixer(x[:, :cut])
    for at in range(cut, cut + 6):
        y, state = mixer(x[:, at : at + 1], state)
        assert relative(y, full[:, at : at + 1]) <= TOLERANCE, f"decoding from {cut}"
    y, _ = mixer(x[:, cut + 6 :], state)
    assert relative(y, full[:, cut + 6 :]) <= TOLERANCE, f"continuing from {cut}"


def count_passing(genomes: list[Genome]) -> int:
    passed = 0
    for genome in genomes:
        try:
            with torch.no_grad():
                check_contract(genome)
        except AssertionError:
            continue
        passed += 1
    return passed


def test_sampled_designs_are_causal_and_decode_as_they_train() -> None:
    genomes = [ROOT, *designs(40)]
    assert count_passing(genomes) > 0.95 * len(genomes)


@pytest.mark.slow
def test_over_95_percent_of_200_designs_keep_the_contract() -> None:
    assert count_passing(designs(200, seed=11)) > 190


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_forward_and_backward_are_finite_at_every_scale(scale: float, dtype: torch.dtype) -> None:
    for genome in designs(10):
        mixer = build(genome).to(dtype)
        x = (scale * torch.randn(2, 70, 32, dtype=dtype)).requires_grad_()
        y, _ = mixer(x)
        y.square().mean().backward()
        grads = [parameter.grad for parameter in mixer.parameters()] + [x.grad]
        assert y.dtype == dtype
        assert torch.isfinite(y).all()
        assert all(grad is not None and torch.isfinite(grad).all() for grad in grads), genome


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_long_constant_input_stays_finite(scale: float) -> None:
    for genome in designs(12, seed=5):
        mixer = build(genome)
        x = torch.full((1, 4096, 32), scale, requires_grad=True)
        y, state = mixer(x)
        y.square().mean().backward()
        assert torch.isfinite(y).all()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all(), genome
        assert all(torch.isfinite(part).all() for part in state.values())


def test_state_does_not_grow_with_length() -> None:
    for genome in designs(20):
        mixer = build(genome)
        shapes = [
            {name: part.shape for name, part in mixer(torch.randn(1, length, 32))[1].items()}
            for length in (1, 80, 130)
        ]
        assert shapes[0] == shapes[1] == shapes[2]


def test_sampled_designs_learn() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 24, 32)
    target = torch.cat((torch.zeros(8, 1, 32), x[:, :-1]), dim=1)
    for genome in designs(5, seed=2):
        mixer = build(genome)
        optimizer = torch.optim.AdamW(mixer.parameters(), lr=3e-3)
        losses = []
        for _ in range(20):
            loss = (mixer(x)[0] - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0], genome


# --- variation ----------------------------------------------------------------------------------


def test_mutation_always_changes_something_and_stays_valid() -> None:
    rng = random.Random(0)
    for genome in [ROOT] * 200 + designs(200):
        child, change = mutate(genome, rng, {})
        assert child != genome
        assert broken_rule(child) is None
        assert change == difference(genome, child, "mutation", change.field)
        assert gene(child, change.field) == change.new


def test_most_mutations_change_few_genes() -> None:
    rng = random.Random(0)
    sizes = [len(mutate(genome, rng, {})[1].edits) for genome in designs(300)]
    assert sum(size <= 2 for size in sizes) > 0.8 * len(sizes)


def test_a_mechanism_that_paid_is_drawn_more_often() -> None:
    def share(weights: dict[str, float]) -> float:
        rng = random.Random(0)
        changes = [mutate(ROOT, rng, weights)[1] for _ in range(400)]
        return sum("long-convolution" in change.added for change in changes) / len(changes)

    neutral = share({})
    assert share({"long-convolution": 8.0}) > 2 * neutral
    assert share({"long-convolution": 0.1}) < neutral


def test_a_mechanism_that_paid_is_removed_less_often() -> None:
    def share(weight: float) -> float:
        rng = random.Random(0)
        changes = [mutate(ROOT, rng, {"output-norm": weight})[1] for _ in range(600)]
        return sum("output-norm" in change.removed for change in changes) / len(changes)

    assert share(8.0) < share(1.0) < share(0.1)


def test_variation_repeats_with_its_seed() -> None:
    a, b = designs(2)
    for seed in range(20):
        assert mutate(a, random.Random(seed), {}) == mutate(a, random.Random(seed), {})
        assert crossover(a, b, random.Random(seed)) == crossover(a, b, random.Random(seed))


def test_every_gene_of_a_crossover_comes_from_a_parent() -> None:
    rng = random.Random(0)
    genomes = designs(200)
    for a, b in zip(genomes[::2], genomes[1::2], strict=True):
        child, change = crossover(a, b, rng)
        assert broken_rule(child) is None
        assert child != a
        assert change.kind == "crossover"
        for field in Genome.model_fields:
            assert gene(child, field) in (gene(a, field), gene(b, field))


def test_crossover_of_equals_is_an_empty_change() -> None:
    child, change = crossover(ROOT, ROOT, random.Random(0))
    assert child == ROOT
    assert change == Change(kind="crossover", edits=())
    assert change.mechanisms == ()
    assert "same design" in describe(change)


def test_a_change_survives_json() -> None:
    rng = random.Random(0)
    for genome in designs(50):
        change = mutate(genome, rng, {})[1]
        assert Change.model_validate_json(change.model_dump_json()) == change
    edit = Edit(field="floor_percent", old=0, new=2)
    assert type(Edit.model_validate_json(edit.model_dump_json()).old) is int


# --- repair -------------------------------------------------------------------------------------


def test_repair_drops_the_blamed_gene_and_is_neither_child_nor_parent() -> None:
    rng = random.Random(0)
    for parent in designs(200):
        child, change = mutate(parent, rng, {})
        mended, told = repair(child, change, "RuntimeError: it broke", rng)
        assert broken_rule(mended) is None
        assert mended not in (child, parent)
        assert told.kind == "repair"
        assert gene(mended, change.field) != change.new


def test_repair_follows_the_words_of_the_report() -> None:
    rng = random.Random(0)
    child = Genome(filter_taps=64, fusion="softmax", copy_path=True, beta="double")
    change = difference(ROOT, child, "crossover")
    for reason, field in [
        ("3.4 times the step time of the baseline: too slow", "filter_taps"),
        ("shape error in self.router(x)", "fusion"),
        ("loss became NaN at step 12", "beta"),
    ]:
        mended, told = repair(child, change, reason, rng)
        assert told.field == field
        assert gene(mended, field) != gene(child, field)


def test_repair_of_nothing_known_still_gives_another_design() -> None:
    empty = Change(kind="crossover", edits=())
    mended, told = repair(ROOT, empty, "no idea", random.Random(0))
    assert mended != ROOT
    assert told.edits
    assert "the failure goes" in describe(told)


# --- words --------------------------------------------------------------------------------------


def test_every_change_is_put_into_words() -> None:
    rng = random.Random(0)
    genomes = designs(300)
    for genome, other in itertools.pairwise(genomes):
        for change in (mutate(genome, rng, {})[1], crossover(genome, other, rng)[1]):
            text = describe(change)
            assert "Expected: " in text
            assert re.match(r"[A-Z]", text)
            assert text.endswith(".")
            assert "  " not in text
            assert "_" not in text


def test_words_say_what_why_and_what_for() -> None:
    change = difference(ROOT, Genome(memory="gated_delta", decay="token"), "mutation", "memory")
    assert describe(change) == (
        "Changes the memory from the delta rule to the gated delta rule. Weakness addressed: a "
        "delta rule clears one key at a time and cannot drop a finished topic at once. Expected: "
        "lower loss on text that changes its subject, with recall kept. With it: adds the decay: "
        "a rate computed from the token."
    )
