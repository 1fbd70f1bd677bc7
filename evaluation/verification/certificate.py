"""What may be claimed of a design, with everything that a sceptic needs to measure it again."""

from __future__ import annotations

import json
import math
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from move37.evaluation.tiers import Tier
from move37.evaluation.verification.cause import Cause
from move37.evaluation.verification.claim import Claim, Verdict, claim, least_gain
from move37.evaluation.verification.compare import Comparison
from move37.evaluation.verification.seeds import Seeds
from move37.records import Failed, GateReport, Provenance, UserError, Value, content_id

FORMAT = 1
HASH_LENGTH = 64
# More than any certificate has; a file that is longer is something else.
READ_LIMIT = 64 << 20


class Machine(Value):
    """What decides bits beside the programs: processor, system, Python, torch, threads a run."""

    processor: str
    system: str
    python: str
    torch: str
    threads: int


class Ancestor(Value):
    """One step of a lineage, the design itself first and the root template (0) last."""

    number: int
    name: str


class Origin(Value):
    """Where in a campaign a design was found."""

    campaign: str
    number: int
    experiment: str
    lineage: tuple[Ancestor, ...]


class Subject(Value):
    """The design that a certificate is about; `origin` is missing for a file of its own."""

    name: str
    motivation: str
    code: str
    program: str
    origin: Origin | None = None


Result = Annotated[Comparison | Failed, Field(discriminator="kind")]


class Certificate(Value):
    """A verdict at one tier with its evidence, under a hash of everything else in it.

    `claims` designs were verified together, so many could have been called a discovery by luck.
    `root` is the code of the baseline. Curves are telemetry; every loss is held out, in nats.
    """

    format: int = FORMAT
    version: str
    made: str
    subject: Subject
    verdict: Verdict
    reason: str
    claims: int
    tier: Tier
    seeds: Seeds
    provenance: Provenance
    machine: Machine
    gates: GateReport
    root_name: str
    root: str
    result: Result
    cause: Cause
    hash: str = ""

    def sealed(self) -> Certificate:
        """Return it with the hash over everything in it."""
        return self.model_copy(update={"hash": seal(self.model_dump(mode="json"))})


def seal(fields: dict[str, Any]) -> str:
    """Return the SHA-256 of a certificate's fields without the hash itself."""
    rest = {name: value for name, value in fields.items() if name != "hash"}
    return content_id(rest, length=HASH_LENGTH)


def read_certificate(path: Path) -> Certificate:
    """Read a certificate that nobody altered.

    Raises:
        UserError: it cannot be read, is of another format, or its hash or claim does not hold.
    """
    fields = _fields(path)
    if fields.get("format") != FORMAT:
        raise UserError(
            f"{path}: a certificate of format {fields.get('format')!r}, this version reads "
            f"{FORMAT}: use the version of Move37 that it names ({fields.get('version')})"
        )
    if seal(fields) != fields.get("hash"):
        raise UserError(
            f"{path}: its hash does not fit its content, so it was altered or damaged: "
            "get the original, or verify the design again"
        )
    try:
        certificate = Certificate.model_validate(fields)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UserError(
            f"{path}: {place} is not as this version writes it; use Move37 {fields.get('version')}"
        ) from None
    _require_own_claim(certificate, path)
    return certificate


def _fields(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as opened:
            fields = json.loads(opened.read(READ_LIMIT))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise UserError(f"{path}: is not a certificate; `move37 verify` writes them as JSON")
    return fields


def _require_own_claim(certificate: Certificate, path: Path) -> None:
    """A hash can be made anew by whoever alters a file, but the claim follows from the trials.

    Raises:
        UserError: trials are missing, or say something else.
    """
    result, seeds = certificate.result, certificate.seeds.holdout
    if isinstance(result, Failed):
        return
    try:
        baseline = result.losses(result.baseline, seeds)
        found = claim(
            result.losses(result.candidate, seeds),
            result.losses(result.twin, seeds),
            baseline,
            least_gain(float(baseline.std(ddof=1)), certificate.tier.least),
        )
    except (KeyError, ValueError):
        raise UserError(f"{path}: holdout trials are missing; verify the design again") from None
    if not _follows(certificate, result.claim, found):
        raise UserError(
            f"{path}: it says {certificate.verdict} by {result.claim.against_twin.gain:+.4f} nats, "
            f"its own trials say {found.verdict} by {found.against_twin.gain:+.4f}: do not trust "
            "it, verify the design again"
        )


def _follows(certificate: Certificate, told: Claim, found: Claim) -> bool:
    """Whether a claim is what its trials give; among several it may have been taken back."""
    taken_back = (
        certificate.claims > 1 and found.verdict == "discovery" and told.verdict == "promising"
    )
    pairs = [(told.least, found.least)]
    for ours, theirs in (
        (told.against_twin, found.against_twin),
        (told.against_baseline, found.against_baseline),
    ):
        pairs += [(ours.gain, theirs.gain), (ours.se, theirs.se), (ours.p, theirs.p)]
    # Another scipy may differ in the last digits.
    same = all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) for a, b in pairs)
    return (
        same
        and certificate.verdict == told.verdict
        and (taken_back or told.verdict == found.verdict)
    )


def this_machine() -> Machine:
    """Return what this machine computes with."""
    return Machine(
        processor=_processor(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=metadata.version("torch"),
        threads=1,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def file_name(subject: Subject, tier: Tier) -> str:
    """Return the name of a certificate's file, without its ending."""
    start = f"{subject.origin.number}" if subject.origin else subject.program[:12]
    scale = "".join(c if c.isalnum() or c in "-_." else "-" for c in tier.name)
    return f"{start}-{scale}"
