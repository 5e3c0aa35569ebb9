"""The moment in which a run folder is changed: when the first step is about to be made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from gdlightning.runs.resume import Run
from gdlightning.runs.run_folder import CONFIG, FINISHED
from gdlightning.storage.atomic_write import remove_leftovers, write_text
from gdlightning.storage.checkpoint_file import LAST
from gdlightning.storage.checkpoint_plugin import make_last
from gdlightning.storage.logs import ResumableCSVLogger, trim


@dataclass
class RunStart:
    """Brings a run's folder to its checkpoint, once, when the first step is about to be made.

    Until then the folder of a resumed run is as it was, so that a resume that is refused or fails
    changes nothing.

    Args:
        run: The folder.
        config: The resolved config, as YAML.
        hyper_parameters: Values for the loggers, by name.
        goes_back: Checkpoint that becomes ``last.ckpt``, because the user named it or no step is
            left after it; None if the run saves the next one itself.
        keep: How many of the last checkpoints are kept.
        log_ends: Where the logs ended at the checkpoint; empty to begin them.
        changes: What is to be changed of the restored optimizer and schedule.

    Attributes:
        began: Whether the folder may have been changed.
    """

    run: Run
    config: str
    hyper_parameters: dict[str, Any]
    goes_back: Path | None
    keep: int
    log_ends: dict[str, int]
    changes: Sequence[Callable[[L.Trainer], None]] = ()
    began: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._before = _files(self.run.folder)

    def __call__(self, trainer: L.Trainer) -> None:
        """Prepare the folder; later calls do nothing."""
        if self.began:
            return
        for change in self.changes:
            change(trainer)
        self.began = True
        if not trainer.is_global_zero:
            return
        folder = self.run.folder
        remove_leftovers(folder)
        remove_leftovers(folder / "checkpoints")
        (folder / FINISHED).unlink(missing_ok=True)
        last = folder / "checkpoints" / LAST
        if self.goes_back is not None and self.goes_back.name != LAST:
            # Before the logs are cut: after a kill, the run resumes from where they end.
            make_last(self.goes_back, last, self.keep)
        trim(folder, self.log_ends, among=self._before)
        for logger in trainer.loggers:
            if isinstance(logger, ResumableCSVLogger):
                logger.reopen()
            logger.log_hyperparams(self.hyper_parameters)
            logger.save()
        if self.run.resumed:
            write_text(folder / CONFIG, self.config)

    def undo(self) -> None:
        """Remove files that were added before training began, if it did not begin."""
        if self.run.resumed and not self.began:
            for path in _files(self.run.folder) - self._before:
                path.unlink(missing_ok=True)


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
