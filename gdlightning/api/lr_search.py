"""A learning-rate range test from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gdlightning.api.given_arguments import Arguments
from gdlightning.api.run_tables import metrics_table
from gdlightning.config.settings import located
from gdlightning.errors import UserError
from gdlightning.range_test.suggestion import Curve, LrRange
from gdlightning.runs.run_range_test import find_lr

STEPS, LR_MIN, LR_MAX = 210, 1e-6, 10.0
"""Defaults of ``gdl lr-find``."""


class FoundLearningRate:
    """The result of ``gdl.lr_find``.

    Attributes:
        lr: suggested learning rate.
        low: smallest learning rate worth trying.
        high: largest learning rate worth trying.
        option: option that takes it, such as ``optimizer.lr``.
        notes: reasons for less confidence; empty if there are none.
        curve: learning rates and losses of the steps.
    """

    def __init__(self, found: LrRange, option: str) -> None:
        self.lr, self.low, self.high, self.option = found.point, found.low, found.high, option
        self.notes: tuple[str, ...] = tuple(found.notes)
        self.curve: Curve = found.curve
        self._found = found

    def __float__(self) -> float:
        return self.lr

    def __repr__(self) -> str:
        from gdlightning.range_test.lr_figure import in_text

        head = f"{self.option}: {self.lr:g} (worth trying: {self.low:g} to {self.high:g})"
        return "\n".join([head, *(f"Less sure: {n}" for n in self.notes), in_text(self._found)])

    def _repr_html_(self) -> str:
        rows = {
            "suggested": self.lr,
            "lowest worth trying": self.low,
            "highest worth trying": self.high,
        }
        return metrics_table(self.option, rows) + "".join(f"<p>{note}</p>" for note in self.notes)


def lr_find(
    config: Any = None,
    *,
    model: Any = None,
    data: Any = None,
    target: str | None = None,
    task: str | None = None,
    loss: str | Callable[..., Any] | None = None,
    optimizer: Any = None,
    clip: Any = None,
    steps: int = STEPS,
    lr_min: float = LR_MIN,
    lr_max: float = LR_MAX,
    **settings: Any,
) -> FoundLearningRate:
    """Find a learning rate with a range test; a module that is passed stays as it is.

    >>> gdl.lr_find("configs/tabular.yaml").lr  # doctest: +SKIP

    Args:
        config: a YAML file, several, or a mapping as in one.
        model: as for ``gdl.fit``.
        data: as for ``gdl.fit``.
        target: the column to predict.
        task: task of a plain network.
        loss: loss of a plain network.
        optimizer: a name, or a mapping with ``name`` and options.
        clip: a maximal gradient norm, a name, or a mapping with ``name`` and options.
        steps: optimizer steps of the test.
        lr_min: learning rate of the first step.
        lr_max: learning rate of the last step.
        **settings: any other option, as for ``gdl.fit``.

    Raises:
        UserError: if an argument is wrong, or there is no learning rate to find.
    """
    given = Arguments(config, model, data, target, task, loss, optimizer, None, clip, settings)
    checked = given.resolve(copied=True)
    try:
        found, option = find_lr(checked, steps=steps, lr_min=lr_min, lr_max=lr_max)
    except UserError as error:
        raise located(error, checked.given) from error
    return FoundLearningRate(found, option)
