"""The loss of any LightningModule, evaluated without side effects."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn

from gdlightning.tasks.objective import loss_of


class ThirdParty(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        loss = (self.net(batch) ** 2).mean()
        self.log("train_loss", loss)
        return {"loss": loss}


def test_loss_of_needs_no_trainer_and_has_no_side_effects() -> None:
    module, batch = ThirdParty(), torch.randn(8, 3)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    loss = loss_of(module, batch)
    torch.testing.assert_close(loss, (module.net(batch) ** 2).mean())
    module.load_state_dict(before)
    loss_of(module, batch).backward()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is not None for p in module.parameters())


def test_training_step_without_a_loss_is_an_error() -> None:
    module = ThirdParty()
    module.training_step = lambda batch, batch_idx: None  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(TypeError, match="not a loss"):
        loss_of(module, torch.randn(8, 3))
