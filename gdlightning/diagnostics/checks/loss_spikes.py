"""Detect batches whose loss is an outlier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

MAX_SHOWN = 3
"""Spikes listed in the evidence."""
MIN_HEIGHT = 0.1
"""Fraction of the first loss below which a spike is harmless."""
MIN_SPIKES, MIN_SPIKE_SHARE = 3, 0.7
"""Spikes with a bad example: their number, and their fraction of the steps that use the example."""
MAX_EXPECTED = 0.01
"""Upper bound on the expected number of such examples if spikes were random."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report the largest spikes, and the examples that repeatedly cause them."""
    least = MIN_HEIGHT * record.first_loss
    spikes = [s for s in record.spikes if s["loss"] > least]
    if not spikes:
        return
    worst = sorted(spikes, key=lambda s: -s["loss"] / max(s["typical"], 1e-12))[:MAX_SHOWN]
    evidence = tuple(
        f"Step {s['step']:,}: loss {s['loss']:.4g} (typically {s['typical']:.4g}), "
        f"examples {_some(s.get('examples'))}."
        for s in worst
    )
    count, first = len(spikes), worst[0]
    often = count > 0.02 * max(1, len(record.losses))
    bad = _recurring(record, spikes)
    if bad:
        yield Verdict(
            name="bad-examples",
            severity="fault" if _harmful(record, spikes, bad) else "warning",
            title=f"The same examples cause loss spikes repeatedly: {_some(bad)}.",
            evidence=(f"They occur in most of the {count} batches with a loss spike.",),
            advice=(
                "Check these examples of the training split.",
                "As a workaround, set --clip norm or --guard.spike 10.",
            ),
            symptoms=("loss-spikes", "lr-too-large", "lr-too-small", "overfitting", "diverged"),
            first=min(s["step"] for s in spikes),
            picture="loss",
        )
    yield Verdict(
        name="loss-spikes",
        severity="warning" if often or first["loss"] > 10 * first["typical"] else "note",
        title=f"{count} loss spike{'s' if count > 1 else ''}, the largest at step "
        f"{first['step']:,}, {first['loss'] / max(first['typical'], 1e-12):.1f} times the typical "
        "loss.",
        evidence=evidence,
        advice=(
            "Check these examples of the training split.",
            "Set --clip norm.",
            "Or set --guard.spike 10 to drop such steps.",
        ),
        symptoms=("overfitting",),
        first=min(s["step"] for s in spikes),
        picture="loss",
    )


def _harmful(record: RunRecord, spikes: Sequence[dict[str, Any]], bad: Sequence[int]) -> bool:
    """Return whether they raise the loss above its initial value, unlike difficult examples."""
    own = [float(s["loss"]) for s in spikes if not set(bad).isdisjoint(s.get("examples") or ())]
    return max(own) > record.first_loss


def _recurring(record: RunRecord, spikes: Sequence[dict[str, Any]]) -> list[int]:
    """Return the examples that occur in a spike nearly every time they are used."""
    size = record.start.get("data", {}).get("examples", {}).get("train", 0)
    batch = int(record.steps.examples[-1]) if len(record.steps) else 0
    if not size or not batch:
        return []
    steps = len(record.losses) - spikes[0]["step"]
    share, seen = min(1.0, len(spikes) / max(1, steps)), steps * batch / size
    counts = Counter(e for s in spikes for e in s.get("examples") or ())
    least = max(MIN_SPIKES, MIN_SPIKE_SHARE * seen)
    common = [(e, n) for e, n in counts.most_common(MAX_SHOWN * 3) if n >= least]
    return [e for e, n in common if size * share**n < MAX_EXPECTED]


def _some(examples: Sequence[int] | None, most: int = 8) -> str:
    if not examples:
        return "unknown"
    more = ", …" if len(examples) > most else ""
    return ", ".join(str(e) for e in examples[:most]) + more
