"""Image classification; batches are ``(images, classes)``."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gdlightning.data.augment import augment
from gdlightning.data.data_module import DataModule, Splits
from gdlightning.data.digits import digits
from gdlightning.data.example_input import Input, some_numbers
from gdlightning.data.loader import Rows, Subset, split
from gdlightning.data.pixels import (
    SUFFIXES,
    Pixels,
    channels_of,
    from_files,
    in_memory,
    shape_of,
    to_tensor,
)
from gdlightning.errors import UserError, did_you_mean, require

__all__ = ["HubImages", "ImageFolder", "SklearnImages"]


class ImageRows:
    """Standardized images with their classes.

    Args:
        pixels: The images.
        classes: The class of each image, int64 of shape [N], or None if unknown.
        labels: The name of each image, for predictions.
    """

    def __init__(
        self, pixels: Pixels, classes: Tensor | None = None, labels: list[str] | None = None
    ) -> None:
        self.pixels, self.classes, self.labels = pixels, classes, labels
        self.mean, self.std = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)

    def __len__(self) -> int:
        return len(self.pixels)

    def scale(self, mean: list[float], std: list[float]) -> ImageRows:
        """Set the mean and standard deviation per channel, for pixel values from 0 to 1."""
        self.mean = torch.tensor(mean)[:, None, None]
        self.std = torch.tensor(std)[:, None, None]
        return self

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """Return float images [B, C, H, W] and, if known, classes [B]."""
        images = (self.pixels.take(index).float() / 255 - self.mean) / self.std
        return (images,) if self.classes is None else (images, self.classes[index])


class Images(DataModule):
    """Base class for image classification.

    Args:
        size: height and width to resize images to; by default, the size of the first image.
        shift: augmentation: maximum shift, as a fraction of the size.
        rotate: augmentation: maximum rotation in degrees.
        zoom: augmentation: maximum change of the scale, as a fraction.
        flip: augmentation: flip half of the images horizontally.
        erase: augmentation: side of an erased square, as a fraction of the size.
    """

    def __init__(
        self,
        size: int | None = None,
        shift: float = 0.0,
        rotate: float = 0.0,
        zoom: float = 0.0,
        flip: bool = False,
        erase: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size is not None and size < 1:
            raise UserError(f"data.size is {size}; write 1 or more pixels.", key="data.size")
        for key, value in {"shift": shift, "zoom": zoom, "erase": erase}.items():
            if not 0 <= value < 1:
                raise UserError(
                    f"data.{key} is {value}; write a number from 0 to below 1.", key=f"data.{key}"
                )
        self.size = size
        self.augmentation: dict[str, Any] = {
            "shift": shift,
            "rotate": rotate,
            "zoom": zoom,
            "flip": flip,
            "erase": erase,
        }

    @abstractmethod
    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """Return all images, the class of each (int64 [N]) and the class names."""

    def load(self) -> Splits:
        """Split the images stratified by class, and fit the scaling on the training split."""
        pixels, numbers, classes = self.images()
        if len(classes) < 2:
            raise UserError(
                f"{self.source} has only one class, {classes[0]}; two or more are needed "
                "(data.path).",
                key="data.path",
            )
        parts = split(len(pixels), self.fractions, self.seed, numbers)
        sample = parts[0][:: max(1, len(parts[0]) // 1000)]  # about 1,000 images suffice
        seen = pixels.take(sample).double() / 255
        self.fitted = {
            "classes": classes,
            "shape": list(pixels.shape),
            "mean": seen.mean(dim=(0, 2, 3)).tolist(),
            "std": seen.std(dim=(0, 2, 3), correction=0).clamp(min=1e-3).tolist(),
        }
        rows = ImageRows(pixels, numbers).scale(self.fitted["mean"], self.fitted["std"])
        return {n: Subset(rows, p) for n, p in zip(("train", "val", "test"), parts, strict=True)}

    @property
    def source(self) -> str:
        """Name of the data set in error messages."""
        return "the data"

    def sizes(self) -> dict[str, Any]:
        """Return the channels and outputs of the net, and the class names."""
        classes = self.fitted["classes"]
        return {"channels": self.fitted["shape"][0], "outputs": len(classes), "classes": classes}

    def example(self, count: int) -> tuple[Input, ...]:
        """Return synthetic images [B, C, H, W] of the training size."""
        return (Input("images", some_numbers(count, *self.fitted["shape"]), {0: "batch"}),)

    def read(self, source: Path) -> Rows:
        """Read an image file or all images in a folder, resized to the training size."""
        if not source.exists():
            raise UserError(f"--input: there is no file or folder {source}.")
        paths = [source] if source.is_file() else image_files(source)
        if not paths:
            raise UserError(f"--input: {source} contains no images ({', '.join(SUFFIXES)}).")
        pixels = from_files(paths, self.fitted["shape"])
        rows = ImageRows(pixels, labels=[str(p) for p in paths])
        return rows.scale(self.fitted["mean"], self.fitted["std"])

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches on their device."""
        if self.trainer is None or not self.trainer.training or not any(self.augmentation.values()):
            return batch
        images, classes = batch
        return augment(images, **self.augmentation), classes


