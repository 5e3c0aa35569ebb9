"""Single batches whose loss stood far out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

SHOWN, LEAST = 3, 0.1
"""Spikes that are shown; share of the first loss, below which one does no harm."""
OFTEN, MOSTLY, CHANCE = 3, 0.7, 0.01
"""Spikes, and share of the times that it is seen, that an example must be in to be a bad one; how
many such there may be by chance."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """The largest spikes with the examples in their batches; those that spoil batch after batch."""
    least = LEAST * record.first_loss
    spikes = [s for s in record.spikes if s["loss"] > least]
    if not spikes:
        return
    worst = sorted(spikes, key=lambda s: -s["loss"] / max(s["typical"], 1e-12))[:SHOWN]
    evidence = tuple(
        f"Step {s['step']:,}: loss {s['loss']:.4g}, typical {s['typical']:.4g}; "
        f"examples {_some(s.get('examples'))}."
        for s in worst
    )
    count, first = len(spikes), worst[0]
    often = count > 0.02 * max(1, len(record.losses))
    bad = _again(record, spikes)
    if bad:
        yield Verdict(
            name="bad-examples",
            severity="fault" if _harmful(record, spikes, bad) else "warning",
            title=f"The same examples make the loss jump again and again: {_some(bad)}.",
            evidence=(f"They are in most of the {count} batches whose loss stood far out.",),
            advice=(
                "look at those examples of the training split",
                "until then: --clip norm, --guard.spike 10",
            ),
            symptoms=("loss-spikes", "lr-too-large", "lr-too-small", "overfitting", "diverged"),
            first=min(s["step"] for s in spikes),
            picture="loss",
        )
    yield Verdict(
        name="loss-spikes",
        severity="warning" if often or first["loss"] > 10 * first["typical"] else "note",
        title=f"{count} batch{'es' if count > 1 else ''} made the loss jump; the worst at step "
        f"{first['step']:,}, {first['loss'] / max(first['typical'], 1e-12):.1f} times the typical.",
        evidence=evidence,
        advice=("look at those examples of the training split", "--clip norm", "--guard.spike 10"),
        symptoms=("overfitting",),
        first=min(s["step"] for s in spikes),
        picture="loss",
    )


def _harmful(record: RunRecord, spikes: Sequence[dict[str, Any]], bad: Sequence[int]) -> bool:
    """Whether they throw the loss back above where it began, as merely hard examples don't."""
    own = [float(s["loss"]) for s in spikes if not set(bad).isdisjoint(s.get("examples") or ())]
    return max(own) > record.first_loss


def _again(record: RunRecord, spikes: Sequence[dict[str, Any]]) -> list[int]:
    """Examples that are in a spike nearly each time that they are seen."""
    size = record.start.get("data", {}).get("examples", {}).get("train", 0)
    batch = int(record.steps.examples[-1]) if len(record.steps) else 0
    if not size or not batch:
        return []
    steps = len(record.losses) - spikes[0]["step"]
    share, seen = min(1.0, len(spikes) / max(1, steps)), steps * batch / size
    counts = Counter(e for s in spikes for e in s.get("examples") or ())
    told = [(e, n) for e, n in counts.most_common(SHOWN * 3) if n >= max(OFTEN, MOSTLY * seen)]
    return [e for e, n in told if size * share**n < CHANCE]


def _some(examples: Sequence[int] | None, most: int = 8) -> str:
    if not examples:
        return "unknown"
    more = ", …" if len(examples) > most else ""
    return ", ".join(str(e) for e in examples[:most]) + more
