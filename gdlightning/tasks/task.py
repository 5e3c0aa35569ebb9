"""The base of every task: one loss, shared by training, validation, test and diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from gdlightning.tasks.gathered import Gathered

NESTED: Any = (Tensor, Mapping, tuple, list)
"""What holds examples; a union that is made anew at each look would take longer than the look."""


class Task(L.LightningModule):
    """What is learnt: a net, a loss and metrics. It names no optimizer.

    A subclass writes ``forward``, ``loss`` and ``metrics``::

        class Denoiser(gdl.Task):
            def __init__(self, width: int = 64) -> None:
                super().__init__()
                self.net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 64))

            def forward(self, x: Tensor) -> Tensor:
                return self.net(x)

            def metrics(self) -> dict[str, Metric]:
                return {"mse": MeanSquaredError()}

            def loss(self, batch: Any) -> Tensor:
                clean, _ = batch
                restored = self(clean + 0.3 * torch.randn_like(clean))
                self.observe(restored, clean)
                return F.mse_loss(restored, clean)

    Logged are ``train_loss``, ``val_loss``, ``test_loss``, and each metric under the same prefixes.

    Attributes:
        default_net: the net that a config gets if it names none; for tasks with a ``net`` argument.
        silent: nothing is logged or kept of what is evaluated now.
        shows_training: metrics are kept of the training batches too.
        gathered: what the metrics of training have yet to be updated with.
    """

    default_net: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self._stage_metrics = nn.ModuleDict()
        self._observing: Gathered | MetricCollection | None = None
        self.shows_training, self.silent = True, False
        self.gathered: Gathered | None = None

    # What a subclass writes

    def loss(self, batch: Any) -> Tensor:
        """The mean loss of a batch, shape []; calls ``observe`` if there are metrics.

        It is a function of the weights, the batch and torch's random state alone: it logs nothing,
        so that curvature, noise scale and landscape can call it.
        """
        raise TypeError(f"{type(self).__name__} must define loss(batch).")

    def metrics(self) -> dict[str, Metric]:
        """Fresh metrics by name; each stage gets its own."""
        return {}

    def samples(self, batch: Any) -> Mapping[str, Any]:
        """What to show of a validation batch: name → text, image [3, H, W], or a figure."""
        return {}

    # What a subclass calls

    def observe(self, predictions: Tensor, targets: Tensor) -> None:
        """Feed the metrics of the stage that runs; nothing outside training, validation, test."""
        if isinstance(self._observing, Gathered):
            self._observing.add(predictions.detach(), targets)
        elif self._observing is not None:
            self._observing.update(predictions.detach(), targets)

    def prepare_metrics(self) -> None:
        """Make the metrics of all stages, once; the first batch does it where nobody else did."""
        if self._stage_metrics:
            return
        for name in ("train_", "val_", "test_"):  # "train" alone is a method of nn.Module
            metrics: dict[str, Metric | MetricCollection] = {**self.metrics()}
            if not metrics:
                return
            made = MetricCollection(metrics, prefix=name).to(self.device)
            self._stage_metrics[name] = made
            if name == "train_":
                self.gathered = Gathered(made)

    # What Lightning calls

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One loss with its graph."""
        return self._step("train", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Loss and metrics of a validation batch."""
        self._step("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Loss and metrics of a test batch."""
        self._step("test", batch)

    def _step(self, stage: str, batch: Any) -> Tensor:
        if self.silent:
            return self.loss(batch)
        training, own = stage == "train", vars(self)  # nn.Module's own way to attributes is slow
        if training and (self.gathered is not None or not self.shows_training):
            own["_observing"] = self.gathered if self.shows_training else None
        else:
            own["_observing"] = self._observed_in(stage)
        try:
            loss = self.loss(batch)
        finally:
            own["_observing"] = None
        if training and logged_again(own["_trainer"], "training_step.train_loss", loss):
            return loss
        shown = self.shows_training or not training
        metrics, size = self._metrics_of(stage) if shown else None, examples(batch)
        self.log(
            f"{stage}_loss",
            loss.detach(),
            prog_bar=True,
            on_step=training,
            on_epoch=not training,
            batch_size=size,
            sync_dist=not training,
        )
        if metrics is not None:
            self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=size)
        return loss

    def _observed_in(self, stage: str) -> Gathered | MetricCollection | None:
        metrics = self._metrics_of(stage)
        return self.gathered if stage == "train" else metrics

    def _metrics_of(self, stage: str) -> MetricCollection | None:
        self.prepare_metrics()  # all stages at once: Lightning looks for metrics only once
        if not self._stage_metrics:
            return None
        collection = self._stage_metrics[f"{stage}_"]
        return collection if isinstance(collection, MetricCollection) else None


def logged_again(trainer: Any, key: str, value: Tensor) -> bool:
    """Log a value of each step as ``self.log`` did before in this epoch, without its checks.

    They take longer than a small net's step.

    Args:
        trainer: of the training.
        key: hook and name that the value was logged by.
        value: shape [], on the same device as before.

    Returns:
        Whether it was logged; not where ``self.log`` has yet to be told how.
    """
    logged = trainer.fit_loop.epoch_loop._results.get(key)
    if logged is None or logged.has_reset or value.dtype not in (torch.float32, torch.float64):
        return False
    logged.value = logged._forward_cache = value.detach()
    return True


def examples(batch: Any) -> int:
    """The number of examples in a batch of nested tuples, lists and dicts of tensors."""
    if isinstance(batch, Tensor):
        return batch.size(0) if batch.ndim else 1
    if not isinstance(batch, tuple | list) and isinstance(batch, Mapping):
        batch = tuple(batch.values())
    for part in reversed(batch):  # targets come last and are never ragged
        if isinstance(part, NESTED):
            return examples(part)
    return 1
