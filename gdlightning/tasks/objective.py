"""The loss of any LightningModule on a batch, evaluated without a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import lightning.pytorch as L
from torch import Tensor, nn
from torchmetrics import Metric


def loss_of(module: L.LightningModule, batch: Any, batch_idx: int = 0) -> Tensor:
    """The training loss of a batch, shape [], with its graph; nothing is logged or kept of it.

    A task's ``loss``, or what another module's ``training_step`` returns. It depends on the mode of
    the module and on torch's random state like any step. A module that is evaluated many times is
    best held in ``traceless`` meanwhile.

    Args:
        module: a task, or any module under automatic optimization; it needs no trainer.
        batch: on the module's device.
        batch_idx: of the batch, for those that ask.

    Raises:
        TypeError: the module's ``training_step`` gives no loss.
    """
    with traceless(module):
        return loss_in(module.training_step(batch, batch_idx))


def loss_in(output: Any) -> Tensor:
    """The loss in what a ``training_step`` returned.

    Raises:
        TypeError: there is none.
    """
    loss = output["loss"] if isinstance(output, Mapping) else output
    if not isinstance(loss, Tensor):
        raise TypeError(f"training_step gave {type(loss).__name__}, not a loss.")
    return loss


@contextlib.contextmanager
def traceless(module: L.LightningModule) -> Iterator[None]:
    """Keep logs, metrics and running statistics as they are while the module is evaluated."""
    # Others take their place, so that a backward pass may come later still.
    statistics = [(owner, dict(owner._buffers)) for owner in _statistics(module)]
    for owner, kept in statistics:
        owner._buffers.update({k: None if b is None else b.clone() for k, b in kept.items()})
    metrics = [m for m in module.modules() if isinstance(m, Metric)]
    updates = [m.update for m in metrics]
    logs = {name: module.__dict__.get(name) for name in ("log", "log_dict")}
    for metric in metrics:
        object.__setattr__(metric, "update", _nothing)
    for name in logs:
        setattr(module, name, _nothing)
    vars(module)["silent"] = True  # a task's own way past them
    try:
        yield
    finally:
        vars(module)["silent"] = False
        for metric, update in zip(metrics, updates, strict=True):
            object.__setattr__(metric, "update", update)
        for name, own in logs.items():
            delattr(module, name)
            if own is not None:
                setattr(module, name, own)
        for owner, kept in statistics:
            owner._buffers.update(kept)


def _statistics(module: nn.Module) -> Iterator[nn.Module]:
    return (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._NormBase))


def _nothing(*_: Any, **__: Any) -> None:
    pass
