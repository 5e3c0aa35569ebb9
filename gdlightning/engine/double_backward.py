"""Gradients that have gradients themselves, for optimizers that look at curvature."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


def twice_differentiable(module: L.LightningModule) -> Callable[..., Any]:
    """The module's training step, from operations that have second derivatives.

    Fused attention and cuDNN's recurrent networks have none; their plain forms do.
    """
    step = module.training_step
    recurrent = any(isinstance(m, nn.RNNBase) for m in module.modules())

    @functools.wraps(step)
    def training_step(*args: Any, **kwargs: Any) -> Any:
        with sdpa_kernel(SDPBackend.MATH), _without_cudnn() if recurrent else nullcontext():
            return step(*args, **kwargs)

    return training_step


@contextmanager
def _without_cudnn() -> Iterator[None]:
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


def differentiable_backward(loss: Tensor, *args: Any, **kwargs: Any) -> None:
    """Gradients that keep their graph; Lightning sets them to None before the next step."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*backward\\(\\) with create_graph=True.*")
        loss.backward(*args, **{**kwargs, "create_graph": True})
