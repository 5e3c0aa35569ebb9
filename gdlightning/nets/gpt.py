"""A decoder-only transformer. B sequences, T positions, D width, V vocabulary."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.nets.attention import Block, initialise

__all__ = ["GPT"]


class GPT(nn.Module):
    """A decoder-only language model with rotary positions and tied weights.

    After GPT-2 (Radford et al. 2019): pre-norm blocks, initialisation scaled by depth; attention
    is torch's own ``scaled_dot_product_attention``.

    Args:
        vocab_size: number of tokens.
        width: D, of the residual stream.
        depth: number of blocks.
        heads: of each attention.
        dropout: in attention, branches, and after the embedding.
        tie: the output layer is the embedding's own weight.
        ngrams: besides each token, look up the last 2 to this many tokens together, hashed to
            ``ngram_buckets`` learnt vectors; 1 turns it off. It gives a short context for the
            price of a lookup, which helps most with bytes.
        ngram_buckets: vectors for each length of n-gram.
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        tie: bool = True,
        ngrams: int = 1,
        ngram_buckets: int = 16384,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.buckets = ngram_buckets
        self.ngrams = nn.ModuleList(nn.Embedding(ngram_buckets, width) for _ in range(ngrams - 1))
        self.dropout = nn.Dropout(dropout)
        blocks = [Block(width, heads, dropout, causal=True, rotary=True) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)
        initialise(self.blocks)
        for table in (self.embedding, *self.ngrams):
            nn.init.normal_(table.get_parameter("weight"), std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)
        if tie:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] → logits of the next token, [B, T, V]."""
        x = self.embedding(tokens)  # [B, T, D]
        code = tokens
        for length, table in enumerate(self.ngrams, start=1):
            earlier = F.pad(tokens, (length, 0))[:, : tokens.shape[1]]
            code = code * 1_000_003 + earlier + 1  # wraps around: a hash
            x = x + table(code % self.buckets)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits
