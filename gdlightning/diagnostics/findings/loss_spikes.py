"""Single batches whose loss stood far out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gdlightning.diagnostics.record import Record
from gdlightning.diagnostics.verdict import Verdict

SHOWN, LEAST = 3, 0.1
"""Spikes that are shown; share of the first loss, below which one does no harm."""


def find(record: Record) -> Iterator[Verdict]:
    """The largest spikes, with the examples in their batches."""
    spikes = [s for s in record.spikes if s["loss"] > LEAST * record.first_loss]
    if not spikes:
        return
    worst = sorted(spikes, key=lambda s: -s["loss"] / max(s["typical"], 1e-12))[:SHOWN]
    evidence = [
        f"Step {s['step']:,}: loss {s['loss']:.4g}, typical {s['typical']:.4g}; "
        f"examples {_some(s.get('examples'))}."
        for s in worst
    ]
    counts = Counter(e for s in spikes for e in s.get("examples") or ())
    again = [e for e, n in counts.most_common(5) if n > 1]
    if again:
        evidence.append(f"In more than one of them: examples {_some(again)}.")
    count, first = len(spikes), worst[0]
    often = count > 0.02 * max(1, len(record.losses))
    yield Verdict(
        name="loss-spikes",
        severity="warning" if often or first["loss"] > 10 * first["typical"] else "note",
        title=f"{count} batch{'es' if count > 1 else ''} made the loss jump; the worst at step "
        f"{first['step']:,}, {first['loss'] / max(first['typical'], 1e-12):.1f} times the typical.",
        evidence=tuple(evidence),
        advice=("look at those examples of the training split", "--clip norm", "--guard.spike 10"),
        symptoms=("overfitting",),
        first=min(s["step"] for s in spikes),
        picture="loss",
    )


def _some(examples: Sequence[int] | None, most: int = 8) -> str:
    if not examples:
        return "unknown"
    more = ", …" if len(examples) > most else ""
    return ", ".join(str(e) for e in examples[:most]) + more
