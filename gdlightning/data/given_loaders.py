"""Data loaders that were made in Python, as a data module."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L


class GivenLoaders(L.LightningDataModule):
    """Data loaders of a training, a validation and a test split.

    Args:
        train: iterable of training batches.
        val: iterable of validation batches; None for no validation.
        test: iterable of test batches; None for no test.
    """

    def __init__(self, train: Any, val: Any = None, test: Any = None) -> None:
        super().__init__()
        self.loaders = {"train": train, "val": val, "test": test}

    def train_dataloader(self) -> Any:
        """Return the training batches."""
        return self.loaders["train"]

    def val_dataloader(self) -> Any:
        """Return the validation batches; an empty list if there are none."""
        return [] if self.loaders["val"] is None else self.loaders["val"]

    def test_dataloader(self) -> Any:
        """Return the test batches; an empty list if there are none."""
        return [] if self.loaders["test"] is None else self.loaders["test"]
