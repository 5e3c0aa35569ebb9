"""What an optimizer costs: bytes of state, and the time of a step beside fused AdamW's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.contract.problem import BATCH, Digits, digits
from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import Grouping

WIDTH = 512
"""Of the hidden layer on which time and memory are measured: 138,000 weights."""
ROUNDS, STRETCH = 5, 10
"""Rounds that count, and steps in each: what is done every tenth step is part of its cost."""


def cost(entry: Entry) -> tuple[float, float]:
    """Bytes of state a parameter, and the ratio of a training step's time to fused AdamW's.

    Both make ten steps in turn on the same batch, in this process's threads; forward and backward
    passes are part of a step, since some optimizers take several. The median of the ratios of five
    such rounds counts; one before them warms up.
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
    """Bytes of all tensors in an optimizer's state."""
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
