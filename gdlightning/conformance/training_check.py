"""A short run on the task of the contract, and its results."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning import internals
from gdlightning.callbacks.checkpoints import Checkpoints, Restore
from gdlightning.callbacks.stop_conditions import Stops
from gdlightning.conformance.problem import Digits, digits, loader
from gdlightning.data.resumable import ResumableLoader
from gdlightning.engine.epoch_loop import EpochLoop
from gdlightning.engine.optimization import Optimization
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import Grouping
from gdlightning.schedules.scheduler import Scheduler
from gdlightning.storage.checkpoint_plugin import PlainCheckpointIO

SHORT = 16
"""Steps of a short run, enough for methods that skip steps until their estimates are reliable."""


def quiet() -> None:
    """Silence the messages of Lightning for many short runs."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


@dataclass
class CheckedRun:
    """Results of a run.

    Attributes:
        losses: loss of each batch.
        before: initial weights by name.
        after: final weights by name, for evaluation if the optimizer distinguishes them.
        module: trained module.
        optimizer: its optimizer.
        clips: global norm of the gradients after clipping, per optimizer step.
    """

    losses: list[float]
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    module: Digits
    optimizer: Optimizer
    clips: list[float] = field(default_factory=list)

    def moved(self, prefix: str = "") -> bool:
        """Return whether any weight whose name starts with ``prefix`` changed."""
        return any(
            not torch.equal(self.before[k], v)
            for k, v in self.after.items()
            if k.startswith(prefix)
        )

    @property
    def finite(self) -> bool:
        """Whether all losses and weights are finite."""
        numbers = torch.tensor(self.losses)
        return bool(
            torch.isfinite(numbers).all()
            and all(torch.isfinite(v).all() for v in self.after.values())
        )


@dataclass(frozen=True)
class TrainingCheck:
    """Optimizer to test.

    Args:
        entry: entry of the registry.
        options: options in addition to the defaults of the entry.
    """

    entry: Entry
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def lr(self) -> float | None:
        """Default learning rate; None if there is none."""
        value = Optimization(self.named()).choice.value("lr")
        return None if value is None else float(value)

    def named(self, **more: Any) -> dict[str, Any]:
        """Return the optimizer as in a config."""
        return {"name": self.entry.name, **self.options, **more}

    def run(
        self,
        steps: int = SHORT,
        *,
        options: Mapping[str, Any] | None = None,
        grouping: Grouping | None = None,
        clip: float | None = None,
        accumulate: int = 1,
        precision: Any = "32-true",
        unused: bool = False,
        lr_from: tuple[int, float] | None = None,
        noise: float = 0.0,
        folder: Path | None = None,
        resume: Path | None = None,
        ranks: int = 1,
    ) -> CheckedRun:
        """Train for some steps, always with the same initial weights and batch order.

        Args:
            steps: number of optimizer steps.
            options: options of the optimizer.
            grouping: rules of the parameter groups.
            clip: maximum global gradient norm.
            accumulate: number of micro-batches per batch.
            precision: precision of the Trainer.
            unused: whether to add a layer without a gradient.
            lr_from: step and factor; multiplies the learning rates from that step.
            noise: relative error added to gradients before a step.
            folder: folder for checkpoints, saved twice per run.
            resume: checkpoint to resume from.
            ranks: number of processes that share each batch.
        """
        L.seed_everything(0, verbose=False)
        module = Digits(sparse="sparse" in self.entry.needs, unused=unused)
        with torch.no_grad():
            for parameter in module.parameters():  # some methods only train weights near 0
                parameter.view(-1)[0] = 1e-4
        optimization = Optimization(
            self.named(**(options or {})),
            clip=clip,
            grouping=grouping or Grouping(),
            refusing=False,
        )
        optimization.attach(module)
        seen = Seen(optimization, lr_from, noise)
        callbacks: list[L.Callback] = [seen]
        if folder is not None:
            checkpoints = Checkpoints(folder, Stops(), every_n_steps=steps // 2)
            callbacks += [Restore(checkpoints), checkpoints]
        trainer = L.Trainer(
            max_steps=steps,
            accelerator="cpu",
            devices=ranks,
            strategy="ddp" if ranks > 1 else "auto",
            accumulate_grad_batches=accumulate,
            precision=precision,
            callbacks=callbacks,
            plugins=[PlainCheckpointIO()] if folder is not None else None,
            logger=False,
            enable_checkpointing=folder is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        batches: Any = loader(digits(), accumulate, trainer.global_rank, ranks)
        if folder is not None:
            EpochLoop.install(trainer)  # which calls the checkpoints between two steps
            batches = ResumableLoader(batches) if internals.private_names() else batches
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lightning warns about small data
            trainer.fit(module, batches, ckpt_path=resume, weights_only=True)
        after = {k: v.detach().clone() for k, v in module.named_parameters()}
        return CheckedRun(seen.losses, seen.before, after, module, seen.optimizer, seen.clips)


def blur(optimizer: Optimizer, noise: float) -> None:
    """Add fixed relative errors with a standard deviation of ``noise`` to the gradients."""
    generator = torch.Generator().manual_seed(0)
    for parameter in (p for g in optimizer.param_groups for p in g["params"]):
        if parameter.grad is not None and not parameter.grad.is_sparse:
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = parameter.grad * (1 + noise * drawn).to(parameter.dtype)


class Seen(L.Callback):
    """Callback that records the run, and changes the learning rate if requested."""

    def __init__(
        self, optimization: Optimization, lr_from: tuple[int, float] | None, noise: float
    ) -> None:
        self.optimization, self.lr_from, self.noise = optimization, lr_from, noise
        self.losses: list[float] = []
        self.clips: list[float] = []
        self.before: dict[str, Tensor] = {}
        self.optimizer: Optimizer = torch.optim.SGD([torch.zeros(1)])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the weights and the optimizer, and hook into clipping."""
        self.before = {k: v.detach().clone() for k, v in pl_module.named_parameters()}
        self.optimizer = trainer.optimizers[0]
        clip = pl_module.configure_gradient_clipping

        def clipped(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            clip(optimizer, *args, **kwargs)
            if self.noise:
                blur(optimizer, self.noise)
            params = [p for g in optimizer.param_groups for p in g["params"]]
            grads = [p.grad.detach() for p in params if p.grad is not None]
            dense = [g.coalesce().values() if g.is_sparse else g for g in grads]
            self.clips.append(float(torch.nn.utils.get_total_norm(dense)))

        pl_module.configure_gradient_clipping = clipped  # type: ignore[method-assign]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record the loss, and change the learning rate of the following steps."""
        self.losses.append(float(outputs["loss"]))
        if self.lr_from is not None and trainer.global_step == self.lr_from[0]:
            for config in trainer.lr_scheduler_configs:
                if isinstance(config.scheduler, Scheduler):
                    config.scheduler.rescale(self.lr_from[1])
