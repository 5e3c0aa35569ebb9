"""What a checkpoint must hold beyond Lightning's own, so that training goes on bit by bit."""

from __future__ import annotations

import random
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from gdlightning.tasks.task import Task


def random_state() -> dict[str, Any]:
    """The states of all generators of this process, as plain values and tensors."""
    name, keys, position, has_gauss, gauss = np.random.get_state()
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), position,
                  has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }  # fmt: skip
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put all generators back to a state."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, numbers, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, numbers.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def metric_states(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Module path of each torchmetrics metric → what it has gathered so far."""
    return {
        path: {
            "updates": metric._update_count,
            "state": {k: _copy(getattr(metric, k)) for k in metric._defaults},
        }
        for path, metric in _metrics(module).items()
    }


def set_metric_states(module: nn.Module, states: dict[str, dict[str, Any]]) -> None:
    """Let each metric go on from what it had gathered."""
    if isinstance(module, Task):
        module.prepare_metrics()
    known = _metrics(module)
    for path, saved in states.items():
        metric = known.get(path)
        if metric is None:
            continue
        for name, value in saved["state"].items():
            setattr(metric, name, _copy(value, metric.device))
        metric._update_count, metric._computed = saved["updates"], None


def means(trainer: L.Trainer) -> dict[str, dict[str, Tensor]]:
    """What ``self.log(..., on_epoch=True)`` has gathered in this epoch, for plain numbers."""
    results: Any = trainer.fit_loop.epoch_loop._results
    return {
        key: {"value": r.value.clone(), "count": r.cumulated_batch_size.clone()}
        if r.meta.is_mean_reduction
        else {"value": r.value.clone()}
        for key, r in results.items()
        if r.is_tensor and r.meta.on_epoch and not r.has_reset
    }


def add_means(trainer: L.Trainer, saved: dict[str, dict[str, Tensor]]) -> None:
    """Add what was gathered before the resume to what the first batch after it has logged."""
    results: Any = trainer.fit_loop.epoch_loop._results
    for key in [k for k in saved if k in results]:
        before, now = saved.pop(key), results[key]
        value = before["value"].to(now.value.device)
        if now.meta.is_mean_reduction:
            now.value = value + now.value
            now.cumulated_batch_size = before["count"].to(value.device) + now.cumulated_batch_size
        elif now.meta.is_max_reduction or now.meta.is_min_reduction:
            pick = torch.maximum if now.meta.is_max_reduction else torch.minimum
            now.value = pick(value, now.value)
        else:
            now.value = value + now.value


def each_rank(own: Any) -> list[Any]:
    """The value of every process, by rank."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [own]
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, own)
    return gathered


def _metrics(module: nn.Module) -> dict[str, Metric]:
    return {path: m for path, m in module.named_modules() if isinstance(m, Metric)}


def _copy(value: Any, device: torch.device | None = None) -> Any:
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        return copy if device is None else copy.to(device)
    if isinstance(value, list | tuple):
        return [_copy(v, device) for v in value]
    return value
