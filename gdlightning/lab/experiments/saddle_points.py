"""Noise lets gradient descent escape from saddle points.

Gradient descent starts exactly on one of three saddles, in float64, with and without noise:

A ridge: x²/2 − y²/2 + y⁴/4 from (0.5, 0), 300 steps with a learning rate of 0.1. Normal noise with
standard deviation 0.001 is added to the gradient.

A linear autoencoder with one unit, w wᵀx, at the second principal direction of 256 points in five
dimensions, 1,000 steps. The noise is that of batches of one point, compared with the full batch.

A linear net with three layers of 8 units, all weights 0, that has to learn a linear map, 1,000
steps. The gradient of every example is 0 here, so batches of one have no noise. Normal noise of
0.01 that is added to the weights after each step is tested as well.

A run has escaped if its loss has decreased by half of the difference between the saddle and the
minimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, count, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found

SOURCE = "Ge et al. 2015, arXiv:1503.02101; Jin et al. 2017, arXiv:1703.00887"
SEEDS = 10
PLAIN: dict[str, Any] = {"name": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
CASES = {
    "ridge": ("no noise", "noise on the gradient"),
    "autoencoder": ("full batch", "batches of one"),
    "linear net": ("full batch", "batches of one", "noise on the weights"),
}
"""Saddle → the ways in which it is tried."""
LENGTH = {"ridge": 300, "autoencoder": 1000, "linear net": 1000}
KEPT = 100
"""Points of each curve that are kept."""


class Ridge(nn.Module):
    """Saddle with minima of -1/4 at y = ±1; the input is the noise of its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor([0.5, 0.0], dtype=torch.float64))

    def forward(self, noise: Tensor) -> Tensor:
        """Return the height, tilted by noise [n, 2]."""
        x, y = self.point
        height: Tensor = x**2 / 2 - y**2 / 2 + y**4 / 4
        return height + (noise @ self.point).mean()


class Autoencoder(nn.Module):
    """Autoencoder of points [n, d] with one linear unit and tied weights."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstructions, which are projections if the weights have norm 1."""
        return (x @ self.weight)[:, None] * self.weight


def measure(seed: int) -> Found:
    """Measure the losses of each method, scaled to 1 at the saddle and 0 at the minimum."""
    torch.manual_seed(seed)
    return {
        f"{saddle}, {way}": follow(way, seed)
        for saddle, follow in (
            ("ridge", _ridge),
            ("autoencoder", _encoded),
            ("linear net", _linear),
        )
        for way in CASES[saddle]
    }


def _ridge(way: str, seed: int) -> list[float]:
    noise = torch.zeros(LENGTH["ridge"], 2, dtype=torch.float64)
    if way != "no noise":
        noise.normal_(0, 1e-3, generator=torch.Generator().manual_seed(seed))
    made = Ridge()
    return _followed(
        made,
        lambda out, _: out,
        (noise, noise),
        0.1,
        LENGTH["ridge"],
        1,
        seed,
        left=lambda: (float(made(torch.zeros(1, 2, dtype=torch.float64))) + 0.25) / 0.25,
    )


def _encoded(way: str, seed: int) -> list[float]:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(256, 5, generator=random, dtype=torch.float64)
    x *= torch.tensor([2.0, 1.0, 0.25, 0.25, 0.25], dtype=torch.float64).sqrt()
    values, directions = torch.linalg.eigh(x.T @ x / len(x))
    made = Autoencoder(directions[:, -2])
    least, gap = float(values[:-1].sum()), float(values[-1] - values[-2])

    def apart(out: Tensor, target: Tensor) -> Tensor:
        return (out - target).square().sum(1).mean() / 2

    return _followed(
        made,
        apart,
        (x, x),
        0.02,
        LENGTH["autoencoder"],
        1 if way == "batches of one" else None,
        seed,
        left=lambda: (2 * float(apart(made(x), x)) - least) / gap,
    )


