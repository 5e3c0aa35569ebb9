"""The line at the start of a run that says what is trained, where, and for how long."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as L

from gdlightning.engine.train_loaders import train_loaders


class StartLine(L.Callback):
    """Prints what is trained, on which device, with which batch size, and for how many steps.

    Args:
        name: Name of the model.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line."""
        if trainer.is_global_zero:
            print(start_line(trainer, pl_module, self._name))


def start_line(trainer: L.Trainer, module: L.LightningModule, name: str) -> str:
    """Return the line for a Trainer whose data is set up."""
    total = sum(p.numel() for p in module.parameters())
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    count = f"{total:,} parameters" + (f", {trained:,} trained" if trained < total else "")
    world, device = trainer.world_size, trainer.strategy.root_device
    where = f"{world} {device.type} devices" if world > 1 else str(device)
    parts = [f"Training {name} ({count}) on {where}"]
    examples = _examples_per_step(trainer)
    if examples:
        parts.append(f"{examples:,} examples per step")
    return f"{', '.join([*parts, _length(trainer)])}."


def _examples_per_step(trainer: L.Trainer) -> int:
    """Return the number of examples per optimizer step on all devices; 0 if it is not known."""
    sizes = [getattr(loader, "batch_size", None) for loader in train_loaders(trainer)]
    data: Any = getattr(trainer, "datamodule", None)
    if getattr(data, "rows", None) and hasattr(data, "step_size"):
        return int(data.step_size * trainer.world_size * _trainer_windows(trainer, data))
    if len(sizes) != 1 or not isinstance(sizes[0], int):
        return 0
    return sizes[0] * trainer.accumulate_grad_batches * trainer.world_size


def _trainer_windows(trainer: L.Trainer, data: Any) -> int:
    """Return how many whole batches of the data module are accumulated."""
    return 1 if data.pieces > 1 else trainer.accumulate_grad_batches


def _length(trainer: L.Trainer) -> str:
    total, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
    if math.isinf(total) or total < 0:
        return "without a limit on the steps"
    left = f", from step {trainer.global_step:,}" if trainer.global_step else ""
    if math.isinf(batches) or not batches:
        return f"{int(total):,} steps{left}"
    epochs = total / math.ceil(batches / trainer.accumulate_grad_batches)
    unit = "epoch" if epochs == 1 else "epochs"
    return f"{int(total):,} steps ({epochs:.3g} {unit}){left}"
