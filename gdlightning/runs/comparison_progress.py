"""Progress of ``gdl compare``: progress bar, preliminary reports and messages."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gdlightning.study import comparison_report as report
from gdlightning.study.comparison import Comparison
from gdlightning.study.comparison_result import comparison_result
from gdlightning.study.trial import Trial, TrialResult

REPORT_INTERVAL_SECONDS = 20.0
"""Time between two reports of a study in progress."""


class ProgressReporter:
    """Show the progress of a study on the terminal, and write preliminary reports.

    Args:
        folder: folder of the reports.
        command: command that started the study, for the report.
        targets: workload → metric value whose number of steps is reported.
        silent: whether to show and write nothing, as in a worker.
    """

    def __init__(
        self, folder: Path, command: str, targets: Mapping[str, float], silent: bool
    ) -> None:
        self.folder, self.command, self.targets, self.silent = folder, command, targets, silent
        self.bar: Any = None
        self._counted: set[str] = set()
        self._written = -math.inf

    def __call__(self, comparison: Comparison) -> None:
        """Update the progress bar, and write the report at intervals and at the end."""
        if self.silent:
            return
        if self.bar is not None and self.bar.total != comparison.steps:
            self.bar.total = comparison.steps
            self.bar.refresh()
        due = time.monotonic() - self._written > REPORT_INTERVAL_SECONDS
        if comparison.done or due:
            found = comparison_result(comparison, self.targets)
            report.write(self.folder, comparison, found, self.command, versions())
            self._written = time.monotonic()

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[Sequence[Trial], Mapping[str, TrialResult]], None]]:
        """Show a progress bar over optimizer steps; yields the function that updates it."""
        from tqdm import tqdm

        with tqdm(
            unit=" steps",
            unit_scale=True,
            disable=self.silent or None,
            dynamic_ncols=True,
            file=sys.stderr,
            smoothing=0.05,
            leave=False,
        ) as bar:
            self.bar = bar
            yield self._count

    def _count(self, trials: Sequence[Trial], known: Mapping[str, TrialResult]) -> None:
        """Count the steps of trials that are known and were not counted before."""
        for trial in trials:
            if trial.key in known and trial.key not in self._counted:
                self._counted.add(trial.key)
                self.bar.update(trial.steps)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that affect the result."""
    import importlib.metadata
    import platform

    found = {"Python": platform.python_version()}
    for name in ("gdlightning", "torch", "lightning", "pytorch-optimizer", "optuna"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def say(line: str) -> None:
    """Print a line to standard error, separate from the output."""
    print(line, file=sys.stderr, flush=True)
