"""Every optimizer trains in Lightning by name alone, or gives a reason why not."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gdlightning as gdl
from gdlightning.optimizers.entry import NEEDS, Entry
from gdlightning.optimizers.registry import entries, installed

STEPS = 3
LATE = {  # steps are skipped until the variance estimate is reliable, as in the papers
    "adashift": 12,
    "pytorch_optimizer:radam": 8,
    "schedule-free-radam": 8,
    "schedulefree:radam": 8,
}
REFUSED = [e for e in entries() if e.refused]
TRAINED = [e for e in entries() if not e.refused and installed(e) and not e.device]


class Tiny(L.LightningModule):
    """Module with a parameter of each kind: embedding, matrices, biases, gains and output."""

    def __init__(self, sparse: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4, sparse=sparse)
        self.hidden = nn.Linear(4, 6)
        self.norm = nn.LayerNorm(6)
        self.output = nn.Linear(6, 3)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        words, classes = batch
        hidden = torch.tanh(self.hidden(self.words(words).mean(dim=1)))
        return nn.functional.cross_entropy(self.output(self.norm(hidden)), classes)


def train(entry: Entry, steps: int) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """Return the weights before and after, and the number of steps."""
    torch.manual_seed(0)
    words = torch.arange(4 * steps * 3).reshape(-1, 3) % 5
    data = DataLoader(TensorDataset(words, torch.arange(4 * steps) % 3), batch_size=4)
    model = Tiny(sparse="sparse" in entry.needs)
    with torch.no_grad():
        for parameter in model.parameters():  # sara only trains weights that are almost 0
            parameter.view(-1)[0] = 1e-4
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(gdl.optimize(model, entry.name), data)
    return before, model.state_dict(), trainer.global_step


@pytest.mark.filterwarnings("ignore:max_lr was not set")  # heavyball uses the current lr
@pytest.mark.parametrize("entry", TRAINED, ids=[e.name for e in TRAINED])
def test_trains(entry: Entry) -> None:
    wanted = LATE.get(entry.name, STEPS)
    before, after, steps = train(entry, wanted)
    assert steps == wanted
    assert all(torch.isfinite(v).all() for v in after.values())
    still = [k for k in after if torch.equal(before[k], after[k])]
    assert not still, f"never moved: {still}"


@pytest.mark.parametrize("entry", REFUSED, ids=[e.name for e in REFUSED])
def test_unsupported_optimizers_give_a_reason(entry: Entry) -> None:
    with pytest.raises(gdl.UserError) as error:
        gdl.optimize(Tiny(), entry.name)
    assert str(error.value) == f"optimizer: {entry.name} is not supported: {entry.refused}."


def test_few_optimizers_are_unsupported() -> None:
    assert len(REFUSED) < 15
    assert len(TRAINED) > 130


@pytest.mark.parametrize("entry", entries(), ids=[e.name for e in entries()])
def test_entries_are_complete(entry: Entry) -> None:
    assert entry.summary
    assert not entry.summary.endswith(".")
    assert set(entry.needs) <= set(NEEDS)
    assert entry.licence
    assert "θ ←" in entry.rule
    lines = entry.rule.split("\n")
    assert len(lines) <= 3
    assert all(0 < len(line) <= 90 for line in lines)
    assert bool(entry.group_mark) == ("marked groups" in entry.needs)
    if entry.paper:
        assert entry.paper.startswith(("https://", "http://"))
