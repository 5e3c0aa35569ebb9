"""The handwritten digits of scikit-learn, read from its data file.

Source: E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI, 1998.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gdlightning.errors import require

FILE = Path("datasets") / "data" / "digits.csv.gz"
"""Path within scikit-learn. Importing scikit-learn instead would take a second."""


def digits() -> tuple[Tensor, Tensor]:
    """Load the images and classes.

    Returns:
        The images with values from 0 to 16, float64 of shape [1797, 8, 8], and the classes, int64
        of shape [1797].

    Raises:
        UserError: If scikit-learn is not installed.
    """
    require("sklearn", "data", "The data set digits")
    spec = importlib.util.find_spec("sklearn")
    path = Path(spec.origin).parent / FILE if spec is not None and spec.origin else FILE
    if path.is_file():
        rows = torch.from_numpy(np.loadtxt(path, delimiter=","))
        return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].long()
    from sklearn.datasets import load_digits

    found = load_digits()
    return torch.from_numpy(found.images), torch.from_numpy(found.target).long()
