"""The batch beside the noise of the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import mean, stdev

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

LEAST = 15
"""Pairs of gradients, for an order of magnitude."""


def noise_scale(record: RunRecord, share: float = 0.5) -> float | None:
    """The batch at which noise and gradient are as large, in examples; None where unknown.

    From the scalar products of neighbouring steps' gradients over the last ``share`` of the steps:
    tr(Σ) / ‖G‖² of McCandlish et al. (2018), https://arxiv.org/abs/1812.06162. It is good for an
    order of magnitude only, since the gradient changes from step to step.
    """
    places, pairs = record.cosines
    begin = int((1 - share) * len(places))
    if len(places) - begin < LEAST:
        return None
    cosines = [v for v in pairs[begin:].tolist() if math.isfinite(v)]
    if len(cosines) < LEAST or mean(cosines) < 2 * stdev(cosines) / math.sqrt(len(cosines)):
        return None  # not told from 0
    cosine = min(max(mean(cosines), 1e-6), 0.999)
    batch = mean(record.steps.examples[places[begin:]].tolist())
    return float(batch * (1 - cosine) / cosine)


def find(record: RunRecord) -> Iterator[Verdict]:
    """Whether the batch is far below or above the critical size."""
    scale = noise_scale(record)
    if scale is None or scale <= 0:
        return
    batch = int(record.steps.examples[-1])
    ratio = batch / scale
    evidence = (
        f"Batch {batch:,}; noise and gradient are as large at about "
        f"{10 ** round(math.log10(max(scale, 1))):,} examples (order of magnitude).",
    )
    if ratio > 30:
        yield Verdict(
            name="batch-above-critical",
            severity="note",
            title="The batch is far above the critical size: a smaller one takes as many steps.",
            evidence=evidence,
            advice=(f"--data.batch_size {max(1, int(2 ** round(math.log2(scale * 3))))}",),
            picture="noise",
        )
    elif ratio < 1 / 100:
        yield Verdict(
            name="batch-below-critical",
            severity="note",
            title="The batch is far below the critical size: steps are mostly noise.",
            evidence=evidence,
            advice=("a larger --data.batch_size or --trainer.accumulate_grad_batches, with a "
                    "larger lr", "or a schedule that decays to 0"),
            picture="noise",
        )  # fmt: skip
