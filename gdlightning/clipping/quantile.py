"""Gradient clipping by a running quantile of past norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.clipping.clip import Clip, scale
from gdlightning.errors import UserError

ALIASES = ("autoclip", "running-quantile")


class QuantileClip(Clip):
    """Clipping by global norm, with a quantile of recent norms as the maximum.

    The method is AutoClip (Seetharaman et al. 2020, arXiv:2007.14469) over a window. Non-finite
    norms are ignored.

    Args:
        quantile: quantile of the past norms; between 0 and 1.
        window: number of past norms.
        warmup: number of steps before clipping starts.
    """

    def __init__(self, quantile: float = 0.9, window: int = 200, warmup: int = 20) -> None:
        super().__init__()
        if not 0 < quantile < 1:
            raise UserError(
                "clip.quantile must be between 0 and 1", key="clip.quantile", value=quantile
            )
        if window < 2 or not 1 <= warmup <= window:
            raise UserError(
                "clip.window must be at least 2, and clip.warmup between 1 and the window "
                f"(got window {window}, warmup {warmup}).",
                key=("clip.window", "clip.warmup"),
            )
        self.quantile, self.window, self.warmup = quantile, window, warmup
        self.past = torch.full((window,), torch.nan)
        self.seen = 0

    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Clip by the quantile of the past norms, then store the current norm."""
        self.past = self.past.to(norm.device)
        clipped = norm.new_zeros(())
        if self.seen >= self.warmup:
            limit = torch.nanquantile(self.past, self.quantile).to(norm.dtype)
            limit = limit.nan_to_num(torch.inf)  # NaN: no finite norm so far
            clipped = scale(gradients, norm, limit)
        slot = self.seen % self.window
        self.past[slot] = torch.where(torch.isfinite(norm), norm.float(), self.past[slot])
        self.seen += 1
        return clipped

    def state_dict(self) -> dict[str, Any]:
        """Return the past norms and the number of steps."""
        return {"past": self.past.clone(), "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the past norms; the newest are kept if the window differs."""
        past, self.seen = state_dict["past"].clone(), state_dict["seen"]
        if len(past) != self.window:  # the resumed run used a different window
            newest = past.roll(-(self.seen % len(past)))[-self.window :]
            past = torch.full((self.window,), torch.nan, device=past.device)
            past[: len(newest)] = newest
            past = past.roll(self.seen % self.window - len(newest))
        self.past = past
