"""Detect clipping that changes every gradient, or none."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

ALWAYS_SHARE = 0.95
"""The fraction of clipped steps above which clipping determines the step size."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report clipping that is always or never active."""
    name = record.start.get("clip", "NoClip")
    if name in ("NoClip", "QuantileClip") or len(record.losses) < 50 or not len(record.clipped):
        return
    share = mean(record.clipped[len(record.clipped) // 10 :])
    norms = sorted(v for v in record.steps.grad_norm.tolist() if v == v)
    middle = norms[len(norms) // 2] if norms else 0.0
    evidence = (
        f"Clipping changed the gradient in {share:.0%} of the steps.",
        f"The median gradient norm before clipping is {middle:.3g}.",
    )
    if share > ALWAYS_SHARE:
        yield Verdict(
            name="clip-always",
            severity="warning",
            title="Almost every gradient is clipped: clipping determines the step size.",
            evidence=evidence,
            advice=(
                f"Set --clip.max_norm {2 * middle:.2g}.",
                "Or set --clip quantile, which adapts to the gradient norm.",
            ),
            picture="gradient",
        )
    elif max(record.clipped) == 0:
        yield Verdict(
            name="clip-never",
            severity="note",
            title="No gradient was clipped.",
            evidence=evidence,
            advice=(
                f"Set --clip.max_norm {1.5 * norms[-1]:.2g} to clip outliers only."
                if norms
                else "Set --clip none.",
            ),
            picture="gradient",
        )
