"""Directions of largest curvature: eigenvectors of the Hessian."""

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
"""Maximum number of Hessian-vector products."""


@dataclass(frozen=True)
class EigenCurve:
    """Eigenvector of the Hessian.

    Args:
        value: eigenvalue.
        bound: error bound of the eigenvalue.
        direction: eigenvector by parameter, of unit length in total.
    """

    value: float
    bound: float
    direction: dict[str, Tensor]


def sharpest(
    module: L.LightningModule, batches: Sequence[Any], count: int, seed: int = 0
) -> list[EigenCurve]:
    """Return the eigenvectors with the largest eigenvalues of the Hessian of the mean loss.

    Args:
        module: module in evaluation mode, to match the loss of the landscape.
        batches: batches of the mean loss, on the module's device.
        count: number of eigenvectors.
        seed: seed of the random start vector and of random numbers in the loss.

    Raises:
        UserError: if the loss has no second derivative, or it is not finite.
    """
    parameters = dict(module.named_parameters())
    sizes = [examples(batch) for batch in batches]
    hessian = Hessian(functools.partial(loss_of, module), parameters, batches, sizes, seed=seed)
    with tqdm(total=STEPS, desc="eigenvectors", disable=None, leave=False) as bar:
        hessian.on_product = bar.update
        found = extremes(hessian, top=count, steps=STEPS, seed=seed).top
    return [EigenCurve(pair.value, pair.bound, _named(pair.vector, hessian)) for pair in found]


def _named(vector: Tensor, hessian: Hessian) -> dict[str, Tensor]:
    parts = vector.split([p.numel() for p in hessian.parameters.values()])
    return {
        name: part.view(parameter.shape).to(parameter)
        for part, (name, parameter) in zip(parts, hessian.parameters.items(), strict=True)
    }
