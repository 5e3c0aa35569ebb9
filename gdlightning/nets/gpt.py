"""A decoder-only transformer.

Shapes: B sequences, T positions, D width, V vocabulary size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.nets.attention import Block, initialise

__all__ = ["GPT"]


class GPT(nn.Module):
    """Decoder-only language model with rotary position embeddings and tied weights.

    The pre-norm blocks and the depth-scaled initialisation follow GPT-2 (Radford et al. 2019).
    Attention uses ``scaled_dot_product_attention``.

    Args:
        vocab_size: vocabulary size V.
        width: model width D.
        depth: number of transformer blocks.
        heads: number of attention heads.
        dropout: dropout probability of the embeddings, the attention weights and each residual
            branch.
        tie: whether the output layer shares the weight of the embedding.
        ngrams: longest n-gram with its own embedding; 1 disables n-gram embeddings. The embeddings
            of the 2-gram up to this n-gram that end at a token are added to that of the token. They
            give short-range context at the cost of a lookup, which helps most with bytes.
        ngram_buckets: number of hash buckets per n-gram length.
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
        """Return the logits of the next token [B, T, V] for tokens [B, T]."""
        x = self.embedding(tokens)  # [B, T, D]
        code = tokens
        for length, table in enumerate(self.ngrams, start=1):
            earlier = F.pad(tokens, (length, 0))[:, : tokens.shape[1]]
            code = code * 1_000_003 + earlier + 1  # a hash; integer overflow is intended
            x = x + table(code % self.buckets)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits
