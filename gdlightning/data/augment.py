"""Random changes of image tensors that leave their class alone."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(
    images: Tensor,
    *,
    shift: float = 0.0,
    rotate: float = 0.0,
    zoom: float = 0.0,
    flip: bool = False,
    erase: float = 0.0,
) -> Tensor:
    """Each image changed by its own draw from torch's random state, with its edge repeated outside.

    Args:
        images: [B, C, H, W], floating point.
        shift: up to this part of the size, in both directions.
        rotate: up to so many degrees, either way.
        zoom: larger or smaller by up to this part.
        flip: left and right are swapped in half of the images.
        erase: side of a square, as a part of the size, that is set to the image's mean
            (DeVries and Taylor 2017, arXiv:1708.04552).

    Returns:
        Images of the same shape.
    """
    count, device = len(images), images.device

    def draw(limit: float) -> Tensor:
        return (2 * torch.rand(count, device=device) - 1) * limit

    if shift or rotate or zoom or flip:
        angle = draw(math.radians(rotate))
        scale = 1 + draw(zoom)
        mirror = torch.ones(count, device=device)
        if flip:
            mirror = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
        cos, sin = angle.cos() * scale, angle.sin() * scale
        ratio = images.shape[2] / images.shape[3]  # the grid's unit is half a side, not a pixel
        rows = [
            torch.stack([cos * mirror, -sin * ratio, draw(2 * shift)], 1),
            torch.stack([sin * mirror / ratio, cos, draw(2 * shift)], 1),
        ]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        images = F.grid_sample(
            images, grid.to(images.dtype), padding_mode="border", align_corners=False
        )
    if erase:
        images = _erased(images, erase)
    return images


def _erased(images: Tensor, part: float) -> Tensor:
    count, _, height, width = images.shape
    device = images.device
    row = torch.rand(count, 1, 1, device=device) * height
    column = torch.rand(count, 1, 1, device=device) * width
    y = torch.arange(height, device=device)[None, :, None] + 0.5
    x = torch.arange(width, device=device)[None, None, :] + 0.5
    inside = ((y - row).abs() <= part * height / 2) & ((x - column).abs() <= part * width / 2)
    mean = images.mean(dim=(2, 3), keepdim=True)
    return torch.where(inside[:, None], mean, images)
