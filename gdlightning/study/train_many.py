"""Many runs of one task at once, as one stacked model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from gdlightning.clipping.clip import positive
from gdlightning.data.data_module import DataModule
from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping, freeze, group
from gdlightning.schedules import Schedule
from gdlightning.study.stacked_optimizer import Stacked, accepted
from gdlightning.tasks.task import Task, examples


@dataclass(frozen=True)
class Variation:
    """Settings of one run; those that are None are taken from the optimizer.

    Args:
        lr: learning rate.
        weight_decay: weight decay of the kinds of parameters that have one.
        seed: seed of the initial weights and the batch order.
    """

    lr: float | None = None
    weight_decay: float | None = None
    seed: int = 0


@dataclass
class Trained:
    """Result of one run.

    Attributes:
        variation: settings of the run.
        losses: training loss per batch, [steps].
        val_loss: mean loss on the validation split after the last step; NaN without a split.
        state_dict: weights and buffers.
    """

    variation: Variation
    losses: Tensor
    val_loss: float
    state_dict: dict[str, Tensor]


def train_many(
    task: Callable[[], Task],
    data: DataModule,
    variations: Sequence[Variation],
    *,
    steps: int,
    optimizer: str | Mapping[str, Any] = "adamw",
    schedule: str | Mapping[str, Any] = "constant",
    clip: float | None = None,
    groups: Grouping | None = None,
    device: str | torch.device = "cpu",
    trace: bool | None = None,
) -> list[Trained]:
    """Train a task once per variation, all at once.

    Small models leave hardware idle: R stacked models take R steps in little more than the time of
    one. Each result equals that of ``optimize`` and a Trainer, except for rounding. All runs use
    the same dropout masks.

    Args:
        task: factory of the task; called once per variation.
        data: data module; each variation has the batch order of its seed.
        variations: settings of each run.
        steps: number of optimizer steps.
        optimizer: name, or mapping with ``name`` and options.
        schedule: name, or mapping with ``name``, ``warmup`` and options.
        clip: maximum global gradient norm of each run.
        groups: rules of the parameter groups.
        device: device for training.
        trace: whether to record the operations of a step once and replay them, which saves a third
            of the time of a small net. Not suitable for nets whose Python code differs between
            steps. By default, used if all modules are from torch and gdlightning.

    Returns:
        The result of each variation.

    Raises:
        UserError: if the optimizer, the net or the data do not support stacking.

    Example:
        >>> variations = [Variation(lr=lr) for lr in (1e-4, 1e-3, 1e-2)]
        >>> train_many(task, data, variations, steps=1000)  # doctest: +SKIP
    """
    choice = Choice.of(optimizer)
    kind = accepted(choice)
    data.setup()
    modules = [_made(task, v.seed).to(device) for v in variations]
    for module in modules:
        freeze(module, groups or Grouping())
    settings = _settings(choice, modules[0], variations, groups)
    copies = Copies(modules, _known(modules[0]) if trace is None else trace)
    stacked = Stacked(choice, kind, copies.weights, *settings)
    batches = _batches(data, [v.seed for v in variations], steps, torch.device(device))
    curve = _curve(schedule, steps, math.ceil(len(data.rows["train"]) / data.step_size))
    max_norm = None if clip is None else positive("max_norm", clip)
    losses = []
    for step, (batch, own) in enumerate(batches):
        loss, gradients = copies.gradients(batch, own)
        if max_norm is not None:
            _clip(gradients, max_norm)
        stacked.step(gradients, curve(step))
        losses.append(loss)
    history = torch.stack(losses).cpu()
    found = copies.mean_loss(data, torch.device(device))
    return [
        Trained(v, history[:, k], float(found[k]), copies.state_dict(k))
        for k, v in enumerate(variations)
    ]


class Copies:
    """Stacked copies of one task.

    Args:
        modules: tasks with equal nets and their own weights.
        trace: whether to record the operations once and replay them.

    Attributes:
        weights: trainable weights by name, [R, ...].
        rest: buffers and frozen weights by name, [R, ...].
    """

    def __init__(self, modules: Sequence[Task], trace: bool = False) -> None:
        self.module, self.trace = _Loss(modules[0]), trace
        self._recorded: dict[str, Callable[..., Any]] = {}
        parameters, buffers = stack_module_state([_Loss(m) for m in modules])
        trained = {k for k, p in self.module.named_parameters() if p.requires_grad}
        self.weights = {k: v.detach() for k, v in parameters.items() if k in trained}
        self.rest = {k: v.detach() for k, v in parameters.items() if k not in trained} | buffers

    def gradients(self, batch: Any, own: bool) -> tuple[Tensor, list[Tensor]]:
        """Return the losses, [R], and the gradients of the stacked weights.

        Args:
            batch: shared batch, or stacked batches of each copy.
            own: whether each copy has its own batch.

        Raises:
            UserError: if the net has an operation that cannot be stacked.
        """
        try:
            gradients, loss = self._step(batch, own)(self.weights, self.rest, batch)
        except (RuntimeError, NotImplementedError, ValueError) as error:
            first = str(error).strip().split("\n")[0]
            raise UserError(
                f"The net cannot be trained as stacked copies: {first}\nTrain the runs one by one."
            ) from error
        return loss, [gradients[k] for k in self.weights]

    def _step(self, batch: Any, own: bool) -> Callable[..., Any]:
        step = vmap(grad_and_value(self._loss), (0, 0, 0 if own else None), randomness="same")
        if not self.trace:
            return step
        key = f"{_shapes(batch)}, {own}, {self.module.training}"
        if key not in self._recorded:
            rest = {k: v.clone() for k, v in self.rest.items()}  # tracing changes buffers
            with torch.random.fork_rng():
                self._recorded[key] = make_fx(lambda *given: step(*given))(
                    self.weights, rest, batch
                )
        return self._recorded[key]

    def _loss(self, weights: dict[str, Tensor], rest: dict[str, Tensor], batch: Any) -> Tensor:
        found: Tensor = functional_call(self.module, (weights, rest), (batch,))
        return found

    def mean_loss(self, data: DataModule, device: torch.device) -> Tensor:
        """Return the mean loss of each copy on the validation split, [R]; NaN without a split."""
        total, count = torch.zeros(len(next(iter(self.weights.values()))), device=device), 0
        self.module.eval()
        for batch in data.val_dataloader():
            moved, size = _to(batch, device), examples(batch)
            total += size * self.gradients(moved, own=False)[0]
            count += size
        self.module.train()
        return total / count if count else total.fill_(math.nan)

    def state_dict(self, copy: int) -> dict[str, Tensor]:
        """Return the weights and buffers of one copy."""
        whole = self.weights | self.rest
        return {k.removeprefix("task."): v[copy].clone() for k, v in whole.items()}


def _known(task: Task) -> bool:
    return all(type(m).__module__.startswith(("torch", "gdlightning.")) for m in task.modules())


def _shapes(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return (tuple(batch.shape), batch.dtype)
    return [_shapes(b) for b in batch] if isinstance(batch, tuple | list) else type(batch)


class _Loss(nn.Module):
    """Task whose forward pass returns the loss."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, batch: Any) -> Tensor:
        return self.task.loss(batch)


