"""Measure the curvature of a run's loss, and its optimizer's stability limit."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from gdlightning.curvature.curvature_report import Report, examine
from gdlightning.curvature.density import Density, density
from gdlightning.curvature.stability_margin import Standing, standing
from gdlightning.runs.quiet import quiet
from gdlightning.runs.run_hessian import Subject, made_anew, optimizers_of, subject

CAVEAT = (
    "Sharpness alone does not predict test accuracy: rescaling the layers of a ReLU net changes\n"
    "its eigenvalues many-fold and its function not at all. The adaptive sharpness stays."
)


@dataclass(frozen=True)
class CurvatureOptions:
    """How precisely to measure curvature.

    Args:
        split: ``train`` or ``val``.
        batches: maximum number of batches of the split.
        top: number of largest eigenvalues.
        bottom: number of smallest eigenvalues.
        steps: maximum number of Lanczos steps.
        probes: number of random vectors for the trace.
        seed: seed of the batches and of the random vectors.
        precision: 32 or 64 bits.
        density_probes: number of random vectors for the spectral density; 0 to leave it out.
        checkpoint: ``best``, ``last`` or a file; see ``choose_checkpoint``.
    """

    split: str = "train"
    batches: int = 8
    top: int = 5
    bottom: int = 2
    steps: int = 40
    probes: int = 10
    seed: int = 0
    precision: int = 32
    density_probes: int = 0
    checkpoint: str | None = None


def measure_curvature(run: str, options: CurvatureOptions) -> tuple[dict[str, Any], Density | None]:
    """Measure eigenvalues, trace and stability limit at a run's checkpoint.

    Args:
        run: a run folder or a checkpoint.
        options: what to measure, and how precisely.

    Returns:
        All figures as plain values, and the spectral density if ``density_probes`` is not 0.

    Raises:
        UserError: the run has no usable checkpoint or no data.
    """
    quiet()
    top, bottom, steps, seed = options.top, options.bottom, options.steps, options.seed
    found = subject(
        run,
        options.split,
        options.batches,
        seed=seed,
        wide=options.precision == 64,
        which=options.checkpoint,
    )
    hessian, probes = found.hessian, options.density_probes
    total = top + bottom + options.probes + 2 + (3 + probes) * steps
    with tqdm(total=total, desc="Hessian products", leave=False, dynamic_ncols=True) as bar:
        hessian.on_product = bar.update
        report = examine(
            hessian,
            top=top,
            bottom=bottom,
            probes=options.probes,
            steps=steps,
            seed=seed,
            seen=found.seen,
        )
        margin = None
        if options.split == "train" and (optimizers := optimizers_of(found)):
            make = functools.partial(made_anew, found)
            margin = standing(
                hessian,
                optimizers,
                make,
                top=report.top[0],
                steps=steps,
                seed=seed,
                seen=found.seen,
            )
        spectrum = density(hessian, probes, steps, seed=seed) if probes else None
    return _as_record(run, found, report, margin, options), spectrum


def _as_record(
    run: str, found: Subject, report: Report, margin: Standing | None, options: CurvatureOptions
) -> dict[str, Any]:
    """Return all figures by name."""
    return {
        "run": run,
        "checkpoint": str(found.path),
        "step": found.step,
        "parameters": found.hessian.size,
        "split": options.split,
        "batches": len(found.hessian.batches),
        "examples": found.count,
        "of": found.total,
        "precision": options.precision,
        "seed": options.seed,
        "loss": report.loss,
        "gradient_norm": report.gradient_norm,
        "top": [asdict(m) for m in report.top],
        "bottom": [asdict(m) for m in report.bottom],
        "trace": asdict(report.trace),
        "adaptive_sharpness": asdict(report.adaptive),
        "optimizer": found.config.chosen("optimizer")["name"],
        "stability": None if margin is None else asdict(margin),
        "caveat": CAVEAT.replace("\n", " "),
    }
