"""Many trainings of one task at once, as one stacked model."""

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
from gdlightning.data.module import DataModule
from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping, freeze, group
from gdlightning.schedules import Schedule
from gdlightning.study.stacked import Stacked, accepted
from gdlightning.tasks.task import Task, examples


@dataclass(frozen=True)
class Variation:
    """What is one training's own; what is not given is that of the optimizer, and seed 0.

    Args:
        lr: learning rate.
        weight_decay: of the kinds of parameters that decay.
        seed: of the initial weights and of the order of the data.
    """

    lr: float | None = None
    weight_decay: float | None = None
    seed: int = 0


@dataclass
class Trained:
    """One of many trainings.

    Attributes:
        variation: its own settings.
        losses: of its batches, shape [steps].
        val_loss: mean over the validation split after the last step; NaN where there is none.
        state_dict: its weights and buffers.
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
    """Train a task once for each variation, all at once.

    Small models leave a machine idle: R of them, stacked, make R steps in little more than the time
    of one. Each comes out as if it had been trained alone by ``optimize`` and a Trainer, but for
    rounding. Dropout draws the same mask for all.

    Args:
        task: makes the task; called once a seed.
        data: batched in the order of each variation's seed.
        variations: what differs.
        steps: optimizer steps.
        optimizer: a name, or a mapping with ``name`` and options.
        schedule: a name, or a mapping with ``name``, ``warmup`` and options.
        clip: a maximal global norm, of each training by itself.
        groups: rules for the parameter groups.
        device: where to train.
        trace: record the operations of a step once and repeat them, which saves a third of a small
            net's time. Not for a net whose own Python does not do the same in each step; if not
            given, where net and task are of torch and gdlightning alone.

    Raises:
        UserError: the optimizer, the net or the data can't be used so.
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
        modules: with the same net, each with weights of its own.
        trace: record the operations once, and repeat them.

    Attributes:
        weights: name → trained weights, shape [R, ...].
        rest: name → buffers and frozen weights, shape [R, ...].
    """

    def __init__(self, modules: Sequence[Task], trace: bool = False) -> None:
        self.module, self.trace = _Loss(modules[0]), trace
        self._recorded: dict[str, Callable[..., Any]] = {}
        parameters, buffers = stack_module_state([_Loss(m) for m in modules])
        trained = {k for k, p in self.module.named_parameters() if p.requires_grad}
        self.weights = {k: v.detach() for k, v in parameters.items() if k in trained}
        self.rest = {k: v.detach() for k, v in parameters.items() if k not in trained} | buffers

    def gradients(self, batch: Any, own: bool) -> tuple[Tensor, list[Tensor]]:
        """Losses, shape [R], and gradients of the stacked weights.

        Args:
            batch: of all copies, or stacked batches of each.
            own: whether each has its own.

        Raises:
            UserError: the net has an operation that can't be stacked.
        """
        try:
            gradients, loss = self._step(batch, own)(self.weights, self.rest, batch)
        except (RuntimeError, NotImplementedError, ValueError) as error:
            first = str(error).strip().split("\n")[0]
            raise UserError(
                f"The net can't be trained in many copies at once: {first}\nTrain them one by one."
            ) from error
        return loss, [gradients[k] for k in self.weights]

    def _step(self, batch: Any, own: bool) -> Callable[..., Any]:
        step = vmap(grad_and_value(self._loss), (0, 0, 0 if own else None), randomness="same")
        if not self.trace:
            return step
        key = f"{_shapes(batch)}, {own}, {self.module.training}"
        if key not in self._recorded:
            rest = {k: v.clone() for k, v in self.rest.items()}  # a trial step changes them
            with torch.random.fork_rng():
                self._recorded[key] = make_fx(lambda *given: step(*given))(
                    self.weights, rest, batch
                )
        return self._recorded[key]

    def _loss(self, weights: dict[str, Tensor], rest: dict[str, Tensor], batch: Any) -> Tensor:
        found: Tensor = functional_call(self.module, (weights, rest), (batch,))
        return found

    def mean_loss(self, data: DataModule, device: torch.device) -> Tensor:
        """The mean loss of each copy over the validation split, shape [R]; NaN without one."""
        total, count = torch.zeros(len(next(iter(self.weights.values()))), device=device), 0
        self.module.eval()
        for batch in data.val_dataloader():
            moved, size = _to(batch, device), examples(batch)
            total += size * self.gradients(moved, own=False)[0]  # what has them, can be stacked
            count += size
        self.module.train()
        return total / count if count else total.fill_(math.nan)

    def state_dict(self, copy: int) -> dict[str, Tensor]:
        """Weights and buffers of one of them."""
        whole = self.weights | self.rest
        return {k.removeprefix("task."): v[copy].clone() for k, v in whole.items()}


def _known(task: Task) -> bool:
    return all(type(m).__module__.startswith(("torch", "gdlightning.")) for m in task.modules())


def _shapes(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return (tuple(batch.shape), batch.dtype)
    return [_shapes(b) for b in batch] if isinstance(batch, tuple | list) else type(batch)


class _Loss(nn.Module):
    """A task whose forward pass is its loss."""

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
    """Learning rates [R]; weight decays by name, [R]; factors of the learning rate by name."""
    rules = grouping or Grouping()
    if rules.rules:
        raise UserError("groups.rules can't be used with many trainings at once.")
    lr, decay = choice.value("lr"), choice.value("weight_decay")
    lrs = torch.tensor([lr if v.lr is None else v.lr for v in variations], dtype=torch.float64)
    wanted = [(decay or 0.0) if v.weight_decay is None else v.weight_decay for v in variations]
    if decay is None and any(wanted):
        raise UserError(f"The optimizer {choice.entry.name} has no weight_decay to vary.")
    decays, factors = {}, {}
    for one in group(module, rules, None if decay is None else 1.0):
        for name in one.names:
            of_kind = torch.tensor(wanted, dtype=torch.float64) * (one.weight_decay or 0.0)
            decays[f"task.{name}"], factors[f"task.{name}"] = of_kind, one.lr_factor
    return lrs, decays, factors


def _batches(
    data: DataModule, seeds: Sequence[int], steps: int, device: torch.device
) -> Iterator[tuple[Any, bool]]:
    """Batches, one for all where all have the same seed, else one of each, stacked.

    Raises:
        UserError: a batch does not fit in memory at once, or batches can't be stacked.
    """
    if data.pieces > 1:
        raise UserError("data.micro_batch_size can't be used with many trainings at once.")
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
            raise UserError("Batches of several seeds differ in shape; give all the same seed.")
        return torch.stack(list(batches))
    if isinstance(first, tuple | list):
        return tuple(_stacked(parts) for parts in zip(*batches, strict=True))
    raise UserError("Batches of several seeds can't be stacked; give all the same seed.")


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
        raise UserError(f"The schedule {made.name} can't be used with many trainings at once.")
    return lambda step: made.factor(step, steps, steps_per_epoch)


@torch.no_grad()
def _clip(gradients: list[Tensor], max_norm: float) -> None:
    """Scale the gradients of each copy to a global norm of at most ``max_norm``, in place."""
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    factor = torch.clamp(max_norm / (torch.linalg.vector_norm(norms, dim=0) + 1e-6), max=1.0)
    if factor.device.type == "cpu" and bool((factor == 1).all()):
        return
    torch._foreach_mul_(gradients, [factor.view(-1, *[1] * (g.ndim - 1)) for g in gradients])