def _linear(way: str, seed: int) -> list[float]:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(256, 8, generator=random, dtype=torch.float64)
    y = x @ torch.linalg.qr(torch.randn(8, 8, generator=random, dtype=torch.float64))[0]
    made = nn.Sequential(*(nn.Linear(8, 8, bias=False, dtype=torch.float64) for _ in range(3)))
    for weight in made.parameters():
        nn.init.zeros_(weight)
    start = float(y.square().mean())

    def shake() -> None:
        if way == "noise on the weights":
            for weight in made.parameters():
                weight.add_(torch.randn(weight.shape, generator=random).double(), alpha=0.01)

    return _followed(
        made,
        F.mse_loss,
        (x, y),
        0.1,
        LENGTH["linear net"],
        1 if way == "batches of one" else None,
        seed,
        left=lambda: float(F.mse_loss(made(x), y)) / start,
        shake=shake,
    )


def _followed(
    made: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    data: tuple[Tensor, Tensor],
    lr: float,
    steps: int,
    batch_size: int | None,
    seed: int,
    left: Callable[[], float],
    shake: Callable[[], None] = lambda: None,
) -> list[float]:
    """Return the remaining fraction of the decrease, initially and at a hundred later steps."""
    found: list[float] = []

    @torch.no_grad()
    def look(step: int, _: float) -> None:
        shake()
        if step % (steps // KEPT) == 0:
            found.append(left())

    look(0, 0.0)
    descend(
        made, loss, *data, PLAIN | {"lr": lr}, steps, batch_size=batch_size, seed=seed, after=look
    )
    return found


def escaped(left: Sequence[float | None]) -> bool:
    """Return whether the run completed at least half of the decrease."""
    return left[-1] is not None and left[-1] < 0.5


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if gradient noise or added noise frees nine of ten runs from each saddle."""
    free = {way: [escaped(one[way]) for one in found] for way in found[0]}
    share = {way: sum(flags) / len(flags) for way, flags in free.items()}
    without = ("ridge, no noise", "autoencoder, full batch", "linear net, full batch")
    noisy = (
        "ridge, noise on the gradient",
        "autoencoder, batches of one",
        "linear net, batches of one",
    )
    helps = [share[b] >= 0.9 and share[a] <= 0.1 for a, b in zip(without, noisy, strict=True)]
    verdict = (
        ClaimVerdict.HOLDS
        if all(helps)
        else ClaimVerdict.CONDITIONS
        if any(helps)
        else ClaimVerdict.NOT_HERE
    )
    effects = [
        effect(f"remaining fraction of the decrease, {way}", [one[way][-1] for one in found])
        for way in found[0]
    ]
    words = " ".join(
        f"Runs that escape from the {saddle}: "
        + ", ".join(f"{count(free[f'{saddle}, {way}'])} with {way}" for way in ways)
        + "."
        for saddle, ways in CASES.items()
    )
    return Conclusion(verdict, words.replace("with no noise", "without noise"), tuple(effects))


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot the remaining fraction of the decrease by step."""
    made, panels = style.figure(1, 3, size=(4.2, 3.6), theme=theme)
    titles = ("Ridge", "Autoencoder, second direction", "Linear net, all weights 0")
    for panel, title, (saddle, ways) in zip(panels, titles, CASES.items(), strict=True):
        for colour, way in zip((SERIES[1], SERIES[0], SERIES[2]), ways, strict=False):
            for k, one in enumerate(found):
                left = [math.nan if v is None else v for v in one[f"{saddle}, {way}"]]
                steps = [LENGTH[saddle] * j / KEPT for j in range(len(left))]
                panel.plot(
                    steps, left, color=colour, lw=1.1, alpha=0.7, label=way if k == 0 else None
                )
        panel.set(xlabel="steps", ylabel="remaining fraction of the decrease", ylim=(-0.08, 1.6))
        style.title(panel, title, theme)
        style.legend(panel, theme, loc="upper right")
    return made
