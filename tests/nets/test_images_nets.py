"""ResNet and ViT accept images of any size and number of channels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gdlightning.nets.resnet import ResNet
from gdlightning.nets.vit import ViT


def make(name: str, channels: int, patch: int = 2) -> nn.Module:
    """Return a small network."""
    torch.manual_seed(0)
    if name == "resnet":
        return ResNet(channels, 5, width=4)
    return ViT(channels, 5, patch=patch, width=8, depth=1, heads=2)


@settings(max_examples=25)
@given(
    name=st.sampled_from(["resnet", "vit"]),
    channels=st.integers(1, 5),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    patch=st.integers(1, 7),
)
def test_any_size_and_channels(
    name: str, channels: int, height: int, width: int, patch: int
) -> None:
    net = make(name, channels, patch)
    images = torch.randn(2, channels, height, width)
    out = net(images)
    assert out.shape == (2, 5)
    out.sum().backward()
    net.eval()
    assert torch.isfinite(net(images)).all()


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_logits_do_not_depend_on_other_images(name: str) -> None:
    net = make(name, 3).eval()
    images = torch.randn(4, 3, 9, 6)
    torch.testing.assert_close(net(images)[2:3], net(images[2:3]), rtol=1e-4, atol=1e-5)


def test_vit_pads_to_whole_patches_with_zeros_right_and_below() -> None:
    net = make("vit", 1, patch=4).eval()
    image = torch.randn(1, 1, 6, 7)
    padded = torch.zeros(1, 1, 8, 8)
    padded[..., :6, :7] = image
    torch.testing.assert_close(net(image), net(padded))


def test_vit_depends_on_patch_positions() -> None:
    net = make("vit", 1).eval()
    image = torch.randn(1, 1, 8, 8)
    for swapped in (image.flip(2), image.flip(3), image.transpose(2, 3)):
        assert not torch.allclose(net(image), net(swapped), atol=1e-6)


def test_resnet_halves_the_size_and_doubles_the_channels() -> None:
    net = ResNet(1, 2, width=4, blocks=[1, 2, 1])
    shapes = []
    for block in net.stages:
        block.register_forward_hook(lambda *a: shapes.append(tuple(a[2].shape[1:])))
    net(torch.randn(2, 1, 16, 12))
    assert shapes == [(4, 16, 12), (8, 8, 6), (8, 8, 6), (16, 4, 3)]


def test_resnet_blocks_start_as_the_identity() -> None:
    net = make("resnet", 1)
    block = net.get_submodule("stages.0")
    x = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(x), x)
