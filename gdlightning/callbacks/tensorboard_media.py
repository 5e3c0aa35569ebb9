"""Pictures, texts and graphs for TensorBoard."""

from __future__ import annotations

import warnings
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor


def show_samples(
    board: TensorBoardLogger, module: L.LightningModule, batch: Any, step: int
) -> None:
    """What the task's ``samples`` gives: text, an image [3, H, W], or a matplotlib figure."""
    samples = getattr(module, "samples", None)
    if samples is None:
        return
    random = torch.get_rng_state()  # sampling text must not change the training
    was_training = module.training
    module.eval()
    with torch.no_grad():
        shown = samples(batch)
    module.train(was_training)
    torch.set_rng_state(random)
    for name, sample in shown.items():
        if isinstance(sample, str):
            board.experiment.add_text(name, sample, step)
        elif isinstance(sample, Tensor):
            board.experiment.add_image(name, sample, step)
        else:
            board.experiment.add_figure(name, sample, step)


def model_graph(board: TensorBoardLogger, module: L.LightningModule, inputs: Any) -> None:
    """The traced graph of the module's forward; modules that can't be traced have none."""
    random, training = torch.get_rng_state(), module.training
    buffers = {k: v.clone() for k, v in module.named_buffers()}
    module.eval()
    try:
        # torch prints its failures
        with warnings.catch_warnings(), redirect_stdout(StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            board.experiment.add_graph(module, inputs)
    except Exception:
        board.experiment.add_text("graph", "This module can't be traced; see the tab Text.", 0)
    finally:
        module.train(training)
        torch.set_rng_state(random)
        for name, buffer in module.named_buffers():
            buffer.copy_(buffers[name])


def few(batch: Any) -> Any:
    """What a module's forward takes of a batch, copied: of two examples, where all tensors count
    examples alike, since tracing a whole batch takes memory."""
    inputs = batch[0] if isinstance(batch, tuple | list) else batch
    parts = inputs if isinstance(inputs, tuple | list) else [inputs]
    if not all(isinstance(t, Tensor) and t.ndim for t in parts) or len({len(t) for t in parts}) > 1:
        return inputs
    if isinstance(inputs, Tensor):
        return inputs[:2].clone()
    return type(inputs)(t[:2].clone() for t in inputs)


def histograms(board: TensorBoardLogger, module: L.LightningModule, step: int) -> None:
    """A histogram of each parameter, and of its gradient where there is one."""
    for name, parameter in module.named_parameters():
        board.experiment.add_histogram(f"weights/{name}", parameter.detach(), step)
        if parameter.grad is not None:
            gradient = parameter.grad.coalesce().values() if parameter.grad.is_sparse \
                else parameter.grad  # fmt: skip
            board.experiment.add_histogram(f"gradients/{name}", gradient, step)
