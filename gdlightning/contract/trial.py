"""One short training of the contract's task, and what it left behind."""

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
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.callbacks.checkpoints import Checkpoints
from gdlightning.callbacks.optimization import Optimization
from gdlightning.callbacks.stops import Stops
from gdlightning.contract.problem import Digits, digits, loader
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import Grouping
from gdlightning.schedules.scheduler import Scheduler
from gdlightning.storage.checkpoint import WholeCheckpoints

SHORT = 16
"""Steps of a short training: some methods make none before their estimates are good."""


def quiet() -> None:
    """Let Lightning not comment on each of many short trainings."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


@dataclass
class Outcome:
    """What a training left behind.

    Attributes:
        losses: of each batch.
        before: weights before the first step, by name.
        after: weights after the last, those for evaluation where there are others.
        module: that was trained.
        optimizer: that trained it.
        clips: for each optimizer step, the global norm of the gradients after clipping.
    """

    losses: list[float]
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    module: Digits
    optimizer: Optimizer
    clips: list[float] = field(default_factory=list)

    def moved(self, prefix: str = "") -> bool:
        """Whether any weight whose name begins so has changed."""
        return any(
            not torch.equal(self.before[k], v)
            for k, v in self.after.items()
            if k.startswith(prefix)
        )

    @property
    def finite(self) -> bool:
        """Whether all losses and weights are."""
        numbers = torch.tensor(self.losses)
        return bool(
            torch.isfinite(numbers).all()
            and all(torch.isfinite(v).all() for v in self.after.values())
        )


@dataclass(frozen=True)
class Trial:
    """An optimizer that is to be tried.

    Args:
        entry: of the registry.
        options: beside the entry's defaults.
    """

    entry: Entry
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def lr(self) -> float | None:
        """Its learning rate at the defaults, None where it has none."""
        value = Optimization(self.named()).choice.value("lr")
        return None if value is None else float(value)

    def named(self, **more: Any) -> dict[str, Any]:
        """The optimizer as a config has it."""
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
    ) -> Outcome:
        """Train for some steps from the same weights, in the same order of the data.

        Args:
            steps: optimizer steps.
            options: of the optimizer.
            grouping: rules for the parameter groups.
            clip: a maximal global norm.
            accumulate: pieces that a batch is cut into.
            precision: Lightning's name of it.
            unused: with a layer that has no gradient.
            lr_from: from this step on, every learning rate is multiplied by the factor.
            noise: relative error that every gradient gets before a step.
            folder: where checkpoints go, one every half of the steps.
            resume: a checkpoint to go on from.
            ranks: processes that share each batch.
        """
        L.seed_everything(0, verbose=False)
        module = Digits(sparse="sparse" in self.entry.needs, unused=unused)
        with torch.no_grad():
            for parameter in module.parameters():  # some methods train only what is almost 0
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
            callbacks.append(Checkpoints(folder, Stops(), every_n_steps=steps // 2))
        trainer = L.Trainer(
            max_steps=steps,
            accelerator="cpu",
            devices=ranks,
            strategy="ddp" if ranks > 1 else "auto",
            accumulate_grad_batches=accumulate,
            precision=precision,
            callbacks=callbacks,
            plugins=[AsyncCheckpointIO(WholeCheckpoints())] if folder is not None else None,
            logger=False,
            enable_checkpointing=folder is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        batches = loader(digits(), accumulate, trainer.global_rank, ranks)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Lightning, about small data
            trainer.fit(module, batches, ckpt_path=resume, weights_only=True)
        after = {k: v.detach().clone() for k, v in module.named_parameters()}
        return Outcome(seen.losses, seen.before, after, module, seen.optimizer, seen.clips)


def blur(optimizer: Optimizer, noise: float) -> None:
    """Give gradients relative errors of a standard deviation, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    for parameter in (p for g in optimizer.param_groups for p in g["params"]):
        if parameter.grad is not None and not parameter.grad.is_sparse:
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = parameter.grad * (1 + noise * drawn).to(parameter.dtype)


class Seen(L.Callback):
    """Notes what goes on, and changes the learning rate where it is told to."""

    def __init__(
        self, optimization: Optimization, lr_from: tuple[int, float] | None, noise: float
    ) -> None:
        self.optimization, self.lr_from, self.noise = optimization, lr_from, noise
        self.losses: list[float] = []
        self.clips: list[float] = []
        self.before: dict[str, Tensor] = {}
        self.optimizer: Optimizer = torch.optim.SGD([torch.zeros(1)])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Weights as they are, and the optimizer."""
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
        """The loss; and the learning rate of the steps that follow."""
        self.losses.append(float(outputs["loss"]))
        if self.lr_from is not None and trainer.global_step == self.lr_from[0]:
            for config in trainer.lr_scheduler_configs:
                if isinstance(config.scheduler, Scheduler):
                    config.scheduler.rescale(self.lr_from[1])
