"""The grid of images and its frames."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gdlightning.tasks.vision import FRAME, RIGHT, WRONG, ImageClassification, grid


@settings(max_examples=30)
@given(
    count=st.integers(1, 36),
    channels=st.integers(1, 5),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
)
def test_images_of_any_size_and_number(count: int, channels: int, height: int, width: int) -> None:
    images = torch.randn(count, channels, height, width)
    picture = grid(images, torch.ones(count, dtype=torch.bool))
    assert picture.shape[0] == 3
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_frames_show_correct_and_wrong_predictions() -> None:
    images = torch.rand(2, 1, 48, 48)
    picture = grid(images, torch.tensor([True, False]))
    tile = 48 + 2 * FRAME + 2
    assert picture.shape == (3, tile, 2 * tile)
    for k, colour in enumerate((RIGHT, WRONG)):
        assert picture[:, 1, k * tile + 1].tolist() == pytest.approx(colour)
        inside = picture[0, 1 + FRAME : -1 - FRAME, k * tile + 1 + FRAME : k * tile + 49 + FRAME]
        scaled = (images[k, 0] - images.min()) / (images.max() - images.min())
        torch.testing.assert_close(inside, scaled)


def test_samples_of_a_batch() -> None:
    class Bright(torch.nn.Module):
        """Net that predicts class 1 for bright images."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            light = x.mean(dim=(1, 2, 3))
            return torch.stack([-light, light], dim=1)

    task = ImageClassification(Bright(), outputs=2)
    images = torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 1, 8, 8)
    (picture,) = task.samples((images, torch.tensor([1, 1]))).values()
    tile = picture.shape[2] // 2
    assert picture[:, 1, 1].tolist() == pytest.approx(RIGHT)
    assert picture[:, 1, tile + 1].tolist() == pytest.approx(WRONG)
