"""Principal components of an optimizer's path."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gdlightning.errors import UserError
from gdlightning.landscape.path import Stop, principal, project, stops
from gdlightning.storage.checkpoint_file import write


def path(count: int = 12) -> list[Stop]:
    torch.manual_seed(0)
    walk = torch.randn(count, 10).cumsum(dim=0)
    return [Stop(k, {"a": row[:6].view(2, 3), "b": row[6:]}) for k, row in enumerate(walk)]


def test_principal_directions_equal_the_svd() -> None:
    own = path()
    rows = torch.stack(
        [torch.cat([s.weights["a"].flatten(), s.weights["b"]]) for s in own]
    ).double()
    _, singular, axes = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
    found = principal(own, 2)
    share = singular.square() / singular.square().sum()
    for k in range(2):
        flat = torch.cat([found.directions[k]["a"].flatten(), found.directions[k]["b"]])
        assert float(flat.norm()) == pytest.approx(1.0, abs=1e-6)
        assert abs(float(flat.double() @ axes[k])) == pytest.approx(1.0, abs=1e-6)
        assert found.explained[k] == pytest.approx(float(share[k]))
        wanted = (rows - rows[-1]) @ flat.double()
        assert torch.allclose(found.points[:, k], wanted, atol=1e-5)
    assert found.points[-1].tolist() == [0.0, 0.0]
    assert float(found.points[0, 0]) <= 0  # starts at the left


def test_projection_agrees_with_the_points() -> None:
    own = path()
    found = principal(own, 2)
    for stop, point in zip(own, found.points, strict=True):
        seen = project(stop.weights, own[-1].weights, found.directions)
        assert seen == pytest.approx(tuple(point.tolist()), abs=1e-5)


def test_projection_onto_non_orthogonal_axes() -> None:
    centre = {"w": torch.zeros(3, 1)}
    axes = [{"w": torch.tensor([[1.0], [0.0], [0.0]])}, {"w": torch.tensor([[1.0], [2.0], [0.0]])}]
    seen = project({"w": torch.tensor([[3.0], [4.0], [7.0]])}, centre, axes)
    assert seen == pytest.approx((1.0, 2.0))


def test_weights_that_never_move_are_an_error() -> None:
    own = [Stop(k, {"a": torch.ones(3) * k}) for k in range(5)]
    with pytest.raises(UserError, match="move in fewer than 2 directions"):
        principal(own, 2)
    assert principal(own, 1).explained[0] == pytest.approx(1.0)


def test_stops_are_read_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for name, step in (("last", 40), ("previous-1", 20), ("best-epoch=1-step=20", 20), ("x", 30)):
        content = {"state_dict": {"w": torch.ones(2) * step, "gone": torch.ones(1)}}
        write({**content, "global_step": step}, tmp_path / f"{name}.ckpt")
    found = stops(tmp_path, ["w"], until=40)
    assert [s.step for s in found] == [20, 30, 40]
    assert found[0].weights["w"].tolist() == [20, 20]
    assert set(found[0].weights) == {"w"}


def test_too_few_stops_are_an_error_with_advice(tmp_path: Path) -> None:
    write({"state_dict": {"w": torch.ones(2)}, "global_step": 1}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"--checkpoint.every_n_steps 5 --checkpoint.keep 1000"):
        stops(tmp_path, ["w"], until=1)
