"""The loss of any LightningModule on a batch, evaluated without side effects."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import lightning.pytorch as L
from torch import Tensor, nn
from torchmetrics import Metric


class SkippedBatch(TypeError):
    """``training_step`` returned None: the module skips the batch."""


def loss_of(module: L.LightningModule, batch: Any, batch_idx: int = 0) -> Tensor:
    """Return the training loss of a batch, shape [], with its graph and without side effects.

    The loss is what ``training_step`` returns. Nothing is logged, and metrics and running
    statistics do not change. Like in training, the loss depends on the module's mode and torch's
    random state. To evaluate a module many times, wrap the evaluations in ``traceless``.

    Args:
        module: task or other LightningModule with automatic optimization; it needs no trainer.
        batch: batch on the module's device.
        batch_idx: index of the batch, passed to ``training_step``.

    Raises:
        SkippedBatch: if ``training_step`` returns None.
        TypeError: if ``training_step`` does not return a loss.
    """
    with traceless(module):
        return loss_in(module.training_step(batch, batch_idx))


def loss_in(output: Any) -> Tensor:
    """Return the loss in the output of a ``training_step``.

    Raises:
        SkippedBatch: if the output is None.
        TypeError: if the output contains no loss.
    """
    if output is None:
        raise SkippedBatch("training_step returned None, not a loss.")
    loss = output["loss"] if isinstance(output, Mapping) else output
    if not isinstance(loss, Tensor):
        raise TypeError(f"training_step returned {type(loss).__name__}, not a loss.")
    return loss


@contextlib.contextmanager
def traceless(module: L.LightningModule) -> Iterator[None]:
    """Prevent changes of logs, metrics and running statistics while the module is evaluated."""
    # Evaluate on copies: restoring the buffers in place would break a later backward pass.
    statistics = [(owner, dict(owner._buffers)) for owner in _statistics(module)]
    for owner, kept in statistics:
        owner._buffers.update({k: None if b is None else b.clone() for k, b in kept.items()})
    metrics = [m for m in module.modules() if isinstance(m, Metric)]
    updates = [m.update for m in metrics]
    logs = {name: module.__dict__.get(name) for name in ("log", "log_dict")}
    for metric in metrics:
        object.__setattr__(metric, "update", _ignore)
    for name in logs:
        setattr(module, name, _ignore)
    vars(module)["silent"] = True  # tasks log without self.log, see Task._step
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


def _ignore(*_: Any, **__: Any) -> None:
    pass
