"""The base of every data module: splits, batch regimes, loaders, and what the nets must know."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L

from gdlightning.data.example_input import Input
from gdlightning.data.loader import BatchLoader, Rows
from gdlightning.errors import UserError

Splits = dict[str, Rows]


class DataModule(L.LightningDataModule):
    """Real data in seeded splits, batched by index.

    A subclass writes ``load`` (the rows of ``train``, ``val`` and ``test``), ``sizes`` (what a net
    or task must know, by the names of their arguments) and, for ``gdl predict``, ``read``.

    Args:
        batch_size: examples an optimizer step on each device; ``full`` is batch gradient descent,
            1 is stochastic, anything else mini-batch gradient descent.
        micro_batch_size: examples that fit in memory at once; larger batches are accumulated in
            pieces of this size, with the same gradient.
        val_fraction: part of the data held out for validation.
        test_fraction: part of the data held out for the test.
        seed: of the splits and of the order of the batches.
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

    # What a subclass writes

    def load(self) -> Splits:
        """Read the data and fit what preprocessing must learn, on the training split only.

        Plain values that ``read`` needs at predict time go to ``self.fitted``; they are kept in
        the checkpoint.

        Raises:
            UserError: the data can't be read or used.
        """
        raise UserError(f"{type(self).__name__} has no load().")

    def sizes(self) -> dict[str, Any]:
        """Argument name of a net or task → value, e.g. ``{"channels": 3, "outputs": 10}``.

        Called after ``load``, or with ``fitted`` restored from a checkpoint.
        """
        return {}

    def example(self, count: int) -> tuple[Input, ...]:
        """``count`` made-up examples as the task's ``forward`` takes them, for ``gdl export``.

        Called after ``load``, or with ``fitted`` restored from a checkpoint; the data need not be
        there.

        Raises:
            UserError: this data module does not tell.
        """
        raise UserError(
            f"{type(self).__name__} does not tell what a net is fed (it has no example(count)).\n"
            "Give it one, or set example_input_array on the module; weights alone need neither: "
            "write a .safetensors file."
        )

    def read(self, source: Path) -> Rows:
        """New examples without targets, for prediction; batches are ``(inputs,)``.

        Raises:
            UserError: this data module can't read new examples, or not these.
        """
        raise UserError(
            f"{type(self).__name__} can't read new examples from {source}.", key="data.path"
        )

    # What Lightning calls

    def setup(self, stage: str | None = None) -> None:
        """Load once, and check that there is something to train on."""
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
    def step_size(self) -> int:
        """Examples an optimizer step on one device, before Trainer's own accumulation."""
        per_device = -(-len(self.rows["train"]) // self._world()[1])
        return per_device if self.batch_size == "full" else min(self.batch_size, per_device)

    @property
    def pieces(self) -> int:
        """Batches that are accumulated to make one batch of ``batch_size``."""
        return -(-self.step_size // (self.micro_batch_size or self.step_size))

    def train_dataloader(self) -> BatchLoader:
        """Shuffled batches, unless the batch is the whole set."""
        return self.loader("train", shuffle=self.batch_size != "full")

    def val_dataloader(self) -> Any:
        """Batches of the validation split, in order; none if it is empty."""
        return self.loader("val") if len(self.rows.get("val", ())) else []

    def test_dataloader(self) -> Any:
        """Batches of the test split, in order; none if it is empty."""
        return self.loader("test") if len(self.rows.get("test", ())) else []

    def loader(self, part: str, *, shuffle: bool = False) -> BatchLoader:
        """A loader of one split for this process."""
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
        """The fitted preprocessing, for the checkpoint."""
        return self.fitted

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the fitted preprocessing."""
        self.fitted = state_dict

    def _world(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size
