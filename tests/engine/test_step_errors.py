"""Errors in an optimizer's step name the optimizer; errors in the loss are not changed."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from helpers import CONFIGS, QUIET, Run
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning import optimize
from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping


class Halves(L.LightningModule):
    """Embeds integers; the loss fails at batch ``fails_at``."""

    def __init__(self, fails_at: int | None = None, mode: str = "sum") -> None:
        super().__init__()
        self.mode = mode
        self.table, self.fails_at = nn.Embedding(8, 1), fails_at

    def bag(self, index: torch.Tensor) -> torch.Tensor:
        return nn.functional.embedding_bag(index, self.table.weight, mode=self.mode)

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        if index == self.fails_at:
            raise ZeroDivisionError("of the loss")
        loss: torch.Tensor = self.bag(batch[0]).square().mean()
        return loss


def train(module: Halves, optimizer: str) -> None:
    data = DataLoader(TensorDataset(torch.arange(32).view(16, 2) % 8), batch_size=4)
    optimize(module, optimizer)
    trainer = L.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)


@pytest.mark.filterwarnings("ignore")
def test_a_net_without_second_derivatives() -> None:
    with pytest.raises(UserError, match=r"optimizer adahessian failed.*embedding_bag") as caught:
        train(Halves(mode="max"), "adahessian")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_module_without_second_derivatives_is_an_error_before_the_first_step() -> None:
    module = nn.Sequential(nn.EmbeddingBag(8, 1, mode="max"))
    with pytest.raises(UserError, match=r"adahessian needs second derivatives.* for 0 "):
        build(Choice.of("adahessian"), module, Grouping(), Context())


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_embedding_bags_have_second_derivatives(mode: str) -> None:
    module = Halves(mode=mode)
    before = module.table.weight.detach().clone()
    train(module, "adahessian")
    assert not torch.equal(module.table.weight, before)
    build(Choice.of("adahessian"), nn.EmbeddingBag(8, 1, mode=mode), Grouping(), Context())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer", ["adamw", "alig", "lbfgs", "sam"])
def test_errors_of_the_loss_are_not_changed(optimizer: str) -> None:
    with pytest.raises(ZeroDivisionError, match="of the loss"):
        train(Halves(fails_at=2), optimizer)


def test_a_failed_step_ends_without_a_traceback(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("breaks.py").write_text("""
import torch
from gdlightning import register

@register("breaks", summary="breaks")
class Breaks(torch.optim.SGD):
    '''Divides by zero in the third step.'''
    def step(self, closure=None):
        self.made = getattr(self, "made", 0) + 1
        1 / (3 - self.made)
        return super().step(closure)
""")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--imports",
        "breaks",
        "--optimizer",
        "breaks",
        "--optimizer.lr",
        "0.01",
    )
    assert result.code == 2
    assert "step of the optimizer breaks failed: ZeroDivisionError" in result.err
    assert "Traceback" not in result.err
