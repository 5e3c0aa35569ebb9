"""Every step is bit-identical to that of a hand-written torch loop.

gdlightning uses torch's fused kernels where they exist, including on a CPU. ``fused: false``
selects torch's default there, whose results differ in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gdlightning as gdl
from gdlightning.data.tabular import SklearnTabular
from gdlightning.nets.mlp import MLP
from gdlightning.tasks.tabular import TabularClassification

EPOCHS = 3
EVERY_KIND = gdl.Grouping(decay=("matrix", "output", "embedding", "vector"))

LINES: dict[str, tuple[dict[str, Any], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (
        {"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
        lambda p, **more: torch.optim.SGD(
            p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, **more
        ),
    ),
    "adam": (
        {"name": "adam", "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8},
        lambda p, **more: torch.optim.Adam(p, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, **more),
    ),
    "adamw": (
        {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
        lambda p, **more: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01, **more),
    ),
}


def make() -> tuple[SklearnTabular, TabularClassification]:
    """Return the same data and weights on each call."""
    data = SklearnTabular(dataset="breast_cancer", batch_size=32)
    data.setup()
    torch.manual_seed(0)
    net = MLP(30, [], 2, hidden=[16])
    return data, TabularClassification(net, outputs=2)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("line", LINES)
def test_bitwise_equal_to_a_hand_written_loop(line: str, clip: float | None, fused: bool) -> None:
    options, by_hand = LINES[line]
    given: dict[str, Any] = {"fused": True} if fused else {}  # torch's default is not fused
    options = options if fused else {**options, "fused": False}

    data, ours = make()
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    gdl.optimize(ours, options, clip=clip, groups=EVERY_KIND)
    trainer.fit(ours, datamodule=data)

    data, theirs = make()
    optimizer = by_hand(theirs.parameters(), **given)
    loader = data.train_dataloader()
    losses: list[float] = []
    for _ in range(EPOCHS):
        for (numeric, codes), classes in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(theirs.net(numeric, codes), classes)
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(theirs.parameters(), clip)
            optimizer.step()
            losses.append(loss.item())

    assert len(losses) == trainer.global_step
    assert losses[-1] < losses[0]
    mine, expected = flat(ours), flat(theirs)
    assert torch.equal(mine, expected), (mine - expected).abs().max()


def flat(module: nn.Module) -> Tensor:
    """Return all weights in one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])
