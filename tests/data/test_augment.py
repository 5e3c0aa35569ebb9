"""Augmentation: of training batches only, by the random state only, shapes and dtypes kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gdlightning.data.augment import augment
from gdlightning.data.images import SklearnImages
from gdlightning.errors import UserError

CHANGES: list[dict[str, Any]] = [
    {"shift": 0.2},
    {"rotate": 20.0},
    {"zoom": 0.3},
    {"flip": True},
    {"erase": 0.4},
]


@settings(max_examples=40)
@given(
    count=st.integers(1, 4),
    channels=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    double=st.booleans(),
    seed=st.integers(0, 9),
    options=st.sampled_from([*CHANGES, {k: v for o in CHANGES for k, v in o.items()}]),
)
def test_shape_dtype_range_and_random_state(
    count: int,
    channels: int,
    height: int,
    width: int,
    double: bool,
    seed: int,
    options: dict[str, Any],
) -> None:
    dtype = torch.float64 if double else torch.float32
    images = torch.arange(count * channels * height * width, dtype=dtype)
    images = (images * 1.7).cos().reshape(count, channels, height, width)
    before = images.clone()
    torch.manual_seed(seed)
    first = augment(images, **options)
    torch.manual_seed(seed)
    second = augment(images, **options)
    assert torch.equal(first, second)
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert first.dtype == dtype
    assert first.min() >= images.min() - 1e-5
    assert first.max() <= images.max() + 1e-5


@pytest.mark.parametrize("options", CHANGES)
def test_each_change_is_one_and_draws_for_each_image(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 1, 12, 12).expand(16, 1, 12, 12)
    found = augment(image, **options)
    assert not torch.allclose(found, image, atol=1e-3)
    assert len({tuple(f.flatten().tolist()) for f in found}) > 1


def test_nothing_asked_for_changes_nothing() -> None:
    images = torch.randn(2, 1, 5, 5)
    state = torch.get_rng_state()
    assert augment(images) is images
    assert torch.equal(torch.get_rng_state(), state)


def test_flip_is_left_to_right_in_half_of_the_images() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 2, 6, 8)
    found = augment(image.expand(400, 2, 6, 8), flip=True)
    flipped = torch.tensor([torch.allclose(f, image[0].flip(2), atol=1e-5) for f in found])
    same = torch.tensor([torch.allclose(f, image[0], atol=1e-5) for f in found])
    assert (flipped ^ same).all()
    assert 140 < int(flipped.sum()) < 260


def test_rotation_keeps_lengths_in_oblong_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A horizontal bar of 13 pixels is a vertical one of 13 after a quarter turn."""
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.ones(*size))
    image = torch.zeros(1, 1, 21, 41)
    image[0, 0, 10, 14:27] = 1
    found = augment(image, rotate=90.0)[0, 0]
    assert float(found.sum()) == pytest.approx(13, rel=0.01)
    assert found[4:17, 20].min() > 0.9


def test_erase_blanks_a_square_with_the_mean() -> None:
    torch.manual_seed(0)
    images = torch.randn(50, 1, 10, 10)
    found = augment(images, erase=0.5)
    changed = found != images
    means = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    assert torch.equal(found[changed], means[changed])
    assert 1 <= changed.sum(dim=(1, 2, 3)).max() <= 36


def test_only_training_batches_are_changed() -> None:
    data = SklearnImages(shift=0.3, rotate=10)
    batch = (torch.randn(3, 1, 8, 8), torch.tensor([1, 2, 3]))
    for training in (True, False):
        data.trainer = SimpleNamespace(training=training)  # type: ignore[assignment]
        images, classes = data.on_after_batch_transfer(batch, 0)
        assert torch.equal(images, batch[0]) is not training
        assert torch.equal(classes, batch[1])


@pytest.mark.parametrize("key", ["shift", "zoom", "erase"])
def test_parts_of_the_size_are_below_1(key: str) -> None:
    options: dict[str, Any] = {key: 1.0}
    with pytest.raises(UserError, match=rf"data\.{key} is 1"):
        SklearnImages(**options)
