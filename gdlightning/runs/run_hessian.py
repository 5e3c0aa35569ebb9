"""The Hessian of a run's loss, and its optimizer, from a checkpoint alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from gdlightning.config.schema import Config
from gdlightning.curvature.hessian import Hessian
from gdlightning.data.data_module import DataModule
from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.groups import KINDS, Grouping
from gdlightning.optimizers.wrappers.wrapper import parts_of
from gdlightning.runs.build_run import build_grouping
from gdlightning.runs.choose_checkpoint import choose_checkpoint, report
from gdlightning.runs.find_checkpoint import record_of
from gdlightning.runs.load_run import batches, config_of, rebuild
from gdlightning.tasks.objective import loss_of
from gdlightning.tasks.task import examples


@dataclass(frozen=True)
class Subject:
    """What curvature is measured of.

    Args:
        path: of the checkpoint.
        step: optimizer steps that it is after.
        hessian: of the mean loss over the batches.
        count: examples in them.
        total: examples in the split; None where the data does not tell.
        config: of the run.
        module: with its weights.
        state: of the optimizer; None where the checkpoint holds none.
    """

    path: Path
    step: int
    hessian: Hessian
    count: int
    total: int | None
    config: Config
    module: L.LightningModule
    state: dict[str, Any] | None

    @property
    def seen(self) -> float:
        """The part of the split that is in the batches."""
        return min(1.0, self.count / self.total) if self.total else 0.0


def subject(
    where: str,
    split: str = "train",
    limit: int | None = None,
    *,
    seed: int = 0,
    wide: bool = False,
    which: str | None = None,
) -> Subject:
    """The loss of a run as a function of its weights.

    Dropout is off. On the training split batch norms use each batch's own statistics, as training
    does; elsewhere those that they have gathered.

    Args:
        where: a checkpoint or a run.
        split: ``train`` or ``val``.
        limit: batches at most; all if not given.
        seed: of the order of the batches, and of what their loading draws.
        wide: in float64.
        which: checkpoint of the run: best, last or a file; see ``choose_checkpoint``.

    Raises:
        UserError: there is no whole checkpoint of ``gdl fit``, or no data.
    """
    chosen = choose_checkpoint(where, which)
    path, checkpoint = chosen.path, chosen.content
    module, data = rebuild(path, checkpoint)
    report(chosen)
    data = module if data is None else data  # it may have loaders of its own
    L.seed_everything(seed, verbose=False)
    found = batches(module, data, split, limit)
    if split == "train":
        for part in module.modules():
            if isinstance(part, _BatchNorm):
                part.train()
    kind = torch.float64 if wide else torch.float32
    module.to(kind)
    sizes = [examples(batch) for batch in found]
    hessian = Hessian(
        functools.partial(_loss, module, kind),
        dict(module.named_parameters()),
        [apply_to_collection(batch, Tensor, _as(kind)) for batch in found],
        sizes,
        seed=seed,
    )
    states = checkpoint.get("optimizer_states") or [None]
    step = int(checkpoint.get("global_step", 0))
    config = config_of(record_of(checkpoint, path), str(path))
    count, total = sum(sizes), _total(data, split)
    return Subject(path, step, hessian, count, total, config, module, states[0])


def optimizers_of(found: Subject) -> list[Optimizer]:
    """The run's optimizer in the state of the checkpoint, as the parts that it consists of.

    None where the checkpoint holds no state, or not one of this optimizer.
    """
    if found.state is None:
        return []
    try:
        optimizer, _ = build(
            found.config.choice, found.module, build_grouping(found.config), Context()
        )
        optimizer.load_state_dict(found.state)
    except (UserError, ValueError, KeyError, RuntimeError):
        return []
    return parts_of(optimizer)


def made_anew(found: Subject, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """The optimizer of the run's config over other parameters, all with its weight decay.

    Raises:
        UserError: it can't take them.
    """
    return build(
        found.config.choice, nn.ParameterList(parameters), Grouping(decay=KINDS), Context()
    )[0]


def _loss(module: L.LightningModule, kind: torch.dtype, batch: Any) -> Tensor:
    name = type(module).__name__
    try:
        loss = loss_of(module, batch)
    except TypeError as error:
        raise UserError(f"{name} has no curvature: {error}") from error
    except RuntimeError as error:
        first = str(error).strip().split("\n")[0]
        if "attached to a `Trainer`" in first:
            raise UserError(f"The loss of {name} can't be had without a Trainer.") from error
        if kind == torch.float64 and "dtype" in first:
            raise UserError(
                f"{name} can't be evaluated in float64: {first}\nLeave out --precision 64."
            ) from error
        raise
    if not math.isfinite(float(loss.detach())):
        raise UserError("The loss of this checkpoint is not finite: there is no curvature.")
    return loss


def _as(kind: torch.dtype) -> Any:
    return lambda tensor: tensor.to(kind) if tensor.is_floating_point() else tensor


def _total(data: Any, split: str) -> int | None:
    if isinstance(data, DataModule):
        return len(data.rows[split])
    try:
        return len(getattr(data, f"{split}_dataloader")().dataset)
    except (AttributeError, TypeError):
        return None
