"""Images with a class each; batches are ``(images, classes)``."""

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
    """Images, scaled to mean 0 and deviation 1 of the training split, with their classes.

    Attributes:
        labels: a name for each image, where it has one; for predictions.
    """

    def __init__(
        self, pixels: Pixels, classes: Tensor | None = None, labels: list[str] | None = None
    ) -> None:
        self.pixels, self.classes, self.labels = pixels, classes, labels
        self.mean, self.std = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)

    def __len__(self) -> int:
        return len(self.pixels)

    def scale(self, mean: list[float], std: list[float]) -> ImageRows:
        """Set what is subtracted and divided by, a number a channel in 0..1."""
        self.mean = torch.tensor(mean)[:, None, None]
        self.std = torch.tensor(std)[:, None, None]
        return self

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """Float images [B, C, H, W], and classes [B] where they are known."""
        images = (self.pixels.take(index).float() / 255 - self.mean) / self.std
        return (images,) if self.classes is None else (images, self.classes[index])


class Images(DataModule):
    """What all sources of images share.

    Args:
        size: height and width that images are resized to; that of the first if not given.
        shift: augmentation: shifted by up to this part of the size.
        rotate: augmentation: turned by up to so many degrees.
        zoom: augmentation: larger or smaller by up to this part.
        flip: augmentation: half of the images have left and right swapped.
        erase: augmentation: side of a square that is blanked, as a part of the size.
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
            "shift": shift, "rotate": rotate, "zoom": zoom, "flip": flip, "erase": erase,
        }  # fmt: skip

    @abstractmethod
    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """All images, the class of each (int64 [N]), and the names of the classes."""

    def load(self) -> Splits:
        """Split every class alike; fit mean and deviation on the training split."""
        pixels, numbers, classes = self.images()
        if len(classes) < 2:
            raise UserError(
                f"{self.source} has one class, {classes[0]}; it needs two or more (data.path).",
                key="data.path",
            )
        fractions = (
            1 - self.val_fraction - self.test_fraction, self.val_fraction, self.test_fraction,
        )  # fmt: skip
        parts = split(len(pixels), fractions, self.seed, numbers)
        some = parts[0][:: max(1, len(parts[0]) // 1000)]  # a thousand tell the mean
        seen = pixels.take(some).double() / 255
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
        """Where the images come from, for errors."""
        return "the data"

    def sizes(self) -> dict[str, Any]:
        """``channels`` of the net, and the classes."""
        classes = self.fitted["classes"]
        return {"channels": self.fitted["shape"][0], "outputs": len(classes), "classes": classes}

    def example(self, count: int) -> tuple[Input, ...]:
        """Images [B, C, H, W] of the size of training."""
        return (Input("images", some_numbers(count, *self.fitted["shape"]), {0: "batch"}),)

    def read(self, source: Path) -> Rows:
        """An image file, or all those in a folder, resized to the size of training."""
        if not source.exists():
            raise UserError(f"--input: there is no file or folder {source}.")
        paths = [source] if source.is_file() else image_files(source)
        if not paths:
            raise UserError(f"--input: {source} holds no images ({', '.join(SUFFIXES)}).")
        pixels = from_files(paths, self.fitted["shape"])
        rows = ImageRows(pixels, labels=[str(p) for p in paths])
        return rows.scale(self.fitted["mean"], self.fitted["std"])

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment training batches, on their device."""
        if self.trainer is None or not self.trainer.training or not any(self.augmentation.values()):
            return batch
        images, classes = batch
        return augment(images, **self.augmentation), classes


class SklearnImages(Images):
    """Images that come with scikit-learn.

    Args:
        dataset: digits: 1,797 handwritten digits of 8 × 8 pixels.
    """

    def __init__(self, dataset: Literal["digits"] = "digits", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    @property
    def source(self) -> str:
        """The name of the data set."""
        return self.dataset

    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """Digits 0 to 9, one channel."""
        found, classes = digits()
        grey = found.mul(255 / 16).round().byte()[:, None]
        if self.size is not None and self.size != grey.shape[-1]:
            grey = torch.nn.functional.interpolate(grey.float(), self.size, mode="bilinear")
            grey = grey.round().byte()
        return in_memory(grey), classes, [str(k) for k in range(10)]


class ImageFolder(Images):
    """Images of the user's: a folder with a folder for each class.

    Sets of up to 1 GiB of pixels are decoded once, so that a broken file is found before training;
    of larger ones the headers are read.

    Args:
        path: the folder; the names of the folders in it are the classes.
    """

    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    @property
    def source(self) -> str:
        """The folder."""
        return self.path

    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """All images below the class folders, checked."""
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
                f"data.path: {self.path} holds no folders with images.\n"
                "It must hold one folder for each class, with the images of the class in it.",
                key="data.path",
            )
        paths, numbers = [], []
        for number, folder in enumerate(folders):
            found = image_files(folder)
            paths += found
            numbers += [number] * len(found)
        shapes = [shape_of(path, self.size) for path in paths]
        channels = max(s[0] for s in shapes)  # grey ones among coloured ones are made coloured
        pixels = from_files(paths, (channels, *shapes[0][1:]))
        if pixels.kept is not None:
            pixels.take(torch.arange(len(paths)))
        return pixels, torch.tensor(numbers), [f.name for f in folders]


class HubImages(Images):
    """A Hugging Face data set of images, from the hub or saved on disk (extra: hub).

    Args:
        path: its name on the hub, or a folder that ``save_to_disk`` wrote.
        image: the column with the images.
        label: the column with the classes.
        part: the part of the data set that is split here.
    """

    def __init__(
        self, path: str, image: str = "image", label: str = "label", part: str = "train",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.path, self.image, self.label, self.part = path, image, label, part

    @property
    def source(self) -> str:
        """The name or folder."""
        return self.path

    def images(self) -> tuple[Pixels, Tensor, list[str]]:
        """The images, decoded when they are taken."""
        require("datasets", "hub", "A Hugging Face data set")
        import datasets

        try:
            local = Path(self.path).is_dir()
            found = (
                datasets.load_from_disk(self.path) if local else datasets.load_dataset(self.path)
            )
        except Exception as error:  # of the hub, the network, the disk
            first = str(error).split("\n")[0]
            raise UserError(
                f"data.path: {self.path} can't be loaded: {first}", key="data.path"
            ) from error
        if isinstance(found, dict):
            if self.part not in found:
                raise UserError(
                    f"data.part: {self.path} has no part {self.part}."
                    f"{did_you_mean(self.part, found)} There are {', '.join(found)}.",
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
                f"data.image: the column {self.image} of {self.path} has no images.",
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
        except Exception as error:  # of the library that decodes it
            first = str(error).split("\n")[0]
            raise UserError(
                f"data.path: the image in row {number:,} of {self.path} can't be read: {first}",
                key="data.path",
            ) from error


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
