"""Images, texts, graphs and histograms for TensorBoard."""

from __future__ import annotations

import warnings
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor


def add_samples(board: TensorBoardLogger, module: L.LightningModule, batch: Any, step: int) -> None:
    """Add the output of the task's ``samples``: texts, images [3, H, W] or matplotlib figures."""
    samples = getattr(module, "samples", None)
    if samples is None:
        return
    random = torch.get_rng_state()  # sampling must not change the run
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


def add_graph(board: TensorBoardLogger, module: L.LightningModule, inputs: Any) -> None:
    """Add the traced graph of the module, or a note if it cannot be traced."""
    random, training = torch.get_rng_state(), module.training
    buffers = {k: v.clone() for k, v in module.named_buffers()}
    module.eval()
    try:
        # torch prints a failure before it raises it
        with warnings.catch_warnings(), redirect_stdout(StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            board.experiment.add_graph(module, inputs)
    except Exception:
        board.experiment.add_text(
            "graph", "This module cannot be traced. Its layers are listed in the Text tab.", 0
        )
    finally:
        module.train(training)
        torch.set_rng_state(random)
        for name, buffer in module.named_buffers():
            buffer.copy_(buffers[name])


def graph_inputs(batch: Any) -> Any:
    """Return the inputs of a batch for tracing.

    If all of them are tensors with the same first dimension, the first two examples are copied, to
    save memory.
    """
    inputs = batch[0] if isinstance(batch, tuple | list) else batch
    parts = inputs if isinstance(inputs, tuple | list) else [inputs]
    if not all(isinstance(t, Tensor) and t.ndim for t in parts) or len({len(t) for t in parts}) > 1:
        return inputs
    if isinstance(inputs, Tensor):
        return inputs[:2].clone()
    return type(inputs)(t[:2].clone() for t in inputs)


def add_histograms(board: TensorBoardLogger, module: L.LightningModule, step: int) -> None:
    """Add a histogram of each parameter, and of its gradient if it has one."""
    for name, parameter in module.named_parameters():
        board.experiment.add_histogram(f"weights/{name}", parameter.detach(), step)
        if parameter.grad is not None:
            gradient = parameter.grad
            if gradient.is_sparse:
                gradient = gradient.coalesce().values()
            board.experiment.add_histogram(f"gradients/{name}", gradient, step)
