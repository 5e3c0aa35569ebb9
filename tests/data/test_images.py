"""Images of folders and of Hugging Face data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gdlightning.data import pixels
from gdlightning.data.images import HubImages, ImageFolder, SklearnImages
from gdlightning.errors import UserError

LEVELS = {"dark": 40, "light": 200}


def folder(root: Path, count: int = 10, size: tuple[int, int] = (6, 9), mode: str = "RGB") -> Path:
    """A folder for each of two classes; ``size`` is (height, width)."""
    generator = np.random.default_rng(0)
    for name, level in LEVELS.items():
        (root / name).mkdir(parents=True)
        for k in range(count):
            shape = (*size, 3) if mode == "RGB" else size
            values = generator.integers(level - 30, level + 30, shape).astype("uint8")
            Image.fromarray(values).save(root / name / f"{k}.png")
    return root


def everything(data: Any, part: str = "train") -> tuple[torch.Tensor, torch.Tensor]:
    images, classes = data.rows[part].take(torch.arange(len(data.rows[part])))
    return images, classes


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
@pytest.mark.parametrize("size", [None, 5])
def test_sizes_and_channels(mode: str, channels: int, size: int | None, tmp_path: Path) -> None:
    data = ImageFolder(str(folder(tmp_path / "f", mode=mode)), size=size, test_fraction=0.2)
    data.setup()
    images, classes = everything(data)
    assert images.shape == (14, channels, *((6, 9) if size is None else (5, 5)))
    assert images.dtype == torch.float32
    assert classes.bincount().tolist() == [7, 7]
    assert data.sizes() == {"channels": channels, "outputs": 2, "classes": ["dark", "light"]}
    assert images.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(
        images.std(dim=(0, 2, 3), correction=0), torch.ones(channels), rtol=1e-3, atol=0
    )
    assert images[classes == 0].mean() < images[classes == 1].mean()


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    data = ImageFolder(str(folder(tmp_path / "f")), val_fraction=0, test_fraction=0)
    data.setup()
    images, _ = everything(data)
    fitted = data.fitted
    scale = torch.tensor(fitted["std"])[:, None, None], torch.tensor(fitted["mean"])[:, None, None]
    restored = ((images * scale[0] + scale[1]) * 255).round().byte()
    paths = sorted((tmp_path / "f").rglob("*.png"))
    for image, path in zip(restored, paths, strict=True):
        wanted = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
        assert torch.equal(image, wanted)


def test_grey_images_among_coloured_ones_are_made_coloured(tmp_path: Path) -> None:
    root = folder(tmp_path / "f")
    Image.fromarray(np.full((6, 9), 7, "uint8")).save(root / "dark" / "0.png")  # the first
    data = ImageFolder(str(root), val_fraction=0, test_fraction=0)
    data.setup()
    assert data.sizes()["channels"] == 3


def test_sixteen_bit_images_keep_their_shades(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype("uint16").reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    assert pixels.shape_of(tmp_path / "ramp.png", None) == (1, 8, 8)
    found = pixels.read_image(tmp_path / "ramp.png", (1, 8, 8))
    np.testing.assert_array_equal(found[0], ramp >> 8)


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_an_unreadable_image_is_named(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "MAX_CACHE_BYTES", memory)  # kept, or decoded each time
    root = folder(tmp_path / "f")
    ImageFolder(str(root)).setup()
    (root / "light" / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"light.broken\.png cannot be read"):
        ImageFolder(str(root)).setup()


def test_a_cut_off_image_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "f", size=(60, 60))
    whole = (root / "dark" / "3.png").read_bytes()
    (root / "dark" / "3.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"dark.3\.png cannot be read"):
        ImageFolder(str(root)).setup()


def test_large_sets_are_decoded_as_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path / "f")
    kept, decoded = ImageFolder(str(root)), ImageFolder(str(root))
    kept.setup()
    monkeypatch.setattr(pixels, "MAX_CACHE_BYTES", 0)
    decoded.setup()
    assert all(map(torch.equal, everything(kept), everything(decoded)))


def test_new_images_are_scaled_like_those_of_training(tmp_path: Path) -> None:
    root = folder(tmp_path / "f")
    data = ImageFolder(str(root), val_fraction=0, test_fraction=0)
    data.setup()
    images, _ = everything(data)
    fresh = ImageFolder("gone")
    fresh.load_state_dict(data.state_dict())
    rows = fresh.read(root)
    (again,) = rows.take(torch.arange(len(rows)))
    assert torch.equal(again, images)
    assert rows.labels == [str(p) for p in sorted(root.rglob("*.png"))]  # type: ignore[attr-defined]
    assert len(fresh.read(root / "dark" / "3.png")) == 1
    with pytest.raises(UserError, match="no file or folder"):
        fresh.read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="contains no images"):
        fresh.read(tmp_path / "empty")


def test_folders_that_cant_be_used(tmp_path: Path) -> None:
    root = folder(tmp_path / "photos")
    with pytest.raises(UserError, match=r"Did you mean .*photos"):
        ImageFolder(str(tmp_path / "photo")).setup()
    with pytest.raises(UserError, match="no folders with images"):
        ImageFolder(str(root / "dark")).setup()
    for file in (root / "light").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="has only one class, dark"):
        ImageFolder(str(root)).setup()
    with pytest.raises(UserError, match=r"data\.size is 0"):
        ImageFolder(str(root), size=0)


def test_digits_are_resized() -> None:
    data = SklearnImages(size=16, val_fraction=0, test_fraction=0)
    data.setup()
    assert data.rows["train"].take(torch.arange(3))[0].shape == (3, 1, 16, 16)


def hub(path: Path, mode: str = "RGB", names: bool = True) -> str:
    """A data set saved on disk, with its parts."""
    import datasets

    generator = np.random.default_rng(0)
    shape = (4, 5, 3) if mode == "RGB" else (4, 5)
    images = [Image.fromarray(generator.integers(0, 255, shape).astype("uint8")) for _ in range(20)]
    labels = [k % 2 if names else ("cat", "ant")[k % 2] for k in range(20)]
    kind = datasets.ClassLabel(names=["yes", "no"]) if names else datasets.Value("string")
    features = datasets.Features({"image": datasets.Image(), "label": kind})
    made = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
    datasets.DatasetDict({"train": made, "extra": made.select(range(4))}).save_to_disk(str(path))
    return str(path)


@pytest.mark.parametrize(("mode", "names"), [("RGB", True), ("L", False)])
def test_hub_images(mode: str, names: bool, tmp_path: Path) -> None:
    data = HubImages(hub(tmp_path / "h", mode, names), val_fraction=0, test_fraction=0)
    data.setup()
    images, classes = everything(data)
    assert images.shape == (20, 3 if mode == "RGB" else 1, 4, 5)
    assert data.sizes()["classes"] == (["yes", "no"] if names else ["ant", "cat"])
    assert classes.tolist() == [k % 2 if names else 1 - k % 2 for k in range(20)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"part": "extr"}, "Did you mean extra"),
        ({"image": "images"}, "Did you mean image"),
        ({"label": "kind"}, "has no column kind"),
        ({"image": "label"}, "contains no images"),
    ],
)
def test_hub_data_sets_that_cant_be_used(
    options: dict[str, str], told: str, tmp_path: Path
) -> None:
    path = hub(tmp_path / "h")
    with pytest.raises(UserError, match=told):
        HubImages(path, **options).setup()


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        HubImages(str(tmp_path)).setup()
