"""What a recommendation looks at: task, net, sizes, budget, memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import lightning.pytorch as L
import torch
from torch import nn

from gdlightning.data.module import DataModule
from gdlightning.tasks.language import LanguageModelling

Net = Literal["transformer", "convolution", "recurrent", "bag", "dense"]


@dataclass(frozen=True)
class Facts:
    """Of one training.

    Args:
        net: what the net is mostly made of.
        language: whether a language model is trained.
        sparse: whether gradients are sparse.
        finetuning: whether it starts from trained weights.
        parameters: that are trained.
        examples: in the training split; 0 where that is not known.
        batch: examples of an optimizer step; 0 where that is not known.
        steps: optimizer steps.
        memory: bytes of the GPU; 0 without one.
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
        """Times that the data is seen; 0 where that is not known."""
        return self.steps * self.batch / self.examples if self.examples else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def facts_of(
    module: L.LightningModule,
    data: L.LightningDataModule,
    steps: int,
    *,
    finetuning: bool = False,
    accelerator: str = "auto",
) -> Facts:
    """Look at a module and its data, which are loaded.

    Args:
        module: on the CPU.
        data: of gdlightning's or another.
        steps: optimizer steps of the training.
        finetuning: whether it starts from trained weights.
        accelerator: as the Trainer is told.
    """
    ours = data if isinstance(data, DataModule) else None
    gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return Facts(
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