def _made(task: Callable[[], Task], seed: int) -> Task:
    L.seed_everything(seed, verbose=False)
    return task()


def _settings(
    choice: Choice, module: Task, variations: Sequence[Variation], grouping: Grouping | None
) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
    """Return learning rates [R], weight decays by name [R], and lr factors by name."""
    rules = grouping or Grouping()
    if rules.rules:
        raise UserError("groups.rules is not supported for stacked runs.", key="groups.rules")
    lr, decay = choice.value("lr"), choice.value("weight_decay")
    lrs = torch.tensor([lr if v.lr is None else v.lr for v in variations], dtype=torch.float64)
    wanted = [(decay or 0.0) if v.weight_decay is None else v.weight_decay for v in variations]
    if decay is None and any(wanted):
        raise UserError(f"The optimizer {choice.entry.name} has no option weight_decay to vary.")
    decays, factors = {}, {}
    for one in group(module, rules, None if decay is None else 1.0):
        for name in one.names:
            of_kind = torch.tensor(wanted, dtype=torch.float64) * (one.weight_decay or 0.0)
            decays[f"task.{name}"], factors[f"task.{name}"] = of_kind, one.lr_factor
    return lrs, decays, factors


def _batches(
    data: DataModule, seeds: Sequence[int], steps: int, device: torch.device
) -> Iterator[tuple[Any, bool]]:
    """Yield batches, shared if all seeds are equal, otherwise stacked.

    Raises:
        UserError: if batches are split into micro-batches or cannot be stacked.
    """
    if data.pieces > 1:
        raise UserError(
            "data.micro_batch_size is not supported for stacked runs.", key="data.micro_batch_size"
        )
    own = len(set(seeds)) > 1
    loaders = []
    for seed in seeds if own else seeds[:1]:
        loader = data.loader("train", shuffle=data.batch_size != "full")
        loader.seed = seed
        loaders.append(loader)
    made = 0
    while True:
        for several in zip(*loaders, strict=True):
            yield _to(_stacked(several) if own else several[0], device), own
            made += 1
            if made == steps:
                return


def _stacked(batches: Sequence[Any]) -> Any:
    first = batches[0]
    if isinstance(first, Tensor):
        if len({b.shape for b in batches}) > 1:
            raise UserError(
                "Batches of different seeds differ in shape. Use one seed for all runs."
            )
        return torch.stack(list(batches))
    if isinstance(first, tuple | list):
        return tuple(_stacked(parts) for parts in zip(*batches, strict=True))
    raise UserError("Batches of different seeds cannot be stacked. Use one seed for all runs.")


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    return type(batch)(_to(b, device) for b in batch) if isinstance(batch, tuple | list) else batch


def _curve(
    schedule: str | Mapping[str, Any], steps: int, steps_per_epoch: int
) -> Callable[[int], float]:
    given = {"name": schedule} if isinstance(schedule, str) else dict(schedule)
    made = Schedule(**given)
    if made.needs_metric:
        raise UserError(f"The schedule {made.name} is not supported for stacked runs.")
    return lambda step: made.factor(step, steps, steps_per_epoch)


@torch.no_grad()
def _clip(gradients: list[Tensor], max_norm: float) -> None:
    """Clip the gradients of each copy by global norm, in place."""
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    factor = torch.clamp(max_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6), max=1.0)
    if factor.device.type == "cpu" and bool((factor == 1).all()):
        return
    torch._foreach_mul_(gradients, [factor.view(-1, *[1] * (g.ndim - 1)) for g in gradients])
