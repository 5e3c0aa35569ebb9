"""What the instruments of a training are to be read with: its layers, settings and data."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from torch import nn
from torch.optim import Optimizer

from gdlightning.engine.optimization import Optimization
from gdlightning.engine.step_counts import trainer_steps
from gdlightning.monitor.data_stats import data_facts
from gdlightning.tasks.rng import random_state, restored


def head(
    trainer: L.Trainer, module: L.LightningModule, optimization: Optimization | None
) -> dict[str, Any]:
    """The first line of ``instruments.jsonl``."""
    counts = trainer_steps(trainer)
    steps = counts.total
    lightning: Any = trainer
    rows = getattr(lightning.datamodule, "rows", None)
    with restored(random_state()):  # examples may be drawn
        data = data_facts(rows) if isinstance(rows, dict) else {}
    start: dict[str, Any] = {
        "layers": matrices(module),
        "optimizer": type(trainer.optimizers[0]).__name__,
        "steps": steps,
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "decayed": _decayed_vectors(trainer.optimizers[0], module),
        "data": data,
    }
    if optimization is not None:
        schedule = optimization.schedule
        start |= {
            **optimization.describe(trainer),
            "warmup": schedule.warmup_steps(steps, counts.per_epoch) if steps else 0,
            "clip": type(optimization.clip).__name__,
        }
    return start


def _decayed_vectors(optimizer: Optimizer, module: nn.Module) -> list[str]:
    """Biases and scales of norms that weight decay pulls to 0."""
    names = {id(p): n for n, p in module.named_parameters()}
    groups = (g for g in optimizer.param_groups if float(g.get("weight_decay") or 0) > 0)
    return [names[id(p)] for g in groups for p in g["params"] if p.ndim < 2 and id(p) in names]


def matrices(module: nn.Module) -> list[str]:
    """Names of the trained weights with two or more dimensions, from the input on."""
    return [n for n, p in module.named_parameters() if p.requires_grad and p.ndim >= 2]
