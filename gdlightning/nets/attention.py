"""The transformer block shared by the encoder, the decoder and the vision transformer.

Shapes: B sequences, T positions, D width, H heads.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.errors import UserError


class Attention(nn.Module):
    """Multi-head self-attention based on ``scaled_dot_product_attention``.

    Args:
        width: model width D; divisible by ``heads``.
        heads: number of attention heads H.
        dropout: dropout probability of the attention weights.
        causal: whether a position attends only to itself and earlier positions.
        rotary: whether to apply rotary position embeddings (Su et al. 2021, arXiv:2104.09864).

    Raises:
        UserError: if the head size is not an integer, or is odd while ``rotary`` is set.
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
                "model.net.width must be divisible by heads"
                f"{', with an even quotient' if rotary else ''} "
                f"(got width {width}, heads {heads}).",
                key="model.net.width",
            )
        self.heads, self.dropout, self.causal, self.rotary = heads, dropout, causal, rotary
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attention output [B, T, D].

        Args:
            x: input, [B, T, D].
            mask: True at valid positions, [B, T].
        """
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
    """Pre-norm transformer block: attention and a two-layer MLP, each with a residual connection.

    Args:
        width: model width D.
        heads: number of attention heads.
        dropout: dropout probability of the attention weights and of each residual branch.
        causal: whether a position attends only to itself and earlier positions.
        rotary: whether to apply rotary position embeddings.
        expansion: hidden width of the MLP as a multiple of D.
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
        """Return the block's output [B, T, D] for an input [B, T, D] and a mask [B, T]."""
        x = x + self.dropout(self.attention(self.norm1(x), mask))
        out: Tensor = x + self.dropout(self.narrow(F.gelu(self.widen(self.norm2(x)))))
        return out


def initialise(blocks: nn.ModuleList) -> None:
    """Initialise matrices from N(0, 0.02²), with a smaller std in deeper networks.

    The std of matrices that write to the residual stream is divided by √(2L), as in GPT-2 (Radford
    et al. 2019), so that the variance of the stream does not grow with the number of blocks L.

    Args:
        blocks: the L transformer blocks of a network.
    """
    for block in blocks:
        for name, weight in block.named_parameters():
            if weight.ndim == 2:
                last = name.endswith(("out.weight", "narrow.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * len(blocks)) if last else 0.02)


def rotate(x: Tensor) -> Tensor:
    """Apply rotary position embeddings to queries or keys [..., T, E].

    Each pair of features is rotated by an angle proportional to the position (Su et al. 2021,
    arXiv:2104.09864).
    """
    t, e = x.shape[-2:]
    frequency = 10000 ** (-torch.arange(0, e, 2, device=x.device, dtype=torch.float32) / e)
    angle = torch.arange(t, device=x.device, dtype=torch.float32)[:, None] * frequency  # [T, E / 2]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    rotated = torch.addcmul(a * cos, b, sin, value=-1), torch.addcmul(b * cos, a, sin)
    return torch.cat(rotated, dim=-1)


def positions(count: int, width: int, like: Tensor) -> Tensor:
    """Return sinusoidal position embeddings [count, width] (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        count: number of positions.
        width: size of an embedding.
        like: tensor that sets the dtype and device.
    """
    half = -(-width // 2)
    frequency = torch.exp(torch.arange(half, device=like.device) * (-math.log(10000.0) / half))
    angle = torch.arange(count, device=like.device)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width].to(like.dtype)
