"""The directions in which the loss curves most: eigenvectors of its Hessian."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
from torch import Tensor
from tqdm.auto import tqdm

from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.lanczos import extremes
from gdlightning.tasks.objective import loss_of
from gdlightning.tasks.task import examples

STEPS = 60
"""Products with the Hessian at most."""


@dataclass(frozen=True)
class Curve:
    """A direction with its curvature.

    Args:
        value: the eigenvalue.
        bound: what it may be off by.
        direction: the eigenvector by parameter, of unit length together.
    """

    value: float
    bound: float
    direction: dict[str, Tensor]


def sharpest(
    module: L.LightningModule, batches: Sequence[Any], count: int, seed: int = 0
) -> list[Curve]:
    """The eigenvectors with the largest eigenvalues of the Hessian of the mean loss.

    Args:
        module: in evaluation mode, so that it is the loss that the landscape shows.
        batches: over which the mean is taken, on the module's device.
        count: of directions.
        seed: of the random start, and of the loss's own random numbers.

    Raises:
        UserError: the loss has no second derivative, or none that is finite.
    """
    parameters = dict(module.named_parameters())
    sizes = [examples(batch) for batch in batches]
    hessian = Hessian(functools.partial(loss_of, module), parameters, batches, sizes, seed=seed)
    with tqdm(total=STEPS, desc="eigenvectors", disable=None, leave=False) as bar:
        hessian.on_product = bar.update
        found = extremes(hessian, top=count, steps=STEPS, seed=seed).top
    return [Curve(pair.value, pair.bound, _named(pair.vector, hessian)) for pair in found]


def _named(vector: Tensor, hessian: Hessian) -> dict[str, Tensor]:
    parts = vector.split([p.numel() for p in hessian.parameters.values()])
    return {
        name: part.view(parameter.shape).to(parameter)
        for part, (name, parameter) in zip(parts, hessian.parameters.items(), strict=True)
    }
