"""Warnings of other libraries that do not apply to gdlightning's runs."""

from __future__ import annotations

import logging
import warnings


def quiet() -> None:
    """Silence log messages and warnings of Lightning that do not apply here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*number of training batches.*",
        ".*is smaller than the logging interval.*",
        ".*treespec.*",
        ".*LeafSpec.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*your dataloader is not resumable.*",  # gdlightning replays its epoch, or says so
        ".*GPU available but not used.*",
        ".*No positive samples.*",
        ".*No negative samples.*",
        ".*Experiment logs directory.*exists and is not empty.*",
        ".*Sparse invariant checks.*",
        ".*lr_scheduler.step\\(\\)` before `optimizer.step.*",  # a first step was dropped
        ".*It is recommended to use `self.log.*sync_dist.*",
        ".*max_lr was not set.*",  # heavyball, which then uses the current one
        ".*Using backward\\(\\) with create_graph=True.*",
    ):
        warnings.filterwarnings("ignore", message)
