"""Tasks on images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gdlightning.tasks.supervised import Classification

__all__ = ["ImageClassification"]

RIGHT, WRONG = (0.16, 0.66, 0.35), (0.85, 0.2, 0.2)
SIDE, SCALE, FRAME = 6, 48, 3
"""Grid side in images; minimum image size and frame width in pixels."""


class ImageClassification(Classification):
    """Classification of images; accuracy, macro F1 and AUROC."""

    default_net = "resnet"

    def samples(self, batch: Any) -> Mapping[str, Any]:
        """Return a grid of images, framed green if classified correctly and red if not."""
        images, targets = (part[: SIDE * SIDE] for part in batch)
        right = self(images).argmax(dim=1) == targets
        return {"predictions": grid(images.float().cpu(), right.cpu())}


def grid(images: Tensor, right: Tensor) -> Tensor:
    """Arrange images in one picture [3, H', W'] with values from 0 to 1.

    Args:
        images: images of any value range, [N, C, H, W].
        right: whether each image is classified correctly, [N].
    """
    low, high = images.amin(), images.amax()
    images = (images - low) / (high - low).clamp(min=1e-9)
    images = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    factor = max(1, -(-SCALE // max(images.shape[-2:])))
    images = images.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    count, _, height, width = images.shape
    columns = min(SIDE, count)
    rows = -(-count // columns)
    tile_height, tile_width = height + 2 * FRAME + 2, width + 2 * FRAME + 2
    picture = torch.ones(3, rows * tile_height, columns * tile_width)
    for k, image in enumerate(images):
        top, left = k // columns * tile_height + 1, k % columns * tile_width + 1
        colour = torch.tensor(RIGHT if right[k] else WRONG)[:, None, None]
        framed = colour.expand(3, height + 2 * FRAME, width + 2 * FRAME).clone()
        framed[:, FRAME:-FRAME, FRAME:-FRAME] = image
        picture[:, top : top + height + 2 * FRAME, left : left + width + 2 * FRAME] = framed
    return picture
