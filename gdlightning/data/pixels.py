"""Images in memory, or decoded from files on access."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gdlightning.errors import UserError, require

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
MAX_CACHE_BYTES = 1 << 30
"""Maximum size of decoded images that are cached. Larger sets are decoded in every epoch."""


class Pixels:
    """Images of one size, decoded by several threads and cached if they fit in memory.

    Args:
        count: The number of images.
        shape: The shape (C, H, W) of an image.
        decode: A function from the index of an image to its pixels, uint8 of shape [C, H, W].
    """

    def __init__(self, count: int, shape: Sequence[int], decode: Callable[[int], Tensor]) -> None:
        self.count, self.shape, self.decode = count, tuple(shape), decode
        kept = count * torch.Size(self.shape).numel() <= MAX_CACHE_BYTES
        self.kept = torch.zeros(count, *self.shape, dtype=torch.uint8) if kept else None
        self.known = torch.zeros(count, dtype=torch.bool)

    def __len__(self) -> int:
        return self.count

    def take(self, index: Tensor) -> Tensor:
        """Return the images at ``index``, uint8 of shape [B, C, H, W]."""
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
    """Wrap images in memory, uint8 of shape [N, C, H, W]."""
    pixels = Pixels(len(images), images.shape[1:], lambda k: images[k])
    pixels.kept, pixels.known = images, torch.ones(len(images), dtype=torch.bool)
    return pixels


def from_files(paths: Sequence[Path], shape: Sequence[int]) -> Pixels:
    """Return image files, resized to one shape (C, H, W)."""
    return Pixels(len(paths), shape, lambda k: read_image(paths[k], shape))


def read_image(path: Path, shape: Sequence[int]) -> Tensor:
    """Read an image file and resize it to a shape (C, H, W).

    Returns:
        The pixels, uint8 of shape [C, H, W].

    Raises:
        UserError: If the file cannot be decoded.
    """
    require("PIL", "images", "Reading images")
    from PIL import Image

    try:
        with Image.open(path) as image:
            return to_tensor(image, shape)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        first = str(error).split("\n")[0]
        raise UserError(f"The image {path} cannot be read: {first}", key="data.path") from error


def to_tensor(image: Any, shape: Sequence[int]) -> Tensor:
    """Convert a Pillow image to uint8 of shape [C, H, W], resized."""
    import numpy as np
    from PIL import Image

    channels, height, width = shape
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        image = Image.fromarray((np.array(image).clip(0, 65535) >> 8).astype(np.uint8))
    image = image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    if image.size != (width, height):
        image = image.resize((width, height))
    array = np.array(image, dtype=np.uint8)
    return torch.from_numpy(array).reshape(height, width, channels).permute(2, 0, 1).contiguous()


def channels_of(image: Any) -> int:
    """Return 1 for a grey Pillow image, 3 for any other."""
    return 1 if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I") else 3


def shape_of(path: Path, size: int | None) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image file; H and W are ``size`` if it is given.

    Raises:
        UserError: If the file cannot be read.
    """
    require("PIL", "images", "Reading images")
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            channels = channels_of(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"The image {path} cannot be read: {error}", key="data.path") from error
    return channels, size or height, size or width
