from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.monitor.activity import Activity


class Net(nn.Module):
    """Rectifies by module and by function, on images and on vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.head = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x)).mean((2, 3))
        return F.relu(self.head(x))


def test_dead_channels_and_units_are_counted_whatever_rectifies() -> None:
    net = Net()
    with torch.no_grad():
        assert net.first.bias is not None
        net.first.bias[:] = torch.tensor([100.0, 100.0, 100.0, -100.0])
        net.head.weight.zero_()
        net.head.bias[:] = torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])
        with Activity(net) as seen:
            expected = net(torch.randn(8, 1, 6, 6))
    assert {k: float(v) for k, v in seen.dead.items()} == {"act": 0.25, "net": 0.5}
    torch.testing.assert_close(seen.scale["head"], torch.ones(()))
    assert set(seen.scale) == {"first", "head"}
    assert not net.first._forward_hooks
    assert torch.equal(expected, expected.relu())


def test_watching_changes_nothing() -> None:
    net, x = Net(), torch.randn(8, 1, 6, 6)
    plain = net(x)
    with Activity(net):
        watched = net(x)
    assert torch.equal(plain, watched)
