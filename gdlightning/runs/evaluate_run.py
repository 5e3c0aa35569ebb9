"""Evaluate a trained run on its test split."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities.model_helpers import is_overridden

from gdlightning.data.data_module import DataModule
from gdlightning.errors import UserError
from gdlightning.runs.choose_checkpoint import choose_checkpoint, report
from gdlightning.runs.load_run import rebuild
from gdlightning.runs.predict_run import plain_trainer
from gdlightning.runs.quiet import quiet


def evaluate(run: str, checkpoint: str | None = None) -> dict[str, float]:
    """Return the metrics of a run on its test split, by name.

    Args:
        run: a run folder or a checkpoint.
        checkpoint: ``best``, ``last`` or a file; see ``choose_checkpoint``.

    Raises:
        UserError: the run has no checkpoint, or its data has no test split.
    """
    quiet()
    chosen = choose_checkpoint(run, checkpoint)
    module, data = rebuild(chosen.path, chosen.content)
    report(chosen)
    return evaluate_module(module, data)


def evaluate_module(module: L.LightningModule, data: Any) -> dict[str, float]:
    """Return the test metrics of a module by name.

    Args:
        module: the module, with its weights.
        data: its data module; None if the module has its own loaders.

    Raises:
        UserError: there is no ``test_step``, no test data, or an empty test split.
    """
    if isinstance(data, DataModule):
        data.setup()
        if len(data.rows.get("test", ())) == 0:
            raise UserError("The run has no test split: data.test_fraction is 0.")
    name = type(module).__name__
    if not is_overridden("test_step", module):
        raise UserError(f"{name} cannot be tested: it defines no test_step.")
    owner = module if data is None else data
    if not is_overridden("test_dataloader", owner):
        raise UserError(
            f"There is nothing to test {name} on: {type(owner).__name__} has no test_dataloader."
        )
    found = plain_trainer().test(module, datamodule=data, verbose=False)
    return {k: float(v) for row in found for k, v in row.items()}
