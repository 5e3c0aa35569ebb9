"""Clipping by a running quantile of past norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, scale
from gdlightning.errors import UserError

ALIASES = ("autoclip", "running-quantile")


class QuantileClip(Clip):
    """Scales the gradient to a norm of at most a quantile of the last norms.

    AutoClip, Seetharaman et al. 2020 (arXiv:2007.14469), over a window. Norms that are not finite
    are not remembered.

    Args:
        quantile: of the past norms, between 0 and 1.
        window: number of norms remembered.
        warmup: steps before clipping begins.
    """

    def __init__(self, quantile: float = 0.9, window: int = 200, warmup: int = 20) -> None:
        super().__init__()
        if not 0 < quantile < 1:
            raise UserError(f"clip.quantile is {quantile}; write a number between 0 and 1.")
        if window < 2 or not 1 <= warmup <= window:
            raise UserError(
                f"clip.window is {window} and clip.warmup {warmup}; write a window of 2 or more "
                "and a warmup from 1 to the window."
            )
        self.quantile, self.window, self.warmup = quantile, window, warmup
        self.past = torch.full((window,), torch.nan)
        self.seen = 0

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Scale, then remember the norm."""
        self.past = self.past.to(norm.device)
        bit = norm.new_zeros(())
        if self.seen >= self.warmup:
            limit = torch.nanquantile(self.past, self.quantile).to(norm.dtype)
            limit = limit.nan_to_num(torch.inf)  # no finite norm so far
            bit = scale(gradients, norm, limit)
        slot = self.seen % self.window
        self.past[slot] = torch.where(torch.isfinite(norm), norm.float(), self.past[slot])
        self.seen += 1
        return bit

    def state_dict(self) -> dict[str, Any]:
        """The window and its position."""
        return {"past": self.past.clone(), "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with a remembered window."""
        past, self.seen = state_dict["past"].clone(), state_dict["seen"]
        if len(past) != self.window:  # another window than that of the run that is continued
            newest = past.roll(-(self.seen % len(past)))[-self.window :]
            past = torch.full((self.window,), torch.nan, device=past.device)
            past[: len(newest)] = newest
            past = past.roll(self.seen % self.window - len(newest))
        self.past = past
