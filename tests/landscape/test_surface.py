"""A surface is measured once, and resumed after an interruption."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gdlightning as gdl
from gdlightning.landscape.mean_loss import MeanLoss
from gdlightning.landscape.planes import random_plane
from gdlightning.landscape.surface import Surface, measure


class Line(gdl.Task):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))

    def loss(self, batch: Any) -> Tensor:
        found: Tensor = (self.net(batch) - 1).square().mean()
        return found


class Counting(MeanLoss):
    """Mean loss that counts points, and is interrupted after some of them."""

    seen, limit = 0, math.inf

    def stacked(self, weights: Any) -> dict[str, Tensor]:
        if self.seen >= self.limit:
            raise KeyboardInterrupt
        self.seen += len(next(iter(weights.values())))
        return super().stacked(weights)

    @property
    def chunk(self) -> int:
        return 10


def counting(shift: float = 0.0, **options: Any) -> Counting:
    batches = [torch.arange(12.0).view(4, 3) + shift]
    return Counting(Line(), {"train": batches, "val": batches}, **options)


def run(mean_loss: Counting, file: Path, seed: int = 0) -> Surface:
    generator = torch.Generator().manual_seed(seed)
    plane = random_plane(mean_loss.weights, 2, 7, None, generator)
    return measure(mean_loss, plane, file, "a title", bar=False)


def test_loss_at_the_centre_is_bitwise_that_of_the_checkpoint(tmp_path: Path) -> None:
    mean_loss = counting()
    surface = run(mean_loss, tmp_path / "s.json")
    layer = surface.layers()["train"]
    assert layer.shape == (7, 7)
    own = mean_loss.at(mean_loss.weights)["train"]
    assert float(layer[3, 3]) == surface.centre["train"] == own
    assert float(surface.layers()["difference"][0, 0]) == 0.0
    kept = json.loads((tmp_path / "s.json").read_text())
    assert kept["losses"]["train"][24] == own
    assert kept["title"] == "a title"


def test_measurements_are_reused(tmp_path: Path) -> None:
    file, first = tmp_path / "s.json", counting()
    whole = run(first, file)
    assert first.seen == 49
    again = counting()
    assert run(again, file).losses == whole.losses
    assert again.seen == 0


def test_a_file_is_read_back(tmp_path: Path) -> None:
    file, cut = tmp_path / "s.json", counting()
    cut.limit = 20
    with pytest.raises(KeyboardInterrupt):
        run(cut, file)
    with pytest.raises(gdl.UserError, match="is not a complete landscape"):
        Surface.read(file)
    whole = run(counting(), file)
    assert Surface.read(file) == whole


def test_resumes_after_an_interruption(tmp_path: Path) -> None:
    file, cut = tmp_path / "s.json", counting()
    cut.limit = 20
    with pytest.raises(KeyboardInterrupt):
        run(cut, file)
    rest = counting()
    found = run(rest, file)
    assert rest.seen == 29
    assert found.losses == run(counting(), tmp_path / "other.json").losses


@pytest.mark.parametrize(
    "losses",
    [None, 5, "x", [], {}, {"train": 5}, {"train": ["1"]}, {"train": [10**400]}, {"val": [1.0]}],
)
def test_a_file_of_other_types_is_measured_anew(tmp_path: Path, losses: object) -> None:
    file = tmp_path / "s.json"
    digest = json.loads((run(counting(), file), file.read_text())[1])["digest"]
    file.write_text(json.dumps({"digest": digest, "losses": losses}))
    again = counting()
    run(again, file)
    assert again.seen == 49


def test_more_losses_than_points_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    whole = run(counting(), file)
    kept = json.loads(file.read_text())
    more = {split: [*losses, 1.0, 2.0] for split, losses in kept["losses"].items()}
    file.write_text(json.dumps(kept | {"losses": more}))
    assert run(counting(), file).losses == whole.losses


@pytest.mark.parametrize("what", ["data", "directions", "noise", "damaged"])
def test_different_inputs_are_measured_again(tmp_path: Path, what: str) -> None:
    file = tmp_path / "s.json"
    run(counting(), file)
    if what == "damaged":
        file.write_text(file.read_text()[:200])
    other = counting(shift=float(what == "data"), seed=int(what == "noise"))
    run(other, file, seed=int(what == "directions"))
    assert other.seen == 49


def test_losses_that_are_not_finite_are_gaps(tmp_path: Path) -> None:
    class Steep(Line):
        def loss(self, batch: Any) -> Tensor:
            found: Tensor = torch.log(next(self.net.parameters()).sum() + 0 * batch.sum())
            return found

    torch.manual_seed(0)
    mean_loss = MeanLoss(Steep(), {"train": [torch.ones(2, 3)]})
    plane = random_plane(mean_loss.weights, 1, 9, 5.0, torch.Generator().manual_seed(0))
    losses = measure(mean_loss, plane, tmp_path / "s.json", "", bar=False).losses["train"]
    assert any(map(math.isnan, losses))
    assert any(map(math.isfinite, losses))
    assert None in json.loads((tmp_path / "s.json").read_text())["losses"]["train"]
