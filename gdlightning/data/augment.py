"""Random augmentation of image tensors."""

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
    """Augment each image with its own random parameters.

    The global random state of torch is used. Outside of an image, its border is repeated.

    Args:
        images: The floating-point images, shape [B, C, H, W].
        shift: The maximum shift in each direction, as a fraction of the size.
        rotate: The maximum rotation in either direction, in degrees.
        zoom: The maximum change of the scale, as a fraction.
        flip: If True, flip half of the images horizontally.
        erase: The side of a square, as a fraction of the size, that is set to the mean of the image
            (DeVries and Taylor 2017, arXiv:1708.04552).

    Returns:
        The augmented images, shape [B, C, H, W].
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
        ratio = images.shape[2] / images.shape[3]  # grid coordinates are in half sides, not pixels
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
