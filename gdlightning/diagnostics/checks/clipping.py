"""Clipping that bites at every step, or at none."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

ALWAYS = 0.95


def find(record: RunRecord) -> Iterator[Verdict]:
    """Whether clipping is a safety net, as it should be."""
    name = record.start.get("clip", "NoClip")
    if name in ("NoClip", "QuantileClip") or len(record.losses) < 50 or not len(record.clipped):
        return
    share = mean(record.clipped[len(record.clipped) // 10 :])
    norms = sorted(v for v in record.steps.grad_norm.tolist() if v == v)
    middle = norms[len(norms) // 2] if norms else 0.0
    evidence = (f"It changed the gradient on {share:.0%} of the steps.",
                f"The gradient norm before it was {middle:.3g} (median).")  # fmt: skip
    if share > ALWAYS:
        yield Verdict(
            name="clip-always",
            severity="warning",
            title="Clipping bites at almost every step: it sets the size of the step.",
            evidence=evidence,
            advice=(f"--clip.max_norm {2 * middle:.2g}", "--clip quantile, which follows the norm"),
            picture="gradient",
        )
    elif max(record.clipped) == 0:
        yield Verdict(
            name="clip-never",
            severity="note",
            title="Clipping never bit.",
            evidence=evidence,
            advice=(f"--clip.max_norm {1.5 * norms[-1]:.2g} would catch what is out of the common"
                    if norms else "--clip none",),
            picture="gradient",
        )  # fmt: skip
