"""Base class of tasks: one loss, shared by training, validation, test and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from gdlightning import internals
from gdlightning.storage.checkpoint_file import KEY, read
from gdlightning.tasks.buffered_metrics import Gathered

LOAD_OPTIONS = ("map_location", "hparams_file", "strict", "weights_only")
"""Arguments of ``LightningModule.load_from_checkpoint`` that are not arguments of the module."""
NESTED: Any = (Tensor, Mapping, tuple, list)
"""Types that may hold examples. Building this union on each call would cost more than the call."""


class Task(L.LightningModule):
    """Base class that defines what to train: a net, a loss and metrics, but no optimizer.

    Subclasses implement ``forward``, ``loss`` and ``metrics``::

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

    Logs ``train_loss``, ``val_loss`` and ``test_loss``, and each metric with the same prefixes.

    Attributes:
        default_net: name of the net that is used if a config names none; for tasks with a ``net``
            argument.
        silent: whether logging and metric updates are disabled.
        shows_training: whether metrics are also computed on training batches.
        gathered: buffer of predictions for the training metrics; None before the first batch.
    """

    default_net: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self._stage_metrics = nn.ModuleDict()
        self._observing: Gathered | MetricCollection | None = None
        self.shows_training, self.silent = True, False
        self.gathered: Gathered | None = None

    # Implemented by subclasses

    def loss(self, batch: Any) -> Tensor:
        """Return the mean loss of a batch, shape []; call ``observe`` if there are metrics.

        The loss must depend only on the weights, the batch and torch's random state, and must not
        log, so that curvature, gradient noise and loss landscapes can be measured with it.

        Args:
            batch: batch from the data loader.
        """
        raise TypeError(f"{type(self).__name__} must define loss(batch).")

    def metrics(self) -> dict[str, Metric]:
        """Return new metrics by name; called once per stage."""
        return {}

    def samples(self, batch: Any) -> Mapping[str, Any]:
        """Return samples to log for a validation batch: name → text, image [3, H, W], or figure."""
        return {}

    # Called by subclasses

    def observe(self, predictions: Tensor, targets: Tensor) -> None:
        """Update the metrics of the current stage; outside of stages, do nothing.

        Args:
            predictions: predictions in the form that the metrics expect.
            targets: matching targets.
        """
        if isinstance(self._observing, Gathered):
            self._observing.add(predictions.detach(), targets)
        elif self._observing is not None:
            self._observing.update(predictions.detach(), targets)

    def prepare_metrics(self) -> None:
        """Create the metrics of all stages, unless they exist.

        The first batch calls this method if nothing else did.
        """
        if self._stage_metrics:
            return
        for name in ("train_", "val_", "test_"):  # "train" would shadow nn.Module.train
            metrics: dict[str, Metric | MetricCollection] = {**self.metrics()}
            if not metrics:
                return
            made = MetricCollection(metrics, prefix=name).to(self.device)
            self._stage_metrics[name] = made
            if name == "train_":
                self.gathered = Gathered(made)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a task with the weights of a checkpoint of ``gdl fit``.

        The net and its sizes are rebuilt from what the checkpoint stores.

        >>> gdl.Task.load_from_checkpoint("version_0/checkpoints/last.ckpt")  # doctest: +SKIP

        Args:
            checkpoint_path: the checkpoint file.
            *args: further arguments of Lightning's method, such as ``map_location``.
            **kwargs: the same by name, and arguments of the task that replace stored ones.

        Raises:
            UserError: if the checkpoint is damaged, or its net is a Python object.
        """
        from gdlightning.tasks import rebuild

        content = read(Path(checkpoint_path))
        if KEY not in content:  # of Lightning's own Trainer, with save_hyperparameters()
            return super().load_from_checkpoint(checkpoint_path, *args, **kwargs)
        stored = rebuild.task_class(content)
        wanted = stored if issubclass(stored, cls) else cls
        lightning = {k: v for k, v in kwargs.items() if k in LOAD_OPTIONS}
        own = {k: v for k, v in kwargs.items() if k not in LOAD_OPTIONS}
        options = rebuild.task_arguments(wanted, content, own)
        load = super(Task, wanted).load_from_checkpoint  # type: ignore[misc]
        return load(checkpoint_path, *args, **lightning, **options)

    # Called by Lightning

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        return self._step("train", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Evaluate the loss and metrics of a validation batch."""
        self._step("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Evaluate the loss and metrics of a test batch."""
        self._step("test", batch)

    def _step(self, stage: str, batch: Any) -> Tensor:
        if self.silent:
            return self.loss(batch)
        training, own = stage == "train", vars(self)  # nn.Module.__setattr__ is slow
        if training and (self.gathered is not None or not self.shows_training):
            own["_observing"] = self.gathered if self.shows_training else None
        else:
            own["_observing"] = self._observer_of(stage)
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

    def _observer_of(self, stage: str) -> Gathered | MetricCollection | None:
        metrics = self._metrics_of(stage)
        return self.gathered if stage == "train" else metrics

    def _metrics_of(self, stage: str) -> MetricCollection | None:
        self.prepare_metrics()  # all stages at once: Lightning collects metrics only once
        if not self._stage_metrics:
            return None
        collection = self._stage_metrics[f"{stage}_"]
        return collection if isinstance(collection, MetricCollection) else None


def logged_again(trainer: Any, key: str, value: Tensor) -> bool:
    """Log a value like the previous call of ``self.log`` in this epoch, without its checks.

    The checks take longer than a step of a small net.

    Args:
        trainer: trainer of the run.
        key: hook and name that the value was logged under.
        value: value of shape [], on the same device as before.

    Returns:
        Whether the value was logged; False if ``self.log`` must be called first.
    """
    if not internals.private_names():
        return False
    logged = internals.results(trainer).get(key)
    if logged is None or logged.has_reset or value.dtype not in (torch.float32, torch.float64):
        return False
    logged.value = value.detach()
    internals.set_step_value(logged, logged.value)
    return True


def examples(batch: Any) -> int:
    """Return the number of examples in a batch; 1 if it contains no tensor.

    Args:
        batch: tensor, nested tuple, list, dict or data class of tensors, or any other object with
            tensors as attributes.
    """
    return _first_size(batch) or 1


def _first_size(batch: Any) -> int | None:
    """Return the first size of the last tensor; targets come last and are never ragged."""
    if isinstance(batch, Tensor):
        return batch.size(0) if batch.ndim else 1
    if isinstance(batch, tuple | list):
        parts = batch
    elif isinstance(batch, Mapping):
        parts = list(batch.values())
    else:
        parts = list(getattr(batch, "__dict__", {}).values())
    sizes = (_first_size(p) for p in reversed(parts) if isinstance(p, NESTED) or is_dataclass(p))
    return next((size for size in sizes if size is not None), None)
