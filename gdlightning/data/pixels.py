"""Where pixels come from: memory, or files that are decoded when they are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gdlightning.errors import UserError, require

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
MEMORY = 1 << 30
"""Bytes of decoded images that are kept; larger sets are decoded again each time."""


class Pixels:
    """Images of one size as bytes, decoded by several threads and kept where they fit in memory.

    Args:
        count: number of images.
        shape: (C, H, W).
        decode: number of an image → uint8 [C, H, W].
    """

    def __init__(self, count: int, shape: Sequence[int], decode: Callable[[int], Tensor]) -> None:
        self.count, self.shape, self.decode = count, tuple(shape), decode
        kept = count * torch.Size(self.shape).numel() <= MEMORY
        self.kept = torch.zeros(count, *self.shape, dtype=torch.uint8) if kept else None
        self.known = torch.zeros(count, dtype=torch.bool)

    def __len__(self) -> int:
        return self.count

    def take(self, index: Tensor) -> Tensor:
        """uint8 [B, C, H, W]."""
        if self.kept is None:
            return torch.stack(self._decoded(index.tolist()))
        wanted = index[~self.known[index]].unique()
        if len(wanted):
            self.kept[wanted] = torch.stack(self._decoded(wanted.tolist()))
            self.known[wanted] = True
        return self.kept[index]

    def _decoded(self, numbers: list[int]) -> list[Tensor]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.decode, numbers))


def in_memory(images: Tensor) -> Pixels:
    """Images that are there already, uint8 [N, C, H, W]."""
    pixels = Pixels(len(images), images.shape[1:], lambda k: images[k])
    pixels.kept, pixels.known = images, torch.ones(len(images), dtype=torch.bool)
    return pixels


def from_files(paths: Sequence[Path], shape: Sequence[int]) -> Pixels:
    """Image files, resized to one shape (C, H, W)."""
    return Pixels(len(paths), shape, lambda k: read_image(paths[k], shape))


def read_image(path: Path, shape: Sequence[int]) -> Tensor:
    """A file as uint8 [C, H, W].

    Raises:
        UserError: it can't be decoded.
    """
    require("PIL", "images", "Reading images")
    from PIL import Image

    try:
        with Image.open(path) as image:
            return to_tensor(image, shape)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        first = str(error).split("\n")[0]
        raise UserError(f"The image {path} can't be read: {first}", key="data.path") from error


def to_tensor(image: Any, shape: Sequence[int]) -> Tensor:
    """A Pillow image as uint8 [C, H, W], resized."""
    import numpy as np
    from PIL import Image

    channels, height, width = shape
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        image = Image.fromarray((np.array(image).clip(0, 65535) >> 8).astype(np.uint8))
    image = image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    if image.size != (width, height):
        image = image.resize((width, height))
    array = np.array(image, dtype=np.uint8)
    return torch.from_numpy(array).reshape(height, width, channels).permute(2, 0, 1).contiguous()


def channels_of(image: Any) -> int:
    """1 of a grey Pillow image, 3 of any other."""
    return 1 if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I") else 3


def shape_of(path: Path, size: int | None) -> tuple[int, int, int]:
    """(C, H, W) of a file; H and W are ``size`` if given.

    Raises:
        UserError: it can't be read.
    """
    require("PIL", "images", "Reading images")
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            channels = channels_of(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"The image {path} can't be read: {error}", key="data.path") from error
    return channels, size or height, size or width
