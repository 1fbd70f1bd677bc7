"""How often the novelty check is right, on designs whose labels are known.

`python -m benchmarks.novelty` makes the labelled set by program from the templates, the good files
of the corpus and designs of the grammar; what claims to compute the same was run to prove it.
Then it plays campaigns of 200 experiments of the offline designer, with drawn fitness in place of
training, and tells what share of its first ideas is refused, and by which rule. It exits with 1
when an exact repeat passes or more than 5 % of really new designs are refused.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

from move37.agents.briefs import ResearchBrief
from move37.agents.offline.design import researcher_turn
from move37.agents.offline.turn import Done, Turn
from move37.arch_templates.catalog import template_source
from move37.memory.novelty import check_novelty
from move37.memory.pool import select
from move37.records import Candidate, Experiment, Proposal
from tests.memory.examples import scored
from tests.memory.labelled import Case, cases, judged, nearest

EXPERIMENTS = 200
SEEDS = (0, 1, 2)
ALLOWED = 0.05  # of really new designs


def main() -> None:
    """Print the table of the labelled set and the shares of the played campaigns."""
    start = time.perf_counter()
    verdicts: dict[str, list[tuple[Case, str]]] = {}
    for case in cases(random.Random(0)):
        verdicts.setdefault(case.label, []).append((case, judged(case)))
    print(f"{'label':42} {'pairs':>5} {'refused':>7}  by")
    for label, told in verdicts.items():
        refused = [reason for _, reason in told if reason]
        rules = ", ".join(f"{k} {v}" for k, v in Counter(map(_rule, refused)).most_common())
        print(f"{label:42} {len(told):5} {len(refused) / len(told):7.1%}  {rules}")
    print(f"in {time.perf_counter() - start:.0f} s")
    for seed in SEEDS:
        refused, slowest = _campaign(seed)
        rules = ", ".join(f"{k} {v}" for k, v in Counter(map(_rule, refused)).most_common())
        print(
            f"campaign {seed}: {len(refused)} of {EXPERIMENTS} first ideas refused ({rules}); "
            f"the slowest check took {slowest:.2f} s"
        )
    exact = [reason for case in verdicts.values() for one, reason in case if one.exact]
    new = [reason for case in verdicts.values() for one, reason in case if one.really_new]
    if not all(exact) or sum(map(bool, new)) > ALLOWED * len(new):
        print(f"{exact.count('')} exact repeats pass, {sum(map(bool, new))} new designs refused")
        sys.exit(1)


def _rule(reason: str) -> str:
    """Return the rule that a reason names, shortened."""
    rules = ("root template", "but for numbers", "same but for names", "in other words", "the idea")
    return next(rule for rule in rules if rule in reason)


def _campaign(seed: int) -> tuple[list[str], float]:
    """Play one campaign; return why first ideas were refused, and the longest check in seconds."""
    rng = random.Random(f"novelty:{seed}")
    code = template_source("delta_net")
    root = Candidate(number=0, name="root", motivation="", code=code, fitness=0.5, loss=1.8)
    history: list[Experiment] = []
    refused: list[str] = []
    slowest = 0.0
    for number in range(1, EXPERIMENTS + 1):
        reasons: list[str] = []
        for attempt in range(4):
            proposal = _proposal(history, root, number, seed, attempt)
            near = nearest(proposal.motivation, history)
            start = time.perf_counter()
            novelty = check_novelty(proposal, history, near, root)
            slowest = max(slowest, time.perf_counter() - start)
            if novelty.verdict == "new":
                history.append(scored(number, fitness=rng.gauss(0.5, 0.1), told=proposal))
                break
            reasons.append(novelty.reason)
        refused += reasons[:1]
    return refused, slowest


def _proposal(
    history: list[Experiment], root: Candidate, number: int, seed: int, attempt: int
) -> Proposal:
    """Ask the offline designer, as the graph does."""
    brief = ResearchBrief(
        seed=seed,
        number=number,
        attempt=attempt,
        selection=select(history, root, number, seed),
        tier="laptop",
        noise={},
    ).model_dump(mode="json")
    written = researcher_turn(Turn(brief, ("write_code",), ()))
    done = Done("write_code", written.arguments, "", None)
    design = researcher_turn(Turn(brief, ("write_code",), (done,)))
    return Proposal(code=str(written.arguments["code"]), **design.arguments)


if __name__ == "__main__":
    main()
