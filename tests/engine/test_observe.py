"""A schedule that observes validations needs some."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.engine.optimization import optimize
from gdlightning.errors import UserError


class Plain(L.LightningModule):
    """Module that is validated if ``fit`` gets validation data."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.steps = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.steps += 1
        loss: Tensor = self.layer(batch[0]).square().mean()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", 1.0)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.parametrize(
    ("validated", "options", "words"),
    [
        (False, {}, "no validation data"),
        (True, {"limit_val_batches": 0}, "limit_val_batches is 0"),
        (True, {"check_val_every_n_epoch": 5}, "check_val_every_n_epoch is 5 and max_epochs is 3"),
        (True, {}, ""),
    ],
)
def test_reduce_on_plateau_without_validations_is_an_error(
    validated: bool, options: dict[str, Any], words: str
) -> None:
    loader = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)
    module = Plain()
    schedule = {"name": "reduce_on_plateau", "patience": 0, "factor": 0.5}
    optimize(module, "sgd", schedule=schedule, lr=0.1)
    quiet: dict[str, Any] = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
    }
    trainer = L.Trainer(
        max_epochs=3, accelerator="cpu", enable_checkpointing=False, **quiet, **options
    )
    data = (loader, loader) if validated else (loader,)
    if words:
        with pytest.raises(UserError, match=words):
            trainer.fit(module, *data)
        assert module.steps == 0
    else:
        trainer.fit(module, *data)
        assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.025)
