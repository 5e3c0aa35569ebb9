"""Gradients that can be differentiated again."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Evaluate a loss so that its gradient can be differentiated again.

    In torch, fused attention, cuDNN's recurrent networks, embedding bags and sparse gradients have
    no second derivative. They are replaced by equivalent implementations that have one.
    """
    with sdpa_kernel(SDPBackend.MATH), _Replacements():
        yield


def differentiable(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a training step that runs within ``twice_differentiable``."""

    @functools.wraps(step)
    def training_step(*args: Any, **kwargs: Any) -> Any:
        with twice_differentiable():
            return step(*args, **kwargs)

    return training_step


def differentiable_backward(loss: Tensor, *args: Any, **kwargs: Any) -> None:
    """Compute gradients that keep their graph.

    Set them to None before the next step, as Lightning does: a gradient and its graph refer to each
    other.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*backward\\(\\) with create_graph=True.*")
        loss.backward(*args, **{**kwargs, "create_graph": True})


class _Replacements(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.embedding_bag:
            return _bag(*args, **kwargs)
        if func is F.embedding:
            return _embedding(*args, **kwargs)
        if getattr(func, "__name__", "") in RECURRENT:
            with torch.backends.cudnn.flags(enabled=False):
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Evaluate ``F.embedding`` with a dense gradient."""
    return F.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)


def _bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Evaluate ``F.embedding_bag`` with single embeddings; the mode ``max`` is not replaced."""
    if mode not in ("sum", "mean"):
        return F.embedding_bag(
            input,
            weight,
            offsets,
            max_norm,
            norm_type,
            mode=mode,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
    words = input.flatten()
    if input.ndim == 2:
        count, length = input.shape
        owner = torch.arange(count, device=input.device).repeat_interleave(length)
    else:
        starts = torch.zeros(1, dtype=torch.int64) if offsets is None else offsets
        starts = starts[:-1] if include_last_offset else starts
        count = len(starts)
        place = torch.arange(len(words), device=words.device)
        owner = torch.searchsorted(starts.to(place), place, right=True) - 1
    there = torch.ones_like(words, dtype=torch.bool)
    if padding_idx is not None:
        there = words != padding_idx % len(weight)
    share = there.to(weight.dtype)
    if per_sample_weights is not None:
        share = share * per_sample_weights.flatten()
    rows = F.embedding(words, weight, None, max_norm, norm_type) * share[:, None]
    total = rows.new_zeros(count, weight.shape[1]).index_add(0, owner, rows)
    if mode == "sum":
        return total
    found = total.new_zeros(count).index_add(0, owner, there.to(total.dtype))
    return total / found.clamp(min=1)[:, None]
