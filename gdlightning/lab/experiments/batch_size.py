"""Mini-batches train fastest: full batches waste examples, single examples waste the hardware.

A net of 32 tanh units learns to separate two classes of points in 20 dimensions with a curved
boundary. It is trained on 1,000 and on 100,000 rows by gradient descent at a fixed learning rate,
with batches of 1, of 64 and of all rows. The experiment measures the time of the optimizer steps
until the loss on 1,000 fixed rows reaches 0.4, and the number of passes over the data until then.

In addition, the gradients of 400 random batches of each size from 1 to 256 are compared with the
gradient over all rows, for a single net. Their variance times the batch size should be constant.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found

SOURCE = (
    "Robbins and Monro 1951; Bottou and Bousquet 2008, The Tradeoffs of Large Scale Learning; "
    "Wilson and Martinez 2003, The general inefficiency of batch training"
)
ALONE = True
ROWS, LR, TARGET, STEPS = (1_000, 100_000), 0.1, 0.4, 20_000
CHECKED = {1: 16, 64: 1, None: 1}
"""Batch size → steps between two looks at the loss."""
CLEAR = 1.25
"""Factor of time that counts as slower."""
SIZES, DRAWS = (1, 4, 16, 64, 256), 400


def measure(seed: int) -> Found:
    """Measure time and passes over the data to the target, and gradient noise by batch size."""
    runs = {f"{rows}, {size or 'all'}": _run(rows, size, seed) for rows in ROWS for size in CHECKED}
    return {"runs": runs, "noise": _noise(seed)}


def _data(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 20, generator=random)
    first, second = torch.randn(2, 20, generator=random) / math.sqrt(20)
    border = x @ first + (x @ second).square() - 1
    return x, (border + 0.2 * torch.randn(rows, generator=random) > 0).long()


def _net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 2))


def _run(rows: int, batch_size: int | None, seed: int) -> Found:
    x, y = _data(rows, seed)
    net, spent, steps = _net(seed), 0.0, None
    begun = time.perf_counter()

    def look(step: int, loss: float) -> bool:
        nonlocal begun, spent, steps
        if step % CHECKED[batch_size]:
            return False
        spent += time.perf_counter() - begun
        with torch.no_grad():
            there = float(F.cross_entropy(net(x[:1000]), y[:1000])) <= TARGET
        steps = step if there else None
        begun = time.perf_counter()
        return there

    plain = {"name": "sgd", "lr": LR, "momentum": 0.0, "nesterov": False}
    descend(net, F.cross_entropy, x, y, plain, STEPS, batch_size=batch_size, seed=seed, after=look)
    passes = None if steps is None else steps * (batch_size or rows) / rows
    return {"seconds": spent if steps else None, "passes": passes, "steps": steps}


def _noise(seed: int) -> list[float]:
    """Return the variance of batch gradients times the batch size, for each size."""
    x, y = _data(1000, seed)
    net = _net(seed)

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(net, weights, (x[None],)), y[None])

    each = vmap(grad(loss), (None, 0, 0))(dict(net.named_parameters()), x, y)
    gradients = torch.cat([g.detach().flatten(1) for g in each.values()], dim=1)
    apart = gradients - gradients.mean(0)
    random = torch.Generator().manual_seed(seed)
    found = []
    for size in SIZES:
        drawn = torch.randint(len(x), (DRAWS * 256 // size, size), generator=random)
        squares = [apart[part].mean(1).square().sum(1) for part in drawn.split(1024)]
        found.append(size * float(torch.cat(squares).mean()))
    return found


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if 64 is clearly fastest for both numbers of rows; conditionally if for the larger."""

    def ratio(rows: int, size: str) -> list[float | None]:
        runs = [one["runs"] for one in found]
        pairs = [(r[f"{rows}, {size}"]["seconds"], r[f"{rows}, 64"]["seconds"]) for r in runs]
        return [a / b if a and b else None for a, b in pairs]

    few, many = ROWS
    effects = [
        effect(f"time with {what} / time with batches of 64, {rows:,} rows", ratio(rows, size))
        for rows in ROWS
        for size, what in (("all", "all rows"), ("1", "single rows"))
    ]
    for size, what in (("1", "single rows"), ("64", "batches of 64"), ("all", "all rows")):
        passes = [one["runs"][f"{few}, {size}"]["passes"] for one in found]
        effects.append(effect(f"passes over {few:,} rows to the target, {what}", passes))
    spread = [max(one["noise"]) / min(one["noise"]) - 1 for one in found]
    effects.append(
        effect(
            "spread of variance × batch size, sizes 1 to 256", [100 * s for s in spread], "%", "0"
        )
    )
    slower = {rows: median(r or math.inf for r in ratio(rows, "all")) for rows in ROWS}
    single = median(r or math.inf for r in ratio(few, "1"))
    worse = {rows: slower[rows] > CLEAR and single > CLEAR for rows in ROWS}
    verdict = (
        ClaimVerdict.HOLDS
        if all(worse.values())
        else ClaimVerdict.CONDITIONS
        if worse[many]
        else ClaimVerdict.NOT_HERE
    )
    words = (
        f"With {many:,} rows, full batches take {slower[many]:.3g} times as long as batches of "
        f"64; with {few:,} rows, {slower[few]:.2g} times, and single rows {single:.2g} times. The "
        f"gradient variance times the batch size is constant within {100 * median(spread):.1f}%."
    )
    return Conclusion(verdict, words, tuple(effects))


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot time and passes to the target, and gradient noise, by batch size."""
    made, panels = style.figure(1, 3, size=(4.2, 3.7), theme=theme)
    sizes, places = ("1", "64", "all"), (0, 1, 2)
    for panel, key in zip(panels, ("seconds", "passes"), strict=False):
        for colour, rows in zip(SERIES, ROWS, strict=False):
            runs = [[one["runs"][f"{rows}, {s}"][key] or math.nan for s in sizes] for one in found]
            for k, run in enumerate(runs):
                label = f"{rows:,} rows" if k == 0 else None
                panel.plot(places, run, "o-", color=colour, lw=1.2, ms=4, alpha=0.75, label=label)
        panel.set(yscale="log", xticks=places, xticklabels=sizes, xlabel="batch size")
    panels[0].set_ylabel("seconds to the target")
    panels[1].set_ylabel("passes over the data to the target")
    style.title(panels[0], "Time to the target loss", theme)
    style.title(panels[1], "Passes over the data", theme)
    style.legend(panels[0], theme)
    for k, one in enumerate(found):
        variances = [n / s for n, s in zip(one["noise"], SIZES, strict=True)]
        panels[2].plot(SIZES, variances, "o", color=SERIES[2], ms=4, alpha=0.75)
        if k == 0:
            line = [one["noise"][0] / s for s in (SIZES[0], SIZES[-1])]
            panels[2].plot((SIZES[0], SIZES[-1]), line, color=theme.muted, lw=0.9, zorder=0)
    panels[2].set(xscale="log", yscale="log", xlabel="batch size", ylabel="gradient variance")
    panels[2].annotate(
        "1 / batch size",
        (16, variances[0] / 16),
        xytext=(8, 8),
        textcoords="offset points",
        fontsize=8.5,
        color=theme.muted,
    )
    style.title(panels[2], "Variance of the gradient", theme)
    return made
