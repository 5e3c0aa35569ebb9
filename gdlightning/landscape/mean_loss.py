"""The mean loss of a module as a function of its weights, at many points at once."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gdlightning.landscape.plane import Weights
from gdlightning.tasks.objective import loss_in, traceless
from gdlightning.tasks.task import examples

MOST, NUMBERS = 64, 2**24
"""Points at once at most, and numbers that they may hold in the largest layer."""

Call = Callable[[Weights, Weights, Any], Tensor]
"""Weights, running statistics and a batch → the loss, shape [] or [R]."""


class MeanLoss:
    """The mean loss of each split, without dropout, every example counting alike.

    The point of a checkpoint is evaluated as the module itself would be (``at``), others stacked by
    ``torch.func.vmap`` (``stacked``), or one by one where the module has an operation that can't
    be. A loss that draws random numbers draws the same ones at every point.

    Args:
        module: any that ``loss_of`` takes; what it holds is left as it is.
        splits: name → batches on the module's device.
        statistics: training batches over which the running statistics of batch norms are computed
            anew at every point; the module's own are kept if not given.
        seed: of the loss's own random numbers.
    """

    def __init__(
        self,
        module: L.LightningModule,
        splits: Mapping[str, Sequence[Any]],
        statistics: Sequence[Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.module, self.splits, self.seed = module, splits, seed
        self.norms: list[Any] = [m for m in module.modules() if _has_statistics(m)]
        self.statistics = statistics if self.norms else None
        self.stacks = True  # until it is found that it can't
        self._loss = _Loss(module)
        self._chunk: int | None = None

    @property
    def weights(self) -> dict[str, Tensor]:
        """The module's own parameters that are real numbers, without their graph."""
        found = self.module.named_parameters()
        return {k: p.detach() for k, p in found if p.is_floating_point()}

    @property
    def chunk(self) -> int:
        """Points that are evaluated at once, so that their largest layer fits in memory."""
        if self._chunk is None:
            count = sum(p.numel() for p in self.weights.values()) + self._widest()
            self._chunk = max(1, min(MOST, NUMBERS // max(count, 1)))
        return self._chunk

    def at(self, weights: Weights) -> dict[str, float]:
        """The mean loss of each split at one point."""
        with self._held():
            found = self._means(self._one, weights, self._fresh(None))
        return {split: float(loss) for split, loss in found.items()}

    def stacked(self, weights: Weights) -> dict[str, Tensor]:
        """The mean losses at several points: split → float64, shape [R].

        Args:
            weights: name → shape [R, ...].
        """
        count = len(next(iter(weights.values())))
        if self.stacks and count > 1:
            try:
                with self._held():
                    return self._means(self._several, weights, self._fresh(count))
            except (RuntimeError, NotImplementedError, ValueError):
                self.stacks = False  # a true fault shows again below
        rows = [self.at({k: w[r] for k, w in weights.items()}) for r in range(count)]
        return {
            split: torch.tensor([row[split] for row in rows], dtype=torch.float64)
            for split in self.splits
        }

    def _means(self, call: Call, weights: Weights, buffers: Weights) -> dict[str, Tensor]:
        if self.statistics is not None:
            self._recompute(call, weights, buffers)
        found = {}
        for split, batches in self.splits.items():
            total, count = torch.zeros((), dtype=torch.float64), 0
            for k, batch in enumerate(batches):
                torch.manual_seed(self.seed + k)
                size = examples(batch)
                total = total + size * call(weights, buffers, batch).detach().cpu().double()
                count += size
            found[split] = total / count
        return found

    def _recompute(self, call: Call, weights: Weights, buffers: Weights) -> None:
        """Make ``buffers`` the mean statistics of the training batches at these weights."""
        momenta = [norm.momentum for norm in self.norms]
        try:
            for norm in self.norms:
                norm.train()
            for k, batch in enumerate(self.statistics or ()):
                for norm in self.norms:
                    norm.momentum = 1 / (k + 1)
                torch.manual_seed(self.seed + k)
                call(weights, buffers, batch)
        finally:
            for norm, momentum in zip(self.norms, momenta, strict=True):
                norm.momentum = momentum
                norm.eval()

    def _one(self, weights: Weights, buffers: Weights, batch: Any) -> Tensor:
        named = {f"module.{k}": w for k, w in {**weights, **buffers}.items()}
        found: Tensor = functional_call(self._loss, named, (batch,))
        return found

    def _several(self, weights: Weights, buffers: Weights, batch: Any) -> Tensor:
        found: Tensor = vmap(self._one, (0, 0, None), randomness="same")(weights, buffers, batch)
        return found

    def _fresh(self, count: int | None) -> dict[str, Tensor]:
        """Statistics to be written to, stacked where there is a ``count``."""
        if self.statistics is None:
            return {}
        shape = () if count is None else (count,)
        return {
            name: buffer.expand((*shape, *buffer.shape)).clone()
            for name, buffer in self.module.named_buffers()
            if name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
        }

    def _widest(self) -> int:
        """Numbers in the largest tensor that a part of the module gives for a batch."""
        seen = [0]

        def note(_: nn.Module, __: Any, output: Any) -> None:
            seen.extend(t.numel() for t in _tensors(output))

        hooks = [m.register_forward_hook(note) for m in self.module.modules()]
        try:
            with self._held():
                self._one(self.weights, self._fresh(None), next(iter(self.splits.values()))[0])
        finally:
            for hook in hooks:
                hook.remove()
        return max(seen)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """The module in evaluation mode, without a trace of what is done within."""
        modes = {m: m.training for m in self.module.modules()}
        self.module.eval()
        try:
            with (
                traceless(self.module),
                torch.no_grad(),
                torch.random.fork_rng(),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # of vmap, about speed
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode


class _Loss(nn.Module):
    """A module whose forward pass is its loss."""

    def __init__(self, module: L.LightningModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Any) -> Tensor:
        return loss_in(self.module.training_step(batch, 0))


def _has_statistics(module: nn.Module) -> bool:
    norm = isinstance(module, nn.modules.batchnorm._NormBase)
    return norm and getattr(module, "running_mean", None) is not None


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, tuple | list):
        for part in output:
            yield from _tensors(part)