class SklearnImages(Images):
    """Images included in scikit-learn.

    Args:
        dataset: digits: 1,797 handwritten digits of 8 × 8 pixels.
    """

    def __init__(self, dataset: Literal["digits"] = "digits", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    @property
    def source(self) -> str:
        """Name of the data set."""
        return self.dataset

    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """Return the digits with one channel."""
        found, classes = digits()
        grey = found.mul(255 / 16).round().byte()[:, None]
        if self.size is not None and self.size != grey.shape[-1]:
            grey = torch.nn.functional.interpolate(grey.float(), self.size, mode="bilinear")
            grey = grey.round().byte()
        return in_memory(grey), classes, [str(k) for k in range(10)]


class ImageFolder(Images):
    """Your own images in a folder with a subfolder per class.

    Up to 1 GiB of pixels are decoded once, so that a broken file is reported before training. For
    larger data sets, only the headers are checked.

    Args:
        path: the folder; its subfolders are named after the classes.
    """

    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    @property
    def source(self) -> str:
        """Path of the folder."""
        return self.path

    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """Read and check all images in the class folders."""
        root = Path(self.path)
        if not root.is_dir():
            near = [str(p) for p in root.parent.glob("*/")] if root.parent.is_dir() else []
            raise UserError(
                f"data.path: there is no folder {self.path}.{did_you_mean(self.path, near)}",
                key="data.path",
            )
        folders = sorted(p for p in root.iterdir() if p.is_dir() and image_files(p))
        if not folders:
            raise UserError(
                f"data.path: {self.path} contains no folders with images.\n"
                "It must contain one folder per class with the images of the class.",
                key="data.path",
            )
        paths, numbers = [], []
        for number, folder in enumerate(folders):
            found = image_files(folder)
            paths += found
            numbers += [number] * len(found)
        shapes = [shape_of(path, self.size) for path in paths]
        channels = max(s[0] for s in shapes)  # a mixture of grey and color is read as color
        pixels = from_files(paths, (channels, *shapes[0][1:]))
        if pixels.kept is not None:
            pixels.take(torch.arange(len(paths)))
        return pixels, torch.tensor(numbers), [f.name for f in folders]


class HubImages(Images):
    """A Hugging Face image data set, from the hub or from disk (extra: hub).

    Args:
        path: its name on the hub, or a folder written by ``save_to_disk``.
        image: the column with the images.
        label: the column with the classes.
        part: the split of the data set to use; it is split again into train, val and test.
    """

    def __init__(
        self,
        path: str,
        image: str = "image",
        label: str = "label",
        part: str = "train",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.image, self.label, self.part = path, image, label, part

    @property
    def source(self) -> str:
        """Name or folder of the data set."""
        return self.path

    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """Return the images, which are decoded on access."""
        require("datasets", "hub", "A Hugging Face data set")
        import datasets

        try:
            local = Path(self.path).is_dir()
            found = (
                datasets.load_from_disk(self.path) if local else datasets.load_dataset(self.path)
            )
        except Exception as error:  # the library, the network and the disk raise different errors
            first = str(error).split("\n")[0]
            raise UserError(
                f"data.path: {self.path} cannot be loaded: {first}", key="data.path"
            ) from error
        if isinstance(found, dict):
            if self.part not in found:
                raise UserError(
                    f"data.part: {self.path} has no split {self.part}."
                    f"{did_you_mean(self.part, found)} Its splits: {', '.join(found)}.",
                    key="data.part",
                )
            found = found[self.part]
        for key, name in {"data.image": self.image, "data.label": self.label}.items():
            if name not in found.column_names:
                raise UserError(
                    f"{key}: {self.path} has no column {name}."
                    f"{did_you_mean(name, found.column_names)}\n"
                    f"Its columns: {', '.join(found.column_names)}.",
                    key=key,
                )
        values = found[self.label]
        names = getattr(found.features[self.label], "names", None)
        classes = names or sorted({str(v) for v in values if v is not None})
        number = {c: k for k, c in enumerate(classes)}
        numbers = [-1 if v is None else v if names else number[str(v)] for v in values]
        first_image = self._image(found, 0)
        if not hasattr(first_image, "mode"):
            raise UserError(
                f"data.image: column {self.image} of {self.path} contains no images.",
                key="data.image",
            )
        if min(numbers) < 0:
            raise UserError(f"data.label: {self.path} has rows without a class.", key="data.label")
        shape = (
            channels_of(first_image),
            self.size or first_image.height,
            self.size or first_image.width,
        )
        pixels = Pixels(len(found), shape, lambda k: to_tensor(self._image(found, k), shape))
        return pixels, torch.tensor(numbers), list(classes)

    def _image(self, found: Any, number: int) -> Any:
        try:
            return found[number][self.image]
        except Exception as error:  # decoders raise different errors
            first = str(error).split("\n")[0]
            raise UserError(
                f"data.path: the image in row {number:,} of {self.path} cannot be read: {first}",
                key="data.path",
            ) from error


def image_files(folder: Path) -> list[Path]:
    """List the image files in a folder and its subfolders, sorted by path."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
