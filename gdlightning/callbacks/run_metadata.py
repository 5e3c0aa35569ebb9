"""Metadata that makes a checkpoint usable without its run folder."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L

from gdlightning.storage.checkpoint_file import KEY


class RunMetadata(L.Callback):
    """Store the metadata of a run in each of its checkpoints.

    Attributes:
        content: plain values and tensors: the resolved ``config``, the data's ``sizes``, its
            ``fitted`` preprocessing, the number of ``examples`` per split, and the ``environment``.
    """

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the metadata to a checkpoint."""
        checkpoint[KEY] = self.content
