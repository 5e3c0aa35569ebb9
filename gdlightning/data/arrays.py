"""Arrays in memory: inputs X and targets y, from numpy, torch or lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gdlightning.data.data_module import DataModule, Splits
from gdlightning.data.example_input import Input, some_numbers
from gdlightning.data.loader import Rows, TensorRows, split
from gdlightning.errors import UserError

__all__ = ["Arrays"]


class Arrays(DataModule):
    """Arrays ``(X, y)``, passed from Python: ``gdl.fit(model=net, data=(X, y))``.

    X is passed to the net as it is, as float32 or int64; batches are ``(X, y)``.

    Args:
        problem: classification numbers the classes of y; regression takes y as float32 and stores
            its mean and standard deviation; raw passes y on as float32 or int64; auto is
            classification for integers and text, otherwise regression.
        arrays: the pair ``(X, y)``; it is not stored with the run.
    """

    def __init__(
        self,
        problem: Literal["auto", "classification", "regression", "raw"] = "auto",
        arrays: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.problem, self.arrays = problem, arrays

    def load(self) -> Splits:
        """Split the examples, stratified by class.

        Raises:
            UserError: if the arrays are missing, or do not match.
        """
        if self.arrays is None:
            raise UserError(
                "The data of this run is arrays in Python, which its config cannot store.\n"
                "Pass them again: gdl.fit(..., data=(X, y)) or gdl.load(RUN, data=(X, y))."
            )
        x, y = to_tensor(self.arrays[0], "X"), np.asarray(self.arrays[1])
        if len(x) != len(y) or len(y) == 0:
            raise UserError(f"data: X has {len(x)} examples and y has {len(y)}; both need as many.")
        classify = self.problem == "classification" or (
            self.problem == "auto" and y.dtype.kind in "iubUSO"
        )
        self.fitted = {"shape": list(x.shape[1:]), "type": str(x.dtype)}
        targets = self._targets(y, classify)
        labels = targets if classify else None
        fractions = (
            1 - self.val_fraction - self.test_fraction,
            self.val_fraction,
            self.test_fraction,
        )
        parts = split(len(x), fractions, self.seed, labels)
        if self.problem != "raw" and not classify:
            own = targets[parts[0]].double()
            self.fitted |= {
                "target_mean": float(own.mean()),
                "target_std": float(own.std(correction=0)) or 1.0,
            }
        return {
            name: TensorRows(x[index], targets[index])
            for name, index in zip(("train", "val", "test"), parts, strict=True)
        }

    def _targets(self, y: Any, classify: bool) -> Tensor:
        """Return the targets as a tensor.

        Raises:
            UserError: if there is only one class, or several numbers per example.
        """
        if not classify:
            if self.problem != "raw" and y.ndim > 1 and y.shape[1] > 1:
                raise UserError(
                    f"data: y has {y.shape[1]} numbers per example, a regression predicts one.\n"
                    'Use loss="mse" in place of task="regression".'
                )
            return to_tensor(y, "y")
        flat = y.reshape(len(y), -1)
        if flat.shape[1] != 1:
            raise UserError(f"data: y has shape {y.shape}; classes need one value per example.")
        classes, numbers = np.unique(flat[:, 0], return_inverse=True)
        if len(classes) < 2:
            raise UserError(f"data: all of y is {classes[0]}; a classification needs two classes.")
        self.fitted |= {
            "classes": [str(c) for c in classes],
            "labels": [c.item() if isinstance(c, np.generic) else c for c in classes],
        }
        return torch.from_numpy(numbers.reshape(-1).astype("int64"))

    def sizes(self) -> dict[str, Any]:
        """Return the number of features or channels, and the classes or the target's scale."""
        shape = self.fitted["shape"]
        found: dict[str, Any] = {}
        if len(shape) == 1:
            found = {"features": shape[0]}
        elif shape:
            found = {"channels": shape[0] if len(shape) == 3 else shape[-1]}
        if "classes" in self.fitted:
            classes = self.fitted["classes"]
            return found | {"outputs": len(classes), "classes": classes}
        if "target_mean" in self.fitted:
            found |= {k: self.fitted[k] for k in ("target_mean", "target_std")}
            return found | {"outputs": 1}
        return found

    def example(self, count: int) -> tuple[Input, ...]:
        """Return inputs [B, ...] of the shape of X."""
        return (Input("inputs", some_numbers(count, *self.fitted["shape"]), {0: "batch"}),)

    def read(self, source: Any) -> Rows:
        """Return the rows of an array, or of a .npy file.

        Raises:
            UserError: if the array has another shape than X.
        """
        if isinstance(source, str | Path):
            try:
                source = np.load(source, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise UserError(f"--input: {source} is not a .npy file: {error}") from error
        x = to_tensor(source, "The input")
        if list(x.shape[1:]) != self.fitted["shape"]:
            raise UserError(
                f"The input has shape {tuple(x.shape)}; the run was trained on examples of shape "
                f"{tuple(self.fitted['shape'])}."
            )
        return TensorRows(x.to(getattr(torch, self.fitted["type"].removeprefix("torch."))))


def to_tensor(values: Any, name: str) -> Tensor:
    """Return an array as a tensor of float32, or int64 for integers.

    Args:
        values: numpy array, tensor, data frame of numbers, or nested lists.
        name: name for messages.

    Raises:
        UserError: if it holds anything but numbers, or numbers that are not finite.
    """
    if not isinstance(values, Tensor):
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise UserError(
                f"data: {name} has the type {array.dtype}, not numbers.\n"
                "Pass columns of text as a pandas DataFrame with target=NAME."
            )
        values = torch.from_numpy(np.ascontiguousarray(array).astype(_type_of(array.dtype.kind)))
    found: Tensor = values.float() if values.is_floating_point() else values.long()
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise UserError(
            f"data: {name} has values that are not finite (NaN or infinite).\n"
            "Fill them, or pass a pandas DataFrame with target=NAME, which handles missing values."
        )
    return found


def _type_of(kind: str) -> str:
    return "float32" if kind == "f" else "int64"
