"""Evaluate a trained run on its test split."""

from __future__ import annotations

import lightning.pytorch as L

from gdlightning.data.data_module import DataModule
from gdlightning.errors import UserError
from gdlightning.runs.load_run import restore
from gdlightning.runs.quiet import quiet


def evaluate(run: str) -> dict[str, float]:
    """Return the metrics of a run on its test split, by name.

    Args:
        run: a run folder or a checkpoint.

    Raises:
        UserError: the run has no checkpoint, or its data has no test split.
    """
    quiet()
    module, data = restore(run)
    if data is None:
        raise UserError(f"The config of {run} has no data section, so there is no test split.")
    if isinstance(data, DataModule):
        data.setup()
        if len(data.rows.get("test", ())) == 0:
            raise UserError(f"{run} has no test split: data.test_fraction is 0.")
    trainer = L.Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    rows = trainer.test(module, data, verbose=False)
    return {name: float(value) for row in rows for name, value in row.items()}
