"""Language modelling: the next token, and text that goes on from a prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from gdlightning.data.language import IGNORE
from gdlightning.data.tokens import Bytes, Characters, Tokenizer
from gdlightning.errors import UserError
from gdlightning.tasks.metrics import full
from gdlightning.tasks.task import Task

__all__ = ["LanguageModelling"]


class LanguageModelling(Task):
    """The next token of running text: cross-entropy; perplexity a token, bits a byte.

    Args:
        net: from tokens [B, T] to logits [B, T, V].
        alphabet: the characters that tokens 1, 2, … stand for; bytes if not given.
        context: tokens that the net is shown at most.
    """

    default_net = "gpt"

    def __init__(
        self, net: nn.Module, alphabet: str | None = None, context: int | None = None
    ) -> None:
        super().__init__()
        self.net = net
        self.tokenizer: Tokenizer = Bytes() if alphabet is None else Characters(alphabet)
        self.context = context or 256
        self.register_buffer("lengths", self.tokenizer.byte_lengths(), persistent=False)
        self.lengths: Tensor

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] → logits of the next token, [B, T, V]."""
        logits: Tensor = self.net(tokens)
        return logits

    def metrics(self) -> dict[str, Metric]:
        """Perplexity a token, and bits a byte, over every scored position."""
        return {"perplexity": PerUnit(bits=False), "bits_per_byte": PerUnit(bits=True)}

    def loss(self, batch: Any) -> Tensor:
        """Mean cross-entropy in nats a token; targets of -100 are left out."""
        tokens, following = batch
        logits = full(self(tokens)).flatten(0, 1)
        wanted = following.flatten()
        loss = F.cross_entropy(logits, wanted, ignore_index=IGNORE, reduction="sum")
        scored = wanted != IGNORE
        count = scored.sum()
        bytes_ = self.lengths[wanted.clamp(min=0)].mul(scored).sum()
        self.observe(loss, torch.stack([count, bytes_]))
        mean: Tensor = loss / count.clamp(min=1)
        return mean

    def samples(self, batch: Any) -> Mapping[str, Any]:
        """How the first text of the batch goes on."""
        start = self.tokenizer.decode(batch[0][0][: min(64, self.context // 2)].tolist())
        return {"continuation": f"**{start}**{self.generate(start, 200, seed=0)}"}

    @torch.no_grad()
    def generate(
        self,
        prompt: str,
        length: int = 200,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        seed: int = 0,
    ) -> str:
        """Text that goes on from ``prompt``.

        Args:
            prompt: what to go on from; an empty one is a line break.
            length: tokens to add.
            temperature: below 1 surer, above 1 bolder; 0 always takes the likeliest token.
            top_k: draw among this many likeliest tokens only.
            seed: of the draws.

        Raises:
            UserError: a number can't be meant.
        """
        for key, value, low in (("length", length, 1), ("temperature", temperature, 0)):
            if not (math.isfinite(value) and value >= low):
                raise UserError(f"--{key} is {value}; write {low} or more.")
        if top_k is not None and top_k < 1:
            raise UserError(f"--top_k is {top_k}; write 1 or more.")
        generator = torch.Generator().manual_seed(seed)
        tokens = self.tokenizer.encode(prompt or "\n")
        start = len(tokens)
        for _ in range(length):
            window = torch.tensor([tokens[-self.context :]], device=self.device)
            logits = self(window)[0, -1].cpu().double()
            if isinstance(self.tokenizer, Characters):
                logits[0] = -math.inf  # the unknown character is never written
            if temperature == 0:
                tokens.append(int(logits.argmax()))
                continue
            if top_k is not None and top_k < len(logits):
                logits[logits < logits.topk(top_k).values[-1]] = -math.inf
            probabilities = torch.softmax(logits / temperature, dim=-1)
            tokens.append(int(torch.multinomial(probabilities, 1, generator=generator)))
        return self.tokenizer.decode(tokens[start:])


class PerUnit(Metric):
    """Perplexity a token, or bits a byte, from summed cross-entropies.

    Args:
        bits: bits a byte instead of perplexity.
    """

    full_state_update = False
    higher_is_better = False

    def __init__(self, bits: bool) -> None:
        super().__init__()
        self.bits = bits
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("units", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.nats: Tensor
        self.units: Tensor

    def update(self, nats: Tensor, counts: Tensor) -> None:
        """Summed cross-entropy of a batch, and its tokens and bytes, [2]."""
        self.nats += nats.double()
        self.units += counts[1 if self.bits else 0]

    def compute(self) -> Tensor:
        """The figure over all that was seen."""
        mean = self.nats / self.units
        return (mean / math.log(2) if self.bits else mean.exp()).float()
