"""Gradient clipping keeps a bad batch, or a steep region, from destroying a run.

Bad batch: a net with two dense layers learns the digits by SGD with momentum (lr 0.1). After 100
steps, one batch contains nothing but noise a thousand times as bright as the images; 200 regular
batches follow. The run is spoiled if its final loss is still above the loss before the bad batch.
It is repeated with clipping to norm 1, without clipping, and without the bad batch.

Steep regions: a plain recurrent net (tanh, 32 units, random orthogonal weights times 1.1) has to
output the first of 40 numbers at the end of the sequence. It is trained for 300 steps by SGD with
momentum 0.9 at learning rates from 0.003 to 0.3. A run diverges if its loss becomes non-finite or
ends above the initial loss. The experiment determines the largest learning rate up to which no run
diverges, with clipping to norm 1 and without clipping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, count, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import digits

SOURCE = "Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063"
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
BEFORE, AFTER, BATCH, BAD = 100, 200, 32, 1000.0
CASES = {"not clipped": (True, None), "clipped": (True, 1.0), "no bad batch": (False, None)}
"""Name → whether the bad batch comes, and the norm that is clipped to."""
RATES = tuple(0.003 * 10 ** (k / 2) for k in range(5))
LENGTH, UNITS, STEPS = 40, 32, 300


def measure(seed: int) -> Found:
    """Measure losses around the bad batch, and results of recurrent nets by learning rate."""
    bad = {name: _around(dazzled, norm, seed) for name, (dazzled, norm) in CASES.items()}
    steep = {
        name: [_recalled(lr, norm, seed) for lr in RATES]
        for name, norm in (("not clipped", None), ("clipped", 1.0))
    }
    return {"bad": bad, "steep": steep}


class Camera(nn.Module):
    """Net whose inputs are corrupted once.

    Args:
        net: that sees the images.
        dazzled: number of the batch of which it sees bright noise alone; none if None.
    """

    def __init__(self, net: nn.Module, dazzled: int | None) -> None:
        super().__init__()
        self.net, self.dazzled, self.batch = net, dazzled, 0

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        if self.batch == self.dazzled:
            x = BAD * torch.randn_like(x)
        self.batch += 1
        logits: Tensor = self.net(x)
        return logits


class Recall(nn.Module):
    """Plain recurrent net that outputs a number at the end of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.RNN(1, UNITS, batch_first=True), nn.Linear(UNITS, 1)
        self.cell.get_parameter("weight_hh_l0").data = nn.init.orthogonal_(
            torch.empty(UNITS, UNITS), gain=1.1
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences [n, length, 1] to outputs [n, 1]."""
        said: Tensor = self.head(self.cell(x)[0][:, -1])
        return said


def _around(dazzled: bool, max_norm: float | None, seed: int) -> Found:
    data = digits(seed)
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    seen = Camera(net, BEFORE if dazzled else None)
    losses = descend(
        seen,
        F.cross_entropy,
        data.x,
        data.y,
        SGD | {"lr": 0.1},
        BEFORE + 1 + AFTER,
        batch_size=BATCH,
        max_norm=max_norm,
        seed=seed,
    )
    with torch.no_grad():
        right = float((net(data.test_x).argmax(1) == data.test_y).float().mean())
    return {"losses": losses, "right": right}


def _recalled(lr: float, max_norm: float | None, seed: int) -> Found:
    random = torch.Generator().manual_seed(seed)
    series = torch.rand(1000, LENGTH, 1, generator=random) * 2 - 1
    torch.manual_seed(seed)
    losses = descend(
        Recall(),
        F.mse_loss,
        series,
        series[:, 0],
        SGD | {"lr": lr},
        STEPS,
        batch_size=BATCH,
        max_norm=max_norm,
        seed=seed,
    )
    ended = len(losses) == STEPS and math.isfinite(losses[-1])
    end = median(losses[-30:]) if ended else None
    return {"start": median(losses[:5]), "end": end, "losses": losses}


def spoilt(case: Found) -> bool:
    """Return whether the final loss is above the loss before the bad batch."""
    losses = case["losses"]
    if len(losses) < BEFORE + 1 + AFTER or not math.isfinite(losses[-1] or math.nan):
        return True
    return float(median(losses[-30:])) > float(median(losses[BEFORE - 30 : BEFORE]))


def diverged(case: Found) -> bool:
    """Return whether the loss ended above its initial value or non-finite."""
    return case["end"] is None or case["end"] > case["start"]


def _largest(runs: Sequence[Found]) -> float:
    """Return the largest rate up to which no run diverges, or one below the smallest."""
    found = RATES[0] / 10**0.5
    for rate, run in zip(RATES, runs, strict=True):
        if diverged(run):
            break
        found = rate
    return found


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if clipping saves runs of both kinds; conditionally if of one."""
    bad = {name: [spoilt(one["bad"][name]) for one in found] for name in CASES}
    most = {
        name: [_largest(one["steep"][name]) for one in found] for name in ("not clipped", "clipped")
    }
    ratios = [b / a for a, b in zip(*most.values(), strict=True)]
    plain, clipped = bad["not clipped"], bad["clipped"]
    saved = [
        sum(plain) > len(plain) / 2 and not any(clipped),
        median(ratios) > 2,
    ]
    verdict = (
        ClaimVerdict.HOLDS
        if all(saved)
        else ClaimVerdict.CONDITIONS
        if any(saved)
        else ClaimVerdict.NOT_HERE
    )
    batches = [one["bad"] for one in found]
    effects = [
        effect(f"test accuracy, {name}", [100 * b[name]["right"] for b in batches], "%")
        for name in CASES
    ]
    effects += [
        effect(f"largest stable learning rate of recurrent nets, {name}", rates)
        for name, rates in most.items()
    ]
    best = {k: [min(r["end"] or math.inf for r in one["steep"][k]) for one in found] for k in most}
    effects += [effect(f"lowest loss of recurrent nets, {k}", v) for k, v in best.items()]
    words = (
        f"The bad batch spoils {count(plain)} runs without clipping and {count(clipped)} with "
        f"clipping. With clipping, recurrent nets are stable up to {median(ratios):.2g} times the "
        "learning rate."
    )
    return Conclusion(verdict, words, tuple(effects))


def _smooth(losses: Sequence[float]) -> list[float]:
    return [median(losses[max(0, k - 4) : k + 5]) for k in range(len(losses))]


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot the loss around the bad batch, and the final loss of recurrent nets."""
    made, panels = style.figure(1, 2, size=(5.4, 3.8), theme=theme)
    for colour, name in zip((SERIES[1], SERIES[0], SERIES[2]), CASES, strict=True):
        for k, one in enumerate(found):
            losses = _smooth(one["bad"][name]["losses"])
            panels[0].plot(
                range(len(losses)),
                losses,
                color=colour,
                lw=1,
                alpha=0.7,
                label=name if k == 0 else None,
            )
    panels[0].set(
        yscale="log", ylim=(1e-3, None), xlabel="steps", ylabel="loss (median of nine batches)"
    )
    style.title(panels[0], f"One bad batch after {BEFORE} steps", theme)
    style.legend(panels[0], theme, loc="upper left")
    top = 3.0
    for colour, name in ((SERIES[1], "not clipped"), (SERIES[0], "clipped")):
        lines = [
            [
                min(top, run["end"] / run["start"]) if run["end"] is not None else top
                for run in one["steep"][name]
            ]
            for one in found
        ]
        for line in lines:
            panels[1].plot(RATES, line, "o", color=colour, ms=4, alpha=0.5)
        middle = [median(values) for values in zip(*lines, strict=True)]
        panels[1].plot(RATES, middle, color=colour, lw=1.8, label=name)
    panels[1].axhline(1, color=theme.muted, lw=0.8, ls=(0, (4, 3)), zorder=0)
    panels[1].set(
        xscale="log",
        xlabel="learning rate",
        ylim=(0, top * 1.05),
        ylabel="final loss / initial loss",
    )
    style.title(panels[1], "Recurrent nets (diverged above the dashed line)", theme)
    style.legend(panels[1], theme, loc="upper left")
    return made
