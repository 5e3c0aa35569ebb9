"""Base class of the data modules: splits, batch sizes and loaders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L

from gdlightning.data.example_input import Input
from gdlightning.data.loader import BatchLoader, Rows
from gdlightning.errors import UserError

Splits = dict[str, Rows]


class DataModule(L.LightningDataModule):
    """Data module with seeded splits that are batched by index.

    A subclass implements ``load`` (the rows of ``train``, ``val`` and ``test``), ``sizes``
    (arguments of the net or task) and, for ``gdl predict``, ``read``.

    Args:
        batch_size: examples per optimizer step on each device; ``full`` is batch gradient descent,
            1 is stochastic gradient descent, any other number mini-batch gradient descent.
        micro_batch_size: examples that are evaluated at once; gradients of larger batches are
            accumulated over parts of this size.
        val_fraction: fraction of the data for validation.
        test_fraction: fraction of the data for testing.
        seed: seed of the splits and of the order of the batches.
    """

    def __init__(
        self,
        *,
        batch_size: int | Literal["full"] = 64,
        micro_batch_size: int | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size != "full" and batch_size < 1:
            raise UserError(
                f"data.batch_size is {batch_size}; write 1 or more, or full.", key="data.batch_size"
            )
        if micro_batch_size is not None and micro_batch_size < 1:
            raise UserError(
                f"data.micro_batch_size is {micro_batch_size}; write 1 or more.",
                key="data.micro_batch_size",
            )
        for key, value in {"val_fraction": val_fraction, "test_fraction": test_fraction}.items():
            if not 0 <= value < 1:
                raise UserError(
                    f"data.{key} is {value}; write a number from 0 to below 1.", key=f"data.{key}"
                )
        if val_fraction + test_fraction >= 1:
            raise UserError(
                f"data.val_fraction {val_fraction} and data.test_fraction {test_fraction} leave "
                "nothing to train on; their sum must be below 1.",
                key=("data.val_fraction", "data.test_fraction"),
            )
        self.batch_size, self.micro_batch_size = batch_size, micro_batch_size
        self.val_fraction, self.test_fraction, self.seed = val_fraction, test_fraction, seed
        self.fitted: dict[str, Any] = {}
        self.rows: Splits = {}

    # Implemented by subclasses

    def load(self) -> Splits:
        """Read the data and fit the preprocessing on the training split.

        Plain values that ``read`` needs for prediction are stored in ``self.fitted``, which is
        saved in checkpoints.

        Returns:
            The examples of ``train``, ``val`` and ``test``.

        Raises:
            UserError: If the data cannot be read or used.
        """
        raise UserError(f"{type(self).__name__} does not implement load().")

    def sizes(self) -> dict[str, Any]:
        """Return arguments of the net or task, such as ``{"channels": 3, "outputs": 10}``.

        This method is called after ``load``, or with ``fitted`` restored from a checkpoint.
        """
        return {}

    def example(self, count: int) -> tuple[Input, ...]:
        """Return synthetic inputs of the task's ``forward``, for ``gdl export``.

        This method is called after ``load``, or with ``fitted`` restored from a checkpoint. It does
        not need the data.

        Args:
            count: The number of examples.

        Raises:
            UserError: If the data module does not implement it.
        """
        raise UserError(
            f"{type(self).__name__} does not implement example(count), which defines the inputs "
            "for the export.\nImplement it, set example_input_array on the module, or export the "
            "weights only, to a .safetensors file."
        )

    def read(self, source: Path) -> Rows:
        """Read examples without targets for prediction; batches are ``(inputs,)``.

        Args:
            source: A file or folder.

        Raises:
            UserError: If the examples cannot be read or prediction is not supported.
        """
        raise UserError(
            f"{type(self).__name__} does not support new examples ({source}).", key="data.path"
        )

    # Called by Lightning

    def setup(self, stage: str | None = None) -> None:
        """Load the data once, and check that the training split is not empty."""
        if self.rows:
            return
        rows = self.load()
        if len(rows["train"]) == 0:
            raise UserError(
                "The training split is empty: give more data or smaller fractions.",
                key=("data.val_fraction", "data.test_fraction", "data.path"),
            )
        self.rows = rows

    @property
    def fractions(self) -> tuple[float, float, float]:
        """Fractions of the training, validation and test splits."""
        return 1 - self.val_fraction - self.test_fraction, self.val_fraction, self.test_fraction

    @property
    def step_size(self) -> int:
        """Examples per optimizer step on one device, without gradient accumulation."""
        per_device = -(-len(self.rows["train"]) // self._world()[1])
        return per_device if self.batch_size == "full" else min(self.batch_size, per_device)

    @property
    def pieces(self) -> int:
        """Number of micro-batches per batch."""
        return -(-self.step_size // (self.micro_batch_size or self.step_size))

    def train_dataloader(self) -> BatchLoader:
        """Return a loader of the training split, shuffled unless ``batch_size`` is ``full``."""
        return self.loader("train", shuffle=self.batch_size != "full")

    def val_dataloader(self) -> Any:
        """Return a loader of the validation split, or an empty list if the split is empty."""
        return self.loader("val") if len(self.rows.get("val", ())) else []

    def test_dataloader(self) -> Any:
        """Return a loader of the test split, or an empty list if the split is empty."""
        return self.loader("test") if len(self.rows.get("test", ())) else []

    def loader(self, part: str, *, shuffle: bool = False) -> BatchLoader:
        """Return a loader of one split for this process.

        Args:
            part: The name of the split.
            shuffle: If True, shuffle the examples in each epoch.
            accumulate: The number of batches per optimizer step.
        """
        rank, world_size = self._world()
        size = self.step_size if part == "train" else max(self.step_size, 256)
        size = min(size, self.micro_batch_size or size)
        return BatchLoader(
            self.rows[part],
            size,
            shuffle=shuffle,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the fitted preprocessing, for checkpoints."""
        return self.fitted

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the fitted preprocessing."""
        self.fitted = state_dict

    def _world(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size
