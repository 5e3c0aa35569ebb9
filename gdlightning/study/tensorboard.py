"""Settings and results of a comparison for TensorBoard's HParams plugin."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from gdlightning.study.comparison import Comparison
from gdlightning.study.trial import Trial, TrialResult


def board(folder: Path, comparison: Comparison) -> None:
    """Write a TensorBoard run for each completed run; existing ones are kept.

    Args:
        folder: folder for ``tensorboard --logdir``.
        comparison: comparison with the trials.
    """
    for course in comparison.courses.values():
        for trial, outcome in course.trials:
            place = folder / f"{trial.workload}-{trial.candidate}-{trial.key}"
            if not outcome.failed and not place.exists():
                _write(place, trial, outcome)


def _write(place: Path, trial: Trial, outcome: TrialResult) -> None:
    numbers = {k: v if isinstance(v, float | int) else str(v) for k, v in trial.settings.items()}
    given = {
        "workload": trial.workload,
        "optimizer": trial.candidate,
        "purpose": trial.purpose,
        "steps": trial.steps,
        "seed": trial.seed,
        **numbers,
    }
    with SummaryWriter(str(place)) as writer:
        for summary in hparams(given, dict.fromkeys(outcome.metrics, 0.0)):
            writer._get_file_writer().add_summary(summary)
        for name, value in outcome.metrics.items():
            writer.add_scalar(name, value, trial.steps)
