"""Nets, data and options of the speed benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Workload:
    """A workload that all contestants train.

    Attributes:
        net: function that creates the net, with logits [B, C] or [B, T, C].
        data: function that creates inputs and class targets.
        classes: number of classes.
        batch: number of examples per step.
        steps: number of timed optimizer steps.
        agree: number of steps after which all losses must agree; once the loss is near 0, the
            rounding of fused optimizers becomes visible.
        optimizer: name in torch.optim.
        lr: learning rate.
        max_norm: of the clipped gradient.
        sparse: the net can have sparse gradients, which the hand-written loop does not use.
    """

    name: str
    net: Callable[[bool], nn.Module]
    data: Callable[[], Data]
    classes: int
    batch: int
    steps: int
    agree: int
    optimizer: str = "AdamW"
    lr: float = 1e-3
    max_norm: float = 1.0
    sparse: bool = False

    def prepared(self, sparse: bool = False) -> tuple[nn.Module, Data]:
        """Create the net and the data from a fixed seed."""
        torch.manual_seed(0)
        net = self.net(sparse)
        torch.manual_seed(1)
        return net, self.data()

    @property
    def epochs(self) -> int:
        """Return the number of epochs for all steps."""
        return -(-self.steps * self.batch // len(self.data()[1]))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean over examples, and over positions if any."""
    return nn.functional.cross_entropy(logits.flatten(0, -2), target.flatten())


def order(count: int, batch: int, epoch: int) -> list[Tensor]:
    """Return the batches of an epoch as indices, in the order of gdlightning's loader."""
    generator = torch.Generator().manual_seed(epoch)
    return list(torch.randperm(count, generator=generator).split(batch))


def mlp(_: bool) -> nn.Module:
    """20→64→64→2."""
    return nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
    )


def points() -> Data:
    """20,000 points of 20 numbers, in two classes."""
    x = torch.randn(20_000, 20)
    return x, (x[:, :5].sum(1) + x[:, 5] * x[:, 6] > 0).long()


def cnn(_: bool) -> nn.Module:
    """Six convolutions, about 100,000 weights."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in (
        (3, 16, 1),
        (16, 32, 2),
        (32, 32, 1),
        (32, 64, 2),
        (64, 64, 1),
        (64, 64, 2),
    ):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def images() -> Data:
    """2,048 images of 3×32×32 in ten classes."""
    y = torch.randint(10, (2048,))
    return torch.randn(2048, 3, 32, 32) + 0.2 * torch.randn(10, 3, 32, 32)[y], y


class Transformer(nn.Module):
    """A decoder of four layers and width 128 over bytes."""

    def __init__(self, width: int = 128, depth: int = 4, context: int = 128) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(256, width), nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 256)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(context))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens int64 [B, T] to logits [B, T, 256]."""
        hidden = self.tokens(x) + self.places.weight[: x.shape[1]]
        found: Tensor = self.head(self.layers(hidden, mask=self.mask, is_causal=True))
        return found


def text() -> Data:
    """Windows of 128 bytes of the prose that ships with Python."""
    from pydoc_data import topics

    raw = "\n".join(topics.topics[k] for k in sorted(topics.topics)).encode()
    tokens = torch.frombuffer(bytearray(raw), dtype=torch.uint8).long()
    windows = tokens[: len(tokens) // 129 * 129].view(-1, 129)[:2048]
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


def bag(classes: int) -> Callable[[bool], nn.Module]:
    """A linear model on a million words."""
    return lambda sparse: nn.EmbeddingBag(1_000_000, classes, mode="sum", sparse=sparse)


def documents(classes: int) -> Callable[[], Data]:
    """4,096 documents of 64 words, in some classes."""

    def make() -> Data:
        words = (torch.rand(4096, 64) ** 3 * 1_000_000).long()
        return words, ((words < 1000).sum(1) > 6).long() + 2 * (words[:, 0] % (classes // 2))

    return make


class Recurrent(nn.Module):
    """An LSTM of width 128 over rows."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Series [B, T, 16] to logits [B, 10]."""
        found: Tensor = self.head(self.lstm(x)[0][:, -1])
        return found


def series() -> Data:
    """4,096 series of 32 steps in ten classes."""
    y = torch.randint(10, (4096,))
    return torch.randn(4096, 32, 16) + 0.3 * torch.randn(10, 1, 16)[y], y


def bags(classes: int) -> Workload:
    """Words in a number of classes, which the dense gradient grows with."""
    return Workload(
        f"bag of words, {classes} classes",
        bag(classes),
        documents(classes),
        classes,
        batch=64,
        steps=60,
        agree=60,
        optimizer="Adagrad",
        lr=0.1,
        sparse=True,
    )


WORKLOADS = {
    w.name: w
    for w in (
        Workload("tiny MLP", mlp, points, 2, batch=128, steps=600, agree=600),
        Workload("CNN", cnn, images, 10, batch=64, steps=300, agree=60),
        Workload("transformer", lambda _: Transformer(), text, 256, batch=16, steps=100, agree=100),
        Workload("LSTM", lambda _: Recurrent(), series, 10, batch=64, steps=300, agree=60),
        bags(2),
        bags(20),
    )
}


class Batches:
    """Batch sampler that gives the other frameworks the same batches."""

    def __init__(self, count: int, batch: int) -> None:
        self.count, self.batch, self.epoch = count, batch, 0

    def __len__(self) -> int:
        return -(-self.count // self.batch)

    def __iter__(self) -> Any:
        found, self.epoch = order(self.count, self.batch, self.epoch), self.epoch + 1
        return iter([index.tolist() for index in found])
