"""Optimizers whose steps are wrong in float16."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping

SMALL = 1e-4
"""Gradient whose square rounds to 0 in float16."""


def check_half(choice: Choice) -> None:
    """Check that ``eps`` is large enough where the optimizer divides by it in float16.

    Squares of small gradients round to 0 there, and eps 1e-8 does, too. Adam then divides by 0 or
    takes steps that are far too large. Two steps show whether an optimizer does so, because some
    keep their state in float32.

    Raises:
        UserError: if they are not finite, or ten times as large as in float32.
    """
    eps = choice.value("eps")
    if not isinstance(eps, float) or eps <= 0 or float(torch.tensor(eps).half()) > 0:
        return
    if "closure" in choice.needs or choice.in_backward:
        return
    try:
        moved, expected = (_two_steps(choice, dtype) for dtype in (torch.half, torch.float))
    except (RuntimeError, TypeError, ValueError, UserError):  # it cannot be tried like this
        return
    if moved.isfinite().all() and (moved.abs() <= 10 * expected.abs().max()).all():
        return
    raise UserError(
        f"trainer.precision 16-true: optimizer.eps {eps:g} of {choice.entry.name} rounds to 0 in "
        "float16, as do the squares of small gradients: steps become NaN or far too large.\n"
        "Write optimizer.eps 1e-4, or use trainer.precision bf16-true or 16-mixed.",
        key="trainer.precision",
    )


def _two_steps(choice: Choice, dtype: torch.dtype) -> Tensor:
    """Return where steps from weights of 0 lead, with gradients of ``SMALL`` and then of 0.

    Fused optimizers compute the first step in float32, but store its state in float16.
    """
    with torch.random.fork_rng(devices=[]):
        module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).to(dtype)
        for parameter in module.parameters():
            nn.init.zeros_(parameter)
        optimizer, _ = build(choice, module, Grouping(), Context())
        for gradient in (SMALL, 0.0):
            for parameter in module.parameters():
                parameter.grad = torch.full_like(parameter, gradient)
                parameter.grad.view(-1)[0] = 0
            optimizer.step()
    return torch.cat([p.detach().float().flatten() for p in module.parameters()])
