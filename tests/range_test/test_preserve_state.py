"""Everything is restored bitwise after a range test."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.data.images import SklearnImages
from gdlightning.nets.resnet import ResNet
from gdlightning.optimizers.groups import Grouping
from gdlightning.random_state import random_state
from gdlightning.range_test.lr_range_test import range_test
from gdlightning.range_test.preserve_state import untouched
from gdlightning.tasks.vision import ImageClassification

CPU = {"accelerator": "cpu"}


class ThirdParty(L.LightningModule):
    """Module with its own containers and tensors, which draws from all generators."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1)
        )
        self.register_buffer("mean", torch.zeros(3), persistent=False)
        self.hidden = torch.zeros(2)
        self.steps, self.notes, self.last = 0, [0.5], deque([1.0], maxlen=3)
        self.generator = torch.Generator().manual_seed(3)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        x, y = batch
        self.mean.lerp_(x.mean(0), 0.1)  # type: ignore[operator]
        self.hidden += 1
        self.steps += 1
        self.notes.append(random.random() + float(np.random.rand()))
        self.last.append(self.notes[-1])
        x = x + 0.01 * torch.randn(x.shape, generator=self.generator)
        loss = ((self.net(x) - y) ** 2).mean()
        self.log("train_loss", loss)
        return {"loss": loss}

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


def data(seed: int = 5) -> DataLoader[Any]:
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    own = torch.Generator().manual_seed(seed)
    y = (x**2).sum(1, keepdim=True)
    return DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=own)


def everything(module: nn.Module) -> dict[str, Any]:
    """Return copies of everything that a module contains."""
    found: dict[str, Any] = {}
    for path, own in module.named_modules():
        for group in (own._parameters, own._buffers, vars(own)):
            for name, value in group.items():
                found[f"{path}:{name}"] = value.clone() if isinstance(value, Tensor) else value
                if isinstance(value, Tensor):
                    found[f"{path}:{name}:trained"] = value.requires_grad
                    grad = value.grad if value.is_leaf else None
                    found[f"{path}:{name}:grad"] = None if grad is None else grad.clone()
                if isinstance(value, torch.Generator):
                    found[f"{path}:{name}"] = value.get_state()
                if isinstance(value, dict | list | deque):
                    found[f"{path}:{name}"] = type(value)(value)
    return found


def same(before: Any, after: Any) -> bool:
    if isinstance(before, Tensor):
        return torch.equal(before, after)
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after)
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same(before[k], after[k]) for k in before)
    if isinstance(before, list | tuple | deque):
        return len(before) == len(after) and all(map(same, before, after))
    return bool(before is after or before == after)


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        k
        for k in before.keys() | after.keys()
        if k not in before or k not in after or not same(before[k], after[k])
    ]


def task() -> ImageClassification:
    torch.manual_seed(0)
    return ImageClassification(ResNet(channels=1, outputs=10, width=4), outputs=10)


@pytest.fixture(scope="module")
def digits() -> SklearnImages:
    made = SklearnImages(dataset="digits", batch_size=32, shift=0.1)
    made.setup()
    return made


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
@pytest.mark.parametrize("grouping", [None, Grouping(freeze=["net.*.bias"])])
def test_task_is_restored(digits: SklearnImages, grouping: Grouping | None) -> None:
    module = task().eval()
    module.net(torch.randn(2, 1, 8, 8)).sum().backward()  # gradients that must be kept
    kept, held, drawn = everything(module), dict(vars(digits)), random_state()
    found = range_test(module, digits, "adamw", groups=grouping, steps=60, trainer=CPU)
    assert found.curve.loss[0] != found.curve.loss[-1]  # the module was trained
    assert differences(kept, everything(module)) == []
    assert same(drawn, random_state())
    assert vars(digits) == held


def test_third_party_module_is_restored() -> None:
    module, loader = ThirdParty(), data()
    kept, drawn = everything(module), random_state()
    order = loader.generator.get_state()
    range_test(module, loader, "sgd", steps=60, trainer=CPU)
    assert differences(kept, everything(module)) == []
    assert same(drawn, random_state())
    assert torch.equal(loader.generator.get_state(), order)


@pytest.mark.parametrize("tested", [False, True])
def test_training_afterwards_is_bitwise_identical(tested: bool) -> None:
    L.seed_everything(1, verbose=False)
    module, loader = ThirdParty(), data()
    if tested:
        range_test(module, loader, "adamw", steps=60, trainer=CPU)
    L.Trainer(
        accelerator="cpu",
        max_steps=12,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, loader)
    after = [*module.state_dict().values(), torch.tensor(module.notes), torch.get_rng_state()]
    AFTER.append(after)
    assert same(AFTER[0], after)


AFTER: list[list[Tensor]] = []


@pytest.mark.parametrize("tested", [False, True])
def test_existing_optimizer_continues_bitwise_identically(tested: bool) -> None:
    torch.manual_seed(2)
    module, loader = ThirdParty(), data()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    batches = list(loader)
    for batch in batches[:4]:
        step(module, optimizer, batch)
    if tested:
        range_test(module, loader, "sgd", steps=60, trainer=CPU)
    for batch in batches[4:]:
        step(module, optimizer, batch)
    ENDS.append([*module.state_dict().values(), optimizer.state_dict()["state"]])
    assert same(ENDS[0], ENDS[-1])


ENDS: list[list[Any]] = []


def step(module: ThirdParty, optimizer: torch.optim.Optimizer, batch: Any) -> None:
    optimizer.zero_grad()
    loss = ((module.net(batch[0]) - batch[1]) ** 2).mean()
    loss.backward()
    optimizer.step()


def test_started_epoch_continues_at_its_position(digits: SklearnImages) -> None:
    loader = digits.train_dataloader()
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    range_test(task(), loader, "adamw", steps=45, trainer=CPU)
    assert loader.state_dict() == state


def test_restored_after_errors() -> None:
    class Broken(ThirdParty):
        def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
            if self.steps == 7:
                raise ValueError("the eighth")
            return super().training_step(batch, batch_idx)

    module, loader = Broken(), data()
    kept, drawn = everything(module), random_state()
    with pytest.raises(ValueError, match="the eighth"):
        range_test(module, loader, "sgd", steps=60, trainer=CPU)
    assert differences(kept, everything(module)) == []
    assert same(drawn, random_state())


def test_shared_objects_and_cycles() -> None:
    module = ThirdParty()
    ring: list[Any] = [module, module.net]
    ring.append(ring)
    with untouched(ring, module):
        ring.pop()
        next(module.net.parameters()).data.add_(1)
        module.net = nn.Sequential()
    assert len(ring) == 3
    assert len(module.net) == 5
    assert float(next(module.net.parameters()).detach().abs().max()) < 1
