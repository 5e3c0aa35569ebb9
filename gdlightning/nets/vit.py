"""A small vision transformer for images of any size.

Shapes: B images, C channels, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.nets.attention import Block, initialise, positions

__all__ = ["ViT"]
NAMES = {"ViT": "vit"}


class ViT(nn.Module):
    """Vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929).

    Sinusoidal position embeddings of row and column allow images of any size (Beyer et al. 2022,
    arXiv:2205.01580). Images are padded to whole patches.

    Args:
        channels: number of image channels C.
        outputs: number of outputs, such as classes.
        patch: patch side in pixels.
        width: model width D.
        depth: number of transformer blocks.
        heads: number of attention heads.
        dropout: dropout probability of the attention weights and of each residual branch.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        patch: int = 2,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        initialise(self.blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [B, outputs] for images [B, C, H, W]."""
        h, w = images.shape[-2:]
        padded = F.pad(images, (0, -w % self.patch, 0, -h % self.patch))
        x = self.embed(padded)  # [B, D, rows, columns]
        d, rows, columns = x.shape[1:]
        by_row = positions(rows, d - d // 2, x)[:, None].expand(-1, columns, -1)
        by_column = positions(columns, d // 2, x)[None].expand(rows, -1, -1)
        x = x.flatten(2).transpose(1, 2) + torch.cat([by_row, by_column], dim=2).flatten(0, 1)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x).mean(dim=1))
        return logits
