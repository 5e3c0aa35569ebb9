"""The loss at many points equals that of the module with these weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn

import gdlightning as gdl
from gdlightning.landscape.directions import random_direction
from gdlightning.landscape.mean_loss import MeanLoss
from gdlightning.landscape.plane import Axis, Plane, coordinates
from gdlightning.nets.mlp import MLP
from gdlightning.nets.resnet import ResNet
from gdlightning.tasks.objective import loss_of
from gdlightning.tasks.tabular import TabularClassification
from gdlightning.tasks.task import examples
from gdlightning.tasks.vision import ImageClassification


class ThirdParty(L.LightningModule):
    """Module without gdlightning."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        x, y = batch
        loss = nn.functional.mse_loss(self.layers(x).squeeze(1), y)
        self.log("train_loss", loss)
        return {"loss": loss}


class Noisy(gdl.Task):
    """Task whose loss draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 6)

    def loss(self, batch: Any) -> Tensor:
        x, _ = batch
        found: Tensor = (self.net(x + torch.randn_like(x)) - x).square().mean()
        return found


class Recurrent(gdl.Classification):
    """Task with an LSTM, which vmap does not support."""

    def __init__(self) -> None:
        super().__init__(nn.LSTM(6, 3, batch_first=True), outputs=3)

    def forward(self, *inputs: Tensor) -> Tensor:
        found: Tensor = self.net(inputs[0].unsqueeze(1))[0][:, -1]
        return found


def table(sizes: tuple[int, ...] = (20, 20, 7)) -> list[Any]:
    """Return batches of different sizes with numbers, codes and classes."""
    drawn = torch.Generator().manual_seed(1)
    return [
        (
            (torch.randn(n, 6, generator=drawn), torch.zeros(n, 0, dtype=torch.int64)),
            torch.randint(0, 3, (n,), generator=drawn),
        )
        for n in sizes
    ]


def plain(sizes: tuple[int, ...] = (20, 20, 7)) -> list[Any]:
    return [(inputs[0], classes) for inputs, classes in table(sizes)]


def numbers() -> list[Any]:
    return [(x, y.float()) for x, y in plain()]


def images() -> list[Any]:
    drawn = torch.Generator().manual_seed(2)
    return [
        (torch.randn(n, 1, 8, 8, generator=drawn), torch.randint(0, 4, (n,), generator=drawn))
        for n in (16, 16, 9)
    ]


def resnet() -> L.LightningModule:
    module = ImageClassification(ResNet(1, 4, width=4), outputs=4)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.running_mean = torch.rand(norm.num_features)
        norm.running_var = 0.5 + torch.rand(norm.num_features)
    return module


def mlp() -> L.LightningModule:
    return TabularClassification(MLP(6, [], 3, hidden=[16, 16], dropout=0.5), outputs=3)


CASES: dict[str, tuple[Callable[[], L.LightningModule], Callable[[], list[Any]], bool]] = {
    "mlp": (mlp, table, True),
    "batch norm": (resnet, images, True),
    "foreign": (ThirdParty, numbers, True),
    "random numbers": (Noisy, plain, True),
    "recurrent": (Recurrent, plain, False),
}


def around(weights: dict[str, Tensor], size: int = 5) -> Plane:
    drawn = torch.Generator().manual_seed(0)
    values = coordinates(-1, 1, size)
    axes = [Axis(random_direction(weights, drawn), f"{k}", "", values) for k in range(2)]
    return Plane(weights, tuple(axes))


def directly(module: L.LightningModule, weights: dict[str, Tensor], batches: list[Any]) -> float:
    """Load the weights and evaluate batch by batch."""
    fresh = copy.deepcopy(module).eval()
    fresh.load_state_dict({**fresh.state_dict(), **weights})
    total, count = 0.0, 0
    for k, batch in enumerate(batches):
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(k)
            total += examples(batch) * float(loss_of(fresh, batch))
        count += examples(batch)
    return total / count


@pytest.mark.parametrize("case", CASES)
def test_random_points_equal_direct_evaluation(case: str) -> None:
    torch.manual_seed(0)
    make, data, stacks = CASES[case]
    module, batches = make(), data()
    mean_loss = MeanLoss(module, {"train": batches, "val": batches[:1]})
    plane = around(mean_loss.weights)
    points = 2 * torch.rand(20, 2, generator=torch.Generator().manual_seed(3)) - 1
    weights = plane.weights(points)
    found = mean_loss.stacked(weights)
    assert mean_loss.stacks == stacks
    for r in range(20):
        one = {k: w[r] for k, w in weights.items()}
        assert float(found["train"][r]) == pytest.approx(directly(module, one, batches), rel=1e-6)
        assert float(found["val"][r]) == pytest.approx(directly(module, one, batches[:1]), rel=1e-6)
    spread = found["train"].max() - found["train"].min()
    assert float(spread) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_loss_of_the_checkpoint_is_bitwise_equal(case: str) -> None:
    torch.manual_seed(0)
    make, data, _ = CASES[case]
    module, batches = make(), data()
    found = MeanLoss(module, {"train": batches}).at(dict(module.named_parameters()))
    assert found["train"] == directly(module, {}, batches)


def test_module_is_not_modified() -> None:
    module, batches = resnet().train(), images()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    momenta = [m.momentum for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    mean_loss = MeanLoss(module, {"train": batches}, statistics=batches)
    weights = around(mean_loss.weights).weights(torch.zeros(3, 2))
    random = torch.get_rng_state()
    mean_loss.stacked(weights)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert [m.momentum for m in module.modules() if isinstance(m, nn.BatchNorm2d)] == momenta
    assert all(m.training for m in module.modules())
    assert not any(k in vars(module) for k in ("log", "log_dict"))


def with_statistics(
    module: L.LightningModule, weights: dict[str, Tensor], batches: list[Any]
) -> float:
    """Recompute the running statistics with torch's ``update_bn``."""
    fresh: Any = copy.deepcopy(module)
    fresh.load_state_dict({**fresh.state_dict(), **weights})
    torch.optim.swa_utils.update_bn([batch[0] for batch in batches], fresh)
    return directly(fresh, {}, batches)


