"""Small real data as tensors, for experiments."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.data.digits import digits as all_digits


@dataclass(frozen=True)
class Split:
    """Examples to learn from, and others to test on.

    Args:
        x: inputs, [n, features].
        y: classes [n], int64.
        test_x: inputs that training does not see.
        test_y: their classes.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def digits(seed: int = 0, examples: int | None = None) -> Split:
    """Handwritten digits, 8 × 8 pixels from 0 to 1, centred; 1,797 of them, a quarter for the test.

    Source: E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI, 1998.

    Args:
        seed: of the split.
        examples: to learn from; all that are not tested on if not given.
    """
    pixels, classes = all_digits()
    return split((pixels.flatten(1) / 16).float(), classes, seed, examples)


def tumours(seed: int = 0) -> Split:
    """569 rows of 30 features of breast tumours, standardised, two classes; a quarter for the test.

    Source: Wolberg, Mangasarian, Street: Breast Cancer Wisconsin (Diagnostic), UCI, 1993.
    """
    from sklearn.datasets import load_breast_cancer

    features, classes = load_breast_cancer(return_X_y=True)
    found = split(torch.tensor(features).float(), torch.tensor(classes), seed)
    scale = found.x.std(0)
    return Split(found.x / scale, found.y, found.test_x / scale, found.test_y)


def split(x: Tensor, y: Tensor, seed: int, examples: int | None = None) -> Split:
    """Shuffled, a quarter for the test, inputs less the mean of those to learn from."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    test, rest = order[: len(x) // 4], order[len(x) // 4 :][:examples]
    mean = x[rest].mean(0)
    return Split(x[rest] - mean, y[rest], x[test] - mean, y[test])
