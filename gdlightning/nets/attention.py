"""The transformer block that encoder and decoder, for images, series and text, share.

B sequences, T positions, D width, H heads.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.errors import UserError


class Attention(nn.Module):
    """Multi-head self-attention through torch's own ``scaled_dot_product_attention``.

    Args:
        width: D, a multiple of ``heads``.
        heads: H.
        dropout: part of the attention weights dropped in training.
        causal: no position sees a later one.
        rotary: rotate queries and keys by their position (Su et al. 2021, arXiv:2104.09864).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        causal: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads or (rotary and width // heads % 2):
            raise UserError(
                f"model.net.width is {width} and heads {heads}: each head must get the same "
                f"{'even ' if rotary else ''}number of features."
            )
        self.heads, self.dropout, self.causal, self.rotary = heads, dropout, causal, rotary
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, T, D] → [B, T, D]; ``mask`` [B, T] is True where there is something to see."""
        b, t, d = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(qkv[:2]) if self.rotary else qkv[:2]
        v = qkv[2]
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal,
        )  # [B, H, T, D / H]
        result: Tensor = self.out(out.transpose(1, 2).reshape(b, t, d))
        return result


class Block(nn.Module):
    """Pre-norm block: attention and a two-layer perceptron, each added to its input.

    Args:
        width: D.
        heads: of the attention.
        dropout: in attention and after each branch.
        causal: no position sees a later one.
        rotary: positions by rotation.
        expansion: inner width of the perceptron over D.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        causal: bool = False,
        rotary: bool = False,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout, causal, rotary)
        self.widen = nn.Linear(width, expansion * width, bias=False)
        self.narrow = nn.Linear(expansion * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        x = x + self.dropout(self.attention(self.norm1(x), mask))
        out: Tensor = x + self.dropout(self.narrow(F.gelu(self.widen(self.norm2(x)))))
        return out


def initialise(blocks: nn.ModuleList) -> None:
    """Normal with std 0.02; what is added to the stream shrinks with depth, by 1/√(2L).

    As in GPT-2 (Radford et al. 2019), so that the stream's variance does not grow with L blocks.
    """
    for block in blocks:
        for name, weight in block.named_parameters():
            if weight.ndim == 2:
                last = name.endswith(("out.weight", "narrow.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * len(blocks)) if last else 0.02)


def rotate(x: Tensor) -> Tensor:
    """Each pair of features of [..., T, E] turned by an angle that grows with its position."""
    t, e = x.shape[-2:]
    speed = 10000 ** (-torch.arange(0, e, 2, device=x.device, dtype=torch.float32) / e)
    angle = torch.arange(t, device=x.device, dtype=torch.float32)[:, None] * speed  # [T, E / 2]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    turned = torch.addcmul(a * cos, b, sin, value=-1), torch.addcmul(b * cos, a, sin)
    return torch.cat(turned, dim=-1)


def positions(count: int, width: int, like: Tensor) -> Tensor:
    """Sinusoidal position vectors (Vaswani et al. 2017, arXiv:1706.03762), [count, width]."""
    half = -(-width // 2)
    speed = torch.exp(torch.arange(half, device=like.device) * (-math.log(10000.0) / half))
    angle = torch.arange(count, device=like.device)[:, None] * speed
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width].to(like.dtype)