def test_statistics_are_recomputed_at_every_point() -> None:
    torch.manual_seed(0)
    module, batches = resnet(), images()
    mean_loss = MeanLoss(module, {"train": batches}, statistics=batches)
    plane = around(mean_loss.weights)
    points = torch.tensor([[0.0, 0.0], [0.4, -0.2], [-1.0, 1.0]])
    weights = plane.weights(points)
    found = mean_loss.stacked(weights)["train"]
    assert mean_loss.stacks
    for r in range(3):
        one = {k: w[r] for k, w in weights.items()}
        wanted = with_statistics(module, one, batches)
        assert float(found[r]) == pytest.approx(wanted, rel=1e-5)
        assert mean_loss.at(one)["train"] == pytest.approx(wanted, rel=1e-5)
    kept = MeanLoss(module, {"train": batches}).at(dict(module.named_parameters()))["train"]
    assert abs(kept - float(found[0])) > 1e-2


def test_fewer_points_at_once_for_large_nets() -> None:
    small = MeanLoss(mlp(), {"train": table()})
    assert small.chunk == 64
    large = TabularClassification(MLP(6, [], 3, hidden=[2000, 2000]), outputs=3)
    assert MeanLoss(large, {"train": table()}).chunk == 4


def test_errors_of_the_module_are_raised() -> None:
    class Faulty(ThirdParty):
        def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
            raise ValueError("no such column")

    mean_loss = MeanLoss(Faulty(), {"train": numbers()})
    with pytest.raises(ValueError, match="no such column"):
        mean_loss.stacked(around(mean_loss.weights).weights(torch.zeros(2, 2)))
