"""What a checkpoint must know to be used without its run folder."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L

from gdlightning.storage.checkpoint import KEY


class RunMetadata(L.Callback):
    """Puts what is known of a run in each of its checkpoints.

    Args:
        content: plain values and tensors: the resolved ``config``, the data's ``sizes``, its
            ``fitted`` preprocessing, the number of ``examples`` of each split, the ``environment``.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record."""
        checkpoint[KEY] = self.content
