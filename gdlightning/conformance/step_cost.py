"""Cost of an optimizer: bytes of state, and time per step relative to fused AdamW."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.conformance.problem import BATCH, Digits, digits
from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import Grouping

WIDTH = 512
"""Width of the hidden layer for measuring time and memory, which gives 138,000 weights."""
ROUNDS, STRETCH = 5, 10
"""Number of rounds and steps per round, which include work done every tenth step."""


def cost(entry: Entry) -> tuple[float, float]:
    """Return bytes of state per parameter, and the time of a training step relative to fused AdamW.

    Both optimizers take ten steps alternately on the same batch, in the threads of this process.
    Steps include forward and backward passes, because some optimizers need several. The ratio is
    the median of five rounds after a warm-up round.
    """
    ours, module = _prepared(entry)
    theirs, other = _prepared(None)
    steps = [_step(ours, module, entry), _step(theirs, other, None)]
    ratios = []
    for _ in range(1 + ROUNDS):
        times = []
        for step in steps:
            began = time.perf_counter()
            for _ in range(STRETCH):
                step()
            times.append(time.perf_counter() - began)
        ratios.append(times[0] / times[1])
    count = sum(p.numel() for p in module.parameters())
    return state_bytes(ours) / count, median(ratios[1:])


def state_bytes(optimizer: Optimizer) -> int:
    """Return the size of all tensors in an optimizer's state, in bytes."""
    tensors = {t.data_ptr(): t for t in _tensors(optimizer.state_dict()) if t.numel()}
    return sum(t.numel() * t.element_size() for t in tensors.values())


def _prepared(entry: Entry | None) -> tuple[Optimizer, nn.Module]:
    torch.manual_seed(0)
    module = Digits(sparse=entry is not None and "sparse" in entry.needs, width=WIDTH)
    if entry is None:
        return torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True), module
    optimizer, _ = build(Choice.of(entry.name), module, Grouping(), Context())
    if "modes" in entry.needs:
        optimizer.train()  # type: ignore[attr-defined]
    return optimizer, module


def _step(optimizer: Optimizer, module: nn.Module, entry: Entry | None) -> Callable[[], Any]:
    batch = digits().take(torch.arange(BATCH))
    needs = entry.needs if entry is not None else ()
    loss_of: Any = module

    def closure() -> Tensor:
        with torch.enable_grad():
            optimizer.zero_grad()
            loss: Tensor = loss_of.loss(batch)
            loss.backward(create_graph="second-order" in needs)
        return loss

    def step() -> None:
        optimizer.step(closure)  # type: ignore[arg-type]

    return step


def _tensors(tree: Any) -> Iterable[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _tensors(value)
