"""Filter-normalised random directions, and directions between checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdlightning.landscape.directions import across, difference, dot, norms, random_direction


def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(20, 3))
    net.append(nn.Embedding(4, 6))
    return {name: p.detach() for name, p in net.named_parameters()}


def test_each_filter_has_the_norm_of_the_weights() -> None:
    own = weights()
    found = random_direction(own, torch.Generator().manual_seed(0))
    assert set(found) == {"0.weight", "3.weight", "4.weight"}  # no biases and norms
    for name, direction in found.items():
        for filter_, of_weight in zip(direction, own[name], strict=True):
            torch.testing.assert_close(filter_.norm(), of_weight.norm())


def test_filter_of_zeros_stays_zero() -> None:
    own = {"weight": torch.zeros(3, 4)}
    assert torch.equal(random_direction(own, torch.Generator())["weight"], torch.zeros(3, 4))


def test_nets_that_differ_in_scale_alone_have_the_same_landscape() -> None:
    """A ReLU net with rescaled layers is the same function, so its landscape must be the same."""
    torch.manual_seed(0)
    x, own = torch.randn(9, 4), {"a": torch.randn(8, 4), "b": torch.randn(2, 8)}
    scaled = {"a": 10 * own["a"], "b": own["b"] / 10}

    def outputs(base: dict[str, Tensor], step: float) -> Tensor:
        direction = random_direction(base, torch.Generator().manual_seed(1))
        a, b = (base[k] + step * direction[k] for k in ("a", "b"))
        return torch.relu(x @ a.T) @ b.T

    for step in (0.0, 0.3, -1.0):
        torch.testing.assert_close(outputs(own, step), outputs(scaled, step), rtol=1e-4, atol=1e-4)


def test_across_is_orthogonal_and_of_the_same_length() -> None:
    own = weights()
    line = difference(own, {k: v + torch.randn_like(v) for k, v in own.items()})
    side = across(random_direction(own, torch.Generator().manual_seed(2)), line)
    assert abs(dot(side, line)) < 1e-5 * dot(line, line)
    assert abs(dot(side, side) / dot(line, line) - 1) < 1e-5


def test_norms_are_per_filter() -> None:
    assert norms(torch.ones(2, 3, 4)).tolist() == torch.full((2,), 12.0).sqrt().tolist()
