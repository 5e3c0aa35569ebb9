"""Compare the batch size with the estimated critical batch size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import mean, stdev

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

MIN_PAIRS = 15
"""Pairs of consecutive gradients needed for an estimate."""


def noise_scale(record: RunRecord, share: float = 0.5) -> float | None:
    """Estimate the critical batch size as the gradient noise scale.

    The estimate uses the scalar products of the gradients of consecutive steps: tr(Σ) / ‖G‖² of
    McCandlish et al. (2018), https://arxiv.org/abs/1812.06162. It is accurate to an order of
    magnitude only, because the gradient changes from step to step.

    Args:
        record: The measurements of a run.
        share: The fraction of the steps, counted from the end, that are used.

    Returns:
        The critical batch size in examples, or None if it cannot be estimated.
    """
    places, pairs = record.cosines
    begin = int((1 - share) * len(places))
    if len(places) - begin < MIN_PAIRS:
        return None
    cosines = [v for v in pairs[begin:].tolist() if math.isfinite(v)]
    if len(cosines) < MIN_PAIRS or mean(cosines) < 2 * stdev(cosines) / math.sqrt(len(cosines)):
        return None  # not significantly above 0
    cosine = min(max(mean(cosines), 1e-6), 0.999)
    batch = mean(record.steps.examples[places[begin:]].tolist())
    return float(batch * (1 - cosine) / cosine)


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report a batch size far below or above the critical batch size."""
    scale = noise_scale(record)
    if scale is None or scale <= 0:
        return
    batch = int(record.steps.examples[-1])
    ratio = batch / scale
    evidence = (
        f"Batch size: {batch:,}. Estimated critical batch size: "
        f"{10 ** round(math.log10(max(scale, 1))):,} (order of magnitude).",
    )
    if ratio > 30:
        yield Verdict(
            name="batch-above-critical",
            severity="note",
            title="The batch size is far above critical: a smaller one needs as many steps.",
            evidence=evidence,
            advice=(f"Set --data.batch_size {max(1, int(2 ** round(math.log2(scale * 3))))}.",),
            picture="noise",
        )
    elif ratio < 1 / 100:
        yield Verdict(
            name="batch-below-critical",
            severity="note",
            title="The batch size is far below critical: steps are dominated by gradient noise.",
            evidence=evidence,
            advice=(
                "Increase --data.batch_size or --trainer.accumulate_grad_batches together with "
                "--optimizer.lr.",
                "Or decay the learning rate to 0, for example with --schedule cosine.",
            ),
            picture="noise",
        )
