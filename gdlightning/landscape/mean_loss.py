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

MAX_POINTS, MAX_VALUES = 64, 2**24
"""Maximum number of points at once, and of values of all points in the largest layer."""

Call = Callable[[Weights, Weights, Any], Tensor]
"""Function from weights, running statistics and a batch to the loss, shape [] or [R]."""


class MeanLoss:
    """Mean loss of each split over all examples, without dropout.

    A single point is evaluated with the module itself (``at``). Several points are evaluated
    together with ``torch.func.vmap`` (``stacked``), or one by one if the module has an unsupported
    operation. Random numbers in the loss are the same at every point.

    Args:
        module: module that ``loss_of`` supports; it is not modified.
        splits: batches by split, on the module's device.
        statistics: training batches to recompute the running statistics of batch norm at every
            point; if None, the module's statistics are used.
        seed: seed of random numbers in the loss.
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
        self.stacks = True  # until vmap fails
        self._loss = _Loss(module)
        self._chunk: int | None = None

    @property
    def weights(self) -> dict[str, Tensor]:
        """Floating-point parameters of the module, detached."""
        found = self.module.named_parameters()
        return {k: p.detach() for k, p in found if p.is_floating_point()}

    @property
    def chunk(self) -> int:
        """Number of points to evaluate at once, so that their largest layer fits in memory."""
        if self._chunk is None:
            count = sum(p.numel() for p in self.weights.values()) + self._widest()
            self._chunk = max(1, min(MAX_POINTS, MAX_VALUES // max(count, 1)))
        return self._chunk

    def at(self, weights: Weights) -> dict[str, float]:
        """Return the mean loss of each split at one point."""
        with self._held():
            found = self._means(self._one, weights, self._fresh(None))
        return {split: float(loss) for split, loss in found.items()}

    def stacked(self, weights: Weights) -> dict[str, Tensor]:
        """Return the mean losses at several points, float64 [R] by split.

        Args:
            weights: weights of shape [R, ...] by name.
        """
        count = len(next(iter(weights.values())))
        if self.stacks and count > 1:
            try:
                with self._held():
                    return self._means(self._several, weights, self._fresh(count))
            except (RuntimeError, NotImplementedError, ValueError):
                self.stacks = False  # other errors are raised again below
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
        """Set ``buffers`` to the mean statistics of the training batches at these weights."""
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
        """Return new running statistics, stacked ``count`` times if given."""
        if self.statistics is None:
            return {}
        shape = () if count is None else (count,)
        return {
            name: buffer.expand((*shape, *buffer.shape)).clone()
            for name, buffer in self.module.named_buffers()
            if name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
        }

    def _widest(self) -> int:
        """Return the number of values in the largest output of a submodule for a batch."""
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
        """Set the module to evaluation mode, and prevent side effects."""
        modes = {m: m.training for m in self.module.modules()}
        self.module.eval()
        try:
            with (
                traceless(self.module),
                torch.no_grad(),
                torch.random.fork_rng(),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # vmap warns about performance
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode


class _Loss(nn.Module):
    """Module whose forward pass returns the loss."""

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
