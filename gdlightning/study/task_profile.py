"""Facts that a recommendation is based on: task, net, sizes, budget, memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import lightning.pytorch as L
import torch
from torch import nn

from gdlightning.data.data_module import DataModule
from gdlightning.tasks.language import LanguageModelling

Net = Literal["transformer", "convolution", "recurrent", "bag", "dense"]


@dataclass(frozen=True)
class TaskProfile:
    """Facts about a run.

    Args:
        net: main type of layer.
        language: whether the task is language modelling.
        sparse: whether gradients are sparse.
        finetuning: whether training starts from pretrained weights.
        parameters: number of trainable parameters.
        examples: number of training examples; 0 if unknown.
        batch: number of examples per optimizer step; 0 if unknown.
        steps: number of optimizer steps.
        memory: GPU memory in bytes; 0 without a GPU.
    """

    net: Net
    language: bool
    sparse: bool
    finetuning: bool
    parameters: int
    examples: int
    batch: int
    steps: int
    memory: int

    @property
    def epochs(self) -> float:
        """Number of passes over the data; 0 if unknown."""
        return self.steps * self.batch / self.examples if self.examples else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return asdict(self)


def task_profile(
    module: L.LightningModule,
    data: L.LightningDataModule,
    steps: int,
    *,
    finetuning: bool = False,
    accelerator: str = "auto",
) -> TaskProfile:
    """Return the facts about a module and its loaded data.

    Args:
        module: module on the CPU.
        data: any data module.
        steps: optimizer steps of the run.
        finetuning: whether training starts from pretrained weights.
        accelerator: ``accelerator`` argument of the Trainer.
    """
    ours = data if isinstance(data, DataModule) else None
    gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return TaskProfile(
        net=_net(module),
        language=isinstance(module, LanguageModelling),
        sparse=any(getattr(m, "sparse", False) for m in module.modules()),
        finetuning=finetuning,
        parameters=sum(p.numel() for p in module.parameters() if p.requires_grad),
        examples=len(ours.rows["train"]) if ours else 0,
        batch=ours.step_size if ours else 0,
        steps=steps,
        memory=torch.cuda.get_device_properties(0).total_memory if gpu else 0,
    )


def _net(module: nn.Module) -> Net:
    names = {type(m).__name__.lower() for m in module.modules()}
    if any("attention" in n or "transformer" in n for n in names):
        return "transformer"
    if any(isinstance(m, nn.RNNBase) for m in module.modules()):
        return "recurrent"
    if any(isinstance(m, nn.modules.conv._ConvNd) for m in module.modules()):
        return "convolution"
    if any(isinstance(m, nn.EmbeddingBag) for m in module.modules()):
        return "bag"
    return "dense"
