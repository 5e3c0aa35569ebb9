"""Language modelling and text generation."""

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
    """Language modelling: cross-entropy of the next token; perplexity per token and bits per byte.

    Args:
        net: network from tokens [B, T] to logits [B, T, V].
        alphabet: characters that tokens 1, 2, … represent; if None, tokens are bytes.
        context: maximum number of tokens that the net sees; 256 if None.
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
        """Return the logits of the next token [B, T, V] for tokens [B, T]."""
        logits: Tensor = self.net(tokens)
        return logits

    def metrics(self) -> dict[str, Metric]:
        """Return perplexity per token and bits per byte, over all scored positions."""
        return {"perplexity": PerUnit(bits=False), "bits_per_byte": PerUnit(bits=True)}

    def loss(self, batch: Any) -> Tensor:
        """Return the mean cross-entropy in nats per token; targets of -100 are ignored."""
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
        """Return a continuation of the first text of the batch."""
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
        """Return a continuation of ``prompt``.

        Args:
            prompt: text to continue; a line break if empty.
            length: number of tokens to generate.
            temperature: divisor of the logits; 0 always selects the most likely token.
            top_k: number of most likely tokens to sample from; all if None.
            seed: random seed.

        Raises:
            UserError: if an argument is out of range.
        """
        for key, value, low in (("length", length, 1), ("temperature", temperature, 0)):
            if not (math.isfinite(value) and value >= low):
                raise UserError(f"--{key} must be at least {low} (got {value}).")
        if top_k is not None and top_k < 1:
            raise UserError(f"--top_k must be at least 1 (got {top_k}).")
        generator = torch.Generator().manual_seed(seed)
        tokens = self.tokenizer.encode(prompt or "\n")
        start = len(tokens)
        for _ in range(length):
            window = torch.tensor([tokens[-self.context :]], device=self.device)
            logits = self(window)[0, -1].cpu().double()
            if isinstance(self.tokenizer, Characters):
                logits[0] = -math.inf  # never generate the unknown character
            if temperature == 0:
                tokens.append(int(logits.argmax()))
                continue
            if top_k is not None and top_k < len(logits):
                logits[logits < logits.topk(top_k).values[-1]] = -math.inf
            probabilities = torch.softmax(logits / temperature, dim=-1)
            tokens.append(int(torch.multinomial(probabilities, 1, generator=generator)))
        return self.tokenizer.decode(tokens[start:])


class PerUnit(Metric):
    """Perplexity per token, or bits per byte, from summed cross-entropies.

    Args:
        bits: whether to compute bits per byte instead of perplexity.
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
        """Add a batch.

        Args:
            nats: summed cross-entropy, shape [].
            counts: number of tokens and bytes, shape [2].
        """
        self.nats += nats.double()
        self.units += counts[1 if self.bits else 0]

    def compute(self) -> Tensor:
        """Return the metric over all batches."""
        mean = self.nats / self.units
        return (mean / math.log(2) if self.bits else mean.exp()).float()
