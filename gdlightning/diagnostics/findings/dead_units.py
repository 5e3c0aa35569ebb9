"""Rectified units that give 0 for every example of a batch."""

from __future__ import annotations

from collections.abc import Iterator

from gdlightning.diagnostics.record import Record
from gdlightning.diagnostics.verdict import Verdict

MOST, MANY = 0.9, 0.5
"""Share of a layer's units, above which it passes next to nothing; or much less than it could."""


def find(record: Record) -> Iterator[Verdict]:
    """Layers whose units are dead in the last half of what was measured."""
    seen = [s for s in record.steps if s.dead]
    late = seen[len(seen) // 2 :]
    if not late:
        return
    least = {name: min(s.dead.get(name, 0.0) for s in late) for name in late[-1].dead}
    bad = {k: v for k, v in sorted(least.items(), key=lambda kv: -kv[1]) if v > MANY}
    if not bad:
        return
    name, share = next(iter(bad.items()))
    early = seen[0].dead.get(name, 0.0)
    since = "from the first step on" if early > MANY else f"{early:.0%} at the first step"
    yield Verdict(
        name="dead-units",
        severity="fault" if share > MOST else "warning",
        title=f"{share:.0%} of the units of {name} are dead.",
        evidence=(
            f"They gave 0 for all examples of each measured batch since step {late[0].step:,}; "
            f"{since}.",
            *(f"Also {k}: {v:.0%}." for k, v in list(bad.items())[1:4]),
        ),
        advice=("a smaller --optimizer.lr and a warm-up, if they died in training",
                "smaller initial biases, or another activation (GELU, SiLU, leaky ReLU)"),
        symptoms=(
            "plateau", "vanishing-gradients", "lr-too-small", "saddle", "nothing-carries-over"
        ),
        first=0 if early > MANY else late[0].step,
        picture="units",
    )  # fmt: skip
