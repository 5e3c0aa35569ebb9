"""What a checkpoint must know to be used without its run folder."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L

KEY = "gdlightning"


class Record(L.Callback):
    """Puts the resolved config, the data's sizes and its fitted preprocessing in each checkpoint.

    Args:
        config: the resolved config, plain values.
        sizes: what nets and task were told of the data.
        fitted: the data module's fitted preprocessing, plain values and tensors.
    """

    def __init__(self, config: dict[str, Any], sizes: dict[str, Any], fitted: Any) -> None:
        self.content = {"config": config, "sizes": sizes, "fitted": fitted}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record."""
        checkpoint[KEY] = self.content
