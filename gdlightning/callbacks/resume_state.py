"""State that Lightning leaves out of a checkpoint, and that the next step depends on."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from gdlightning import internals
from gdlightning.engine.train_loaders import train_loaders
from gdlightning.random_state import (
    find_generators,
    generator_states,
    random_state,
    set_generator_states,
    set_random_state,
)
from gdlightning.tasks.task import Task


def trained_parts(trainer: L.Trainer) -> dict[str, Any]:
    """Return what may hold random generators beside the process itself, by name."""
    found: dict[str, Any] = {"model": trainer.lightning_module, "data": trainer.datamodule}  # type: ignore[attr-defined]
    found["train_dataloader"] = train_loaders(trainer)
    found["val_dataloaders"] = trainer.val_dataloaders
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if type(callback).__module__.partition(".")[0] not in ("gdlightning", "lightning"):
            found[type(callback).__name__] = callback
    return found


def random_states(trainer: L.Trainer) -> dict[str, Any]:
    """Return the random states of the process and of all that takes part in training."""
    return {
        "process": random_state(),
        "generators": generator_states(find_generators(trained_parts(trainer))),
    }


def set_random_states(trainer: L.Trainer, states: dict[str, Any]) -> list[str]:
    """Set random states; return the paths of generators that only one of the two runs has."""
    set_random_state(states["process"])
    return set_generator_states(find_generators(trained_parts(trainer)), states["generators"])


def modes(module: nn.Module) -> dict[str, list[str]]:
    """Return which parameters are frozen, and which submodules differ from training mode."""
    submodules = list(module.named_modules())
    return {
        "frozen": [name for name, p in module.named_parameters() if not p.requires_grad],
        "eval": [name for name, m in submodules if not m.training],
        "untracked": [n for n, m in submodules if getattr(m, "track_running_stats", None) is False],
    }


def set_modes(module: nn.Module, saved: dict[str, list[str]]) -> None:
    """Freeze, and switch submodules, as ``modes`` found them."""
    frozen, evaluated, untracked = (set(saved[k]) for k in ("frozen", "eval", "untracked"))
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
    for name, submodule in module.named_modules():
        submodule.training = name not in evaluated
        if hasattr(submodule, "track_running_stats"):
            submodule.track_running_stats = name not in untracked


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Return the gradients that were accumulated so far, by parameter."""
    return {n: p.grad.detach().clone() for n, p in module.named_parameters() if p.grad is not None}


def set_gradients(module: nn.Module, saved: dict[str, Tensor]) -> None:
    """Continue to accumulate gradients."""
    for name, parameter in module.named_parameters():
        if name in saved:
            parameter.grad = saved[name].to(parameter.device)


def metric_states(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Module path of each torchmetrics metric → what it has gathered so far."""
    states: dict[str, dict[str, Any]] = {
        path: {
            "updates": internals.update_count(metric),
            "state": {k: _copy(getattr(metric, k)) for k in internals.state_names(metric)},
        }
        for path, metric in _metrics(module).items()
    }
    if isinstance(module, Task) and module.gathered is not None:
        states[GATHERED] = module.gathered.state()
    return states


GATHERED = ":gathered"
"""Key of what a task's metrics have yet to be updated with; no path has a colon."""


def set_metric_states(module: nn.Module, states: dict[str, dict[str, Any]]) -> None:
    """Let each metric go on from what it had gathered."""
    if isinstance(module, Task):
        module.prepare_metrics()
    known = _metrics(module)
    if isinstance(module, Task) and module.gathered is not None and GATHERED in states:
        module.gathered.load(states[GATHERED], module.device)
    for path, saved in states.items():
        metric = known.get(path)
        if metric is None:
            continue
        for name, value in saved["state"].items():
            setattr(metric, name, _copy(value, metric.device))
        internals.set_update_count(metric, saved["updates"])


def logs(trainer: L.Trainer, module: nn.Module) -> dict[str, dict[str, Any]]:
    """What ``self.log(..., on_epoch=True)`` has gathered in this epoch, and how it was called."""
    results = internals.results(trainer)
    paths = {id(metric): path for path, metric in _metrics(module).items()}
    found: dict[str, dict[str, Any]] = {}
    for key, result in results.items():
        meta = result.meta
        if not meta.on_epoch or result.has_reset:
            continue
        call = {name: getattr(meta, name) for name in CALL}
        call |= {"reduce_fx": meta.reduce_fx.__name__, "sync_dist": meta.sync.should}
        found[key] = {"call": call}
        if not result.is_tensor:
            found[key]["metric"] = paths.get(id(result.value))
            continue
        found[key]["value"] = result.value.clone()
        if meta.on_step and (step := internals.step_value(result)) is not None:
            found[key]["step"] = step.clone()
        if meta.is_mean_reduction:
            found[key]["count"] = result.cumulated_batch_size.clone()
    return found


CALL = ("fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "metric_attribute")


def log_again(trainer: L.Trainer, module: nn.Module, saved: dict[str, dict[str, Any]]) -> None:
    """Let later steps and the epoch's end find what was logged before the resume, and not since."""
    results = internals.results(trainer)
    metrics = _metrics(module)
    for key, entry in saved.items():
        value = entry["value"] if "value" in entry else metrics.get(entry["metric"] or "")
        if key in results or value is None:
            continue
        reduce = getattr(torch, entry["call"]["reduce_fx"])
        results.log(value=value, batch_size=1, sync_dist_fn=trainer.strategy.reduce,
                    **(entry["call"] | {"reduce_fx": reduce}))  # fmt: skip
        if "value" in entry:
            results[key].value = value.to(results[key].value)
        if "step" in entry:  # Lightning logs it again at each step until there is a new one
            internals.set_step_value(results[key], entry["step"].to(value.device))
        if "count" in entry:
            results[key].cumulated_batch_size = entry["count"].to(value.device)


def add_means(trainer: L.Trainer, saved: dict[str, dict[str, Any]]) -> None:
    """Add what was gathered before the resume to what the first batch after it has logged."""
    results = internals.results(trainer)
    for key in [k for k in saved if k in results and "value" in saved[k]]:
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
