"""What a campaign will cost, before it begins: from earlier campaigns, or from typical turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from move37.agents.models.calls import JOURNAL, Call, Total, dollars, read_calls
from move37.agents.models.ledger import uncounted
from move37.agents.models.prices import Price, Prices, load_prices
from move37.records import CampaignConfig, Caps, Finite, UserError, Value
from move37.settings import EXTERNAL, OFFLINE, Settings, provider_of


class Need(Value):
    """What an experiment takes of one role on average: calls, tokens in (some cached) and out."""

    calls: Finite
    read: Finite
    written: Finite
    cached: Finite = 0.0

    def usd(self, price: Price) -> float:
        """Return what that costs."""
        one = (round(part / self.calls) for part in (self.read, self.written, self.cached))
        return self.calls * price.of(*one)


# Calls and characters of the offline model's turns in 8 experiments of tier smoke, of which 5 were
# judged, at 0.3 tokens a character (GPT-4o, Claude and DeepSeek take 0.23 to 0.32 for them). None
# of them needed an engineer: for it half a round of six calls is assumed. What a model thinks
# before it answers comes on top; from the second campaign on the journals of the earlier ones tell.
TYPICAL: Mapping[str, Need] = {
    "researcher": Need(calls=4.0, read=64_700, written=1_600),
    "engineer": Need(calls=3.0, read=30_000, written=800),
    "judge": Need(calls=3.25, read=11_300, written=250),
    "analyst": Need(calls=1.0, read=4_800, written=330),
    "summarizer": Need(calls=0.75, read=1_400, written=250),
}


class Expected(Value):
    """What so many experiments will cost; `usd` is None where a model has no price.

    `seen` says that earlier campaigns with the same models were asked.
    """

    experiments: int
    calls: Finite
    read: Finite
    written: Finite
    usd: Finite | None
    seen: bool

    def told(self, caps: Caps, spent: Total) -> str:
        """Return one line for people, with what the caps still allow."""
        money = "no price known" if self.usd is None else f"about {dollars(self.usd)}"
        origin = "as in earlier campaigns" if self.seen else "by typical turns, without thinking"
        line = (
            f"{self.experiments} experiments: about {self.calls:,.0f} calls, "
            f"{self.read:,.0f} tokens in and {self.written:,.0f} out, {money}, {origin}"
        )
        allowed = self.within(caps, spent)
        if allowed is None or allowed >= self.experiments:
            return line
        return f"{line}; the caps allow about {allowed}"

    def within(self, caps: Caps, spent: Total) -> int | None:
        """Return how many experiments the caps allow beyond what is spent; None: no cap says."""
        pairs = (
            (caps.usd, spent.usd, self.usd),
            (caps.tokens, spent.tokens, self.read + self.written),
            (caps.calls, spent.calls, self.calls),
        )
        shares = [
            max(0.0, cap - used) / need for cap, used, need in pairs if cap is not None and need
        ]
        return int(min(shares) * self.experiments) if shares else None


def require_prices(config: CampaignConfig, settings: Settings) -> None:
    """See that money can be counted where it is capped.

    Raises:
        UserError: the price file is not valid, or a model has no price.
    """
    prices = load_prices(settings.prices)
    if config.caps.usd is None:
        return
    fallbacks = ",".join(settings.of(role).fallbacks or "" for role in config.models)
    names = {*config.models.values(), *(name.strip() for name in fallbacks.split(","))} - {""}
    unknown = sorted(name for name in names if prices.of(name) is None)
    if unknown:
        raise UserError(uncounted(unknown))


def expected(
    config: CampaignConfig, experiments: int, journals: Sequence[Sequence[Call]], prices: Prices
) -> Expected | None:
    """Return what so many experiments will cost; None where no provider is asked."""
    asked = {r: name for r, name in config.models.items() if r in TYPICAL and _sends_bills(name)}
    if not asked:
        return None
    found = {role: seen(role, name, journals) for role, name in asked.items()}
    needs = {role: found[role] or TYPICAL[role] for role in asked}
    listed = {role: prices.of(name) for role, name in asked.items()}
    costs = [needs[role].usd(price) for role, price in listed.items() if price is not None]
    return Expected(
        experiments=experiments,
        calls=experiments * sum(need.calls for need in needs.values()),
        read=experiments * sum(need.read for need in needs.values()),
        written=experiments * sum(need.written for need in needs.values()),
        usd=experiments * sum(costs) if len(costs) == len(asked) else None,
        seen=any(found.values()),
    )


def seen(role: str, model: str, journals: Iterable[Sequence[Call]]) -> Need | None:
    """Return what an experiment took of a role that this model served, where it did so before."""
    calls, numbers = list[Call](), 0
    for journal in journals:
        within = [one for one in journal if one.experiment and one.source == "provider"]
        own = [one for one in within if (one.role, one.model) == (role, model) and one.ok]
        calls += own
        numbers += len({one.experiment for one in within}) if own else 0
    if not calls:
        return None
    return Need(
        calls=len(calls) / numbers,
        read=sum(one.input_tokens for one in calls) / numbers,
        written=sum(one.output_tokens for one in calls) / numbers,
        cached=sum(one.cached_tokens for one in calls) / numbers,
    )


def journals_of(home: Path) -> list[list[Call]]:
    """Return the journals of all campaigns of a home; those that cannot be read say nothing."""
    found = []
    for path in sorted(home.glob(f"*/{JOURNAL}")):
        try:
            found.append(read_calls(path))
        except UserError:
            continue
    return found


def _sends_bills(model: str) -> bool:
    return provider_of(model) not in (provider_of(OFFLINE), EXTERNAL)
