"""Small real data sets as tensors, for experiments."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.data.digits import digits as all_digits


@dataclass(frozen=True)
class Split:
    """Training and test examples.

    Args:
        x: training inputs, [n, features].
        y: training classes [n], int64.
        test_x: test inputs.
        test_y: test classes.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def digits(seed: int = 0, examples: int | None = None) -> Split:
    """Return 1,797 handwritten digits of 8 × 8 pixels, centred; a quarter are test examples.

    Source: E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI, 1998.

    Args:
        seed: seed of the split.
        examples: maximum number of training examples; by default, all except the test examples.
    """
    pixels, classes = all_digits()
    return split((pixels.flatten(1) / 16).float(), classes, seed, examples)


def tumours(seed: int = 0) -> Split:
    """Return 569 breast tumours with 30 standardised features; a quarter are test examples.

    Source: Wolberg, Mangasarian, Street: Breast Cancer Wisconsin (Diagnostic), UCI, 1993.
    """
    from sklearn.datasets import load_breast_cancer

    features, classes = load_breast_cancer(return_X_y=True)
    found = split(torch.tensor(features).float(), torch.tensor(classes), seed)
    scale = found.x.std(0)
    return Split(found.x / scale, found.y, found.test_x / scale, found.test_y)


def split(x: Tensor, y: Tensor, seed: int, examples: int | None = None) -> Split:
    """Shuffle and split off a quarter for testing, and subtract the mean of the training inputs."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    test, rest = order[: len(x) // 4], order[len(x) // 4 :][:examples]
    mean = x[rest].mean(0)
    return Split(x[rest] - mean, y[rest], x[test] - mean, y[test])
