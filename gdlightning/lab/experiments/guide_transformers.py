"""Transformers train best with AdamW and a warmup.

A decoder with five blocks of width 32 learns to continue sequences of eight symbols. Each symbol
follows from the two before it by a table drawn for the seed, but one in ten is drawn at random, so
that the best loss is 0.467; a uniform prediction has a loss of ln 8 = 2.08. Looking two symbols
back has to be learned by attention. Each run takes 200 steps of 16 sequences, none of which is seen
twice. The learning rate decreases linearly to 0, with or without a warmup over the first 50 steps.

The norm is before each branch, as in current models, or after the sum, as in the original
transformer. SGD with momentum uses the warmup, too. Learning rates are selected by the loss on 500
sequences, and new runs with them are tested on 1,000 others. A run has learned if its loss is below
the midpoint between that of a uniform prediction and the best loss.

The gaps are small: with a coarser grid of learning rates and three seeds, one of the two nets did
not show them in one or two seeds.
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
from gdlightning.drawing.style import Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, count, effect, shown
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.panels import curves, dots
from gdlightning.lab.tuning import Candidate, below, reported, tuned

SOURCE = (
    "Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762; on where the warm-up is "
    "needed Xiong et al. 2020, arXiv:2002.04745"
)
SEEDS = 4
STEPS, WARM, BATCH = 200, 50, 16
SYMBOLS, LENGTH, BLIND = 8, 13, 0.1
WIDTH, DEPTH, HEADS = 32, 5, 4
VALIDATION, TEST = 500, 1000
ADAMW, BARE, MOMENTUM = "AdamW with warm-up", "AdamW without warm-up", "SGD with momentum"
RATES = (0.003, 0.006, 0.012, 0.024)
CANDIDATES = {
    ADAMW: Candidate({"name": "adamw", "warmup": WARM}, RATES),
    BARE: Candidate({"name": "adamw", "warmup": 0}, RATES),
    MOMENTUM: Candidate({"name": "momentum", "warmup": WARM}, (0.1, 0.2, 0.4)),
}
NORMS = {"norm before": True, "norm after": False}
GUESSING = math.log(SYMBOLS)
RIGHT = 1 - BLIND + BLIND / SYMBOLS
BEST = -RIGHT * math.log(RIGHT) - (1 - RIGHT) * math.log(BLIND / SYMBOLS)
LEARNT = (GUESSING + BEST) / 2


def measure(seed: int) -> Found:
    """Tune and test the candidates on both kinds of net."""
    every = sequences(seed, STEPS * BATCH + VALIDATION + TEST)
    own, chosen_by, tested_by = every.split([STEPS * BATCH, VALIDATION, TEST])

    def case(first: bool) -> Found:
        def train(options: dict[str, Any], seed: int) -> Decoder:
            torch.manual_seed(seed)
            net = Decoder(norm_first=first)
            optimizer = {k: v for k, v in options.items() if k != "warmup"}
            schedule = {"name": "linear", "warmup": options["warmup"]}
            descend(
                net,
                _loss,
                own[:, :-1],
                own[:, 1:],
                optimizer,
                STEPS,
                batch_size=BATCH,
                schedule=schedule,
                seed=seed,
            )
            return net

        @torch.no_grad()
        def held_out(net: Decoder, rows: Tensor) -> float:
            return float(_loss(net(rows[:, :-1]), rows[:, 1:]))

        return tuned(
            CANDIDATES,
            train,
            lambda net: held_out(net, chosen_by),
            lambda net: {"test": held_out(net, tested_by)},
            seed,
        )

    return {name: case(first) for name, first in NORMS.items()}


def sequences(seed: int, rows: int) -> Tensor:
    """Draw symbols [rows, LENGTH], each by a table from the two before it, or at random."""
    source = torch.Generator().manual_seed(seed)
    table = torch.randint(SYMBOLS, (SYMBOLS, SYMBOLS), generator=source)
    found = torch.randint(SYMBOLS, (rows, LENGTH), generator=source)  # partly kept, as noise
    for k in range(2, LENGTH):
        follows = torch.rand(rows, generator=source) >= BLIND
        found[:, k] = torch.where(follows, table[found[:, k - 1], found[:, k - 2]], found[:, k])
    return found


class Decoder(nn.Module):
    """Torch's own blocks with a causal mask; the final norm is there where they have it first.

    Args:
        norm_first: the norm stands before each branch.
    """

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(LENGTH - 1, WIDTH))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, dropout=0.0, norm_first=norm_first, batch_first=True
            )
            for _ in range(DEPTH)
        )
        for weight in self.blocks.parameters():
            if weight.ndim == 2:
                nn.init.xavier_uniform_(weight)
        self.norm = nn.LayerNorm(WIDTH) if norm_first else nn.Identity()
        self.head = nn.Linear(WIDTH, SYMBOLS)

    def forward(self, symbols: Tensor) -> Tensor:
        """Map symbols [B, T] to logits of the next, [B, T, SYMBOLS]."""
        x = self.symbols(symbols) + self.places
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH - 1)
        for block in self.blocks:
            x = block(x, src_mask=mask, is_causal=True)
        logits: Tensor = self.head(self.norm(x))
        return logits


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss over symbols with two predecessors."""
    return F.cross_entropy(logits[:, 1:].flatten(0, 1), targets[:, 1:].flatten())


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if AdamW with warmup beats the others in every seed of both nets.

    Under conditions, if of one of them; or if AdamW beats momentum there, and a larger learning
    rate learns with the warm-up than without, in most seeds.
    """
    tests = {norm: reported([one[norm] for one in found]) for norm in NORMS}
    largest = {n: {c: [_largest(one[n], c) for one in found] for c in (ADAMW, BARE)} for n in NORMS}
    adam = {n: below(t, ADAMW, MOMENTUM) for n, t in tests.items()}
    lower = {n: below(t, ADAMW, BARE) for n, t in tests.items()}
    wider = {n: below(rates, BARE, ADAMW) for n, rates in largest.items()}
    if all(all(adam[n]) and all(lower[n]) for n in NORMS):
        verdict = ClaimVerdict.HOLDS
    else:
        helps = [all(lower[n]) or 2 * sum(wider[n]) > len(found) for n in NORMS]
        part = any(all(adam[n]) and helped for n, helped in zip(NORMS, helps, strict=True))
        verdict = ClaimVerdict.CONDITIONS if part else ClaimVerdict.NOT_HERE
    words = " ".join(
        f"With the {norm} each branch: tuned AdamW reaches a lower loss than tuned SGD with "
        f"momentum in {count(adam[norm])} seeds ({_middle(tests[norm][ADAMW])} compared with "
        f"{_middle(tests[norm][MOMENTUM])}), and than AdamW without warmup in {count(lower[norm])} "
        f"({_middle(tests[norm][BARE])}). The warmup allows a larger learning rate in "
        f"{count(wider[norm])} (up to {_middle(largest[norm][ADAMW])} compared with "
        f"{_middle(largest[norm][BARE])})."
        for norm in NORMS
    )
    effects = [
        effect(f"test loss, {norm}, {name}", values, expected=f"best possible {BEST:.3f}")
        for norm, one in tests.items()
        for name, values in one.items()
    ]
    effects += [
        effect(f"largest learning rate that learns, {norm}, {name}", map(_known, values))
        for norm, one in largest.items()
        for name, values in one.items()
    ]
    return Conclusion(verdict, words, tuple(effects))


def _largest(one: Found, name: str) -> float:
    losses = zip(CANDIDATES[name].lrs, one[name]["validation"], strict=True)
    return max((lr for lr, loss in losses if loss is not None and loss < LEARNT), default=0.0)


def _known(rate: float) -> float | None:
    return rate or None


def _middle(values: Sequence[float]) -> str:
    return shown(median(values))


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot loss by learning rate for both nets, and test loss of the tuned runs."""
    made, panels = style.figure(1, 3, size=(5.0, 3.9), theme=theme)
    for panel, norm in zip(panels[:2], NORMS, strict=True):
        curves(panel, [one[norm] for one in found], CANDIDATES, theme)
        panel.set_ylim(0.4, 2.3)
        for level, words in ((GUESSING, "guessing"), (BEST, "the best there is")):
            panel.axhline(level, color=theme.muted, lw=0.8, ls=(0, (4, 3)), zorder=0)
            panel.annotate(
                words,
                (RATES[0], level),
                xytext=(0, 3),
                textcoords="offset points",
                fontsize=8.5,
                color=theme.muted,
            )
        style.title(panel, f"{norm.capitalize()} each branch", theme)
    style.legend(panels[0], theme, loc="center left")
    dots(panels[2], {norm: reported([one[norm] for one in found]) for norm in NORMS}, theme)
    style.title(panels[2], "Test loss at the best learning rate", theme)
    return made
